"""What every store does, on a directory and on S3 alike."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fineline.errors import ObjectChanged, ObjectNotFound, StoreError
from fineline.store import Store, StoredObject, open_store

ODD_NAMES = [
    "a b/c d.txt",
    "100%",
    "%2e%2e/%2F",
    "a+b&c=d?e#f;g,h@i:j!k$l'(m)*",
    'quote"back\\slash',
    "<xml>&amp;</xml>",
    "ünï/中文/😀.txt",
    "e\u0301",
    "..hidden/.../~",
    "x" * 255,
    "/".join(["y" * 199] * 4),
]
UNSAFE_NAMES = ["", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "a//b", "a/", "./a", "a/./b", "a\0b"]
UNSAFE_NAMES += ["\ud800", "x" * 1025]
# File systems stamp files with a clock that ticks every few milliseconds.
CLOCK_TICK_SECONDS = 0.02


def names_of(store: Store, prefix: str = "") -> list[str]:
    return [item.name for item in store.list(prefix)]


def test_what_was_put_is_read_back_whole_and_in_spans(store: Store) -> None:
    store.put("folder/object", b"0123456789")

    assert store.get("folder/object") == b"0123456789"
    assert store.get("folder/object", 3) == b"3456789"
    assert store.get("folder/object", 3, 4) == b"3456"
    assert store.get("folder/object", 8, 100) == b"89"
    assert store.get("folder/object", 10) == b""
    assert store.get("folder/object", 50, 5) == b""
    assert store.get("folder/object", 5, 0) == b""


def test_an_empty_object_is_an_object(store: Store, tmp_path: Path) -> None:
    store.put("empty", b"")
    item = store.head("empty")

    assert item is not None
    assert item.size == 0
    assert store.get("empty") == b""
    assert store.get("empty", 0, 8) == b""
    assert names_of(store) == ["empty"]
    store.download(item, tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_local_file_is_put_whole(store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "source").write_bytes(content)

    store.put("copy", tmp_path / "source")
    assert store.put_if_absent("other", tmp_path / "source") is True

    assert store.get("copy") == content
    assert store.get("other") == content


def test_a_local_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing\.bin"):
        store.put("copy", tmp_path / "missing.bin")
    with pytest.raises(StoreError, match=r"missing\.bin"):
        store.put_if_absent("copy", tmp_path / "missing.bin")
    store.put("there", b"x")
    with pytest.raises(StoreError, match=r"missing\.bin"):
        store.put_if_unchanged("there", tmp_path / "missing.bin", etag_of(store, "there"))
    store.delete("there")
    assert names_of(store) == []


def test_a_put_replaces_what_was_there_and_changes_the_etag(store: Store) -> None:
    store.put("object", b"first")
    before = store.head("object")
    time.sleep(CLOCK_TICK_SECONDS)
    store.put("object", b"other")
    after = store.head("object")

    assert store.get("object") == b"other"
    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_put_if_absent_keeps_what_is_there(store: Store) -> None:
    assert store.put_if_absent("folder/commit", b"winner") is True
    assert store.put_if_absent("folder/commit", b"loser") is False
    assert store.get("folder/commit") == b"winner"


def etag_of(store: Store, name: str) -> str:
    item = store.head(name)
    assert item is not None
    return item.etag


def test_put_if_unchanged_replaces_what_was_seen_and_nothing_else(store: Store, tmp_path: Path) -> None:
    assert store.put_if_unchanged("folder/pointer", b"first", "any") is False
    assert names_of(store) == []
    store.put("folder/pointer", b"first")
    seen = etag_of(store, "folder/pointer")
    assert store.put_if_unchanged("folder/pointer", b"other", "0" * 32) is False
    assert store.get("folder/pointer") == b"first"

    (tmp_path / "source").write_bytes(b"third")
    assert store.put_if_unchanged("folder/pointer", tmp_path / "source", seen) is True
    assert store.get("folder/pointer") == b"third"
    assert store.put_if_unchanged("folder/pointer", b"fourth", seen) is False
    store.delete("folder/pointer")
    assert store.put_if_unchanged("folder/pointer", b"fourth", seen) is False
    assert names_of(store) == []


def test_each_of_many_quick_changes_has_an_etag_of_its_own(store: Store) -> None:
    """Quicker than a file system's clock ticks, and of the same size."""
    store.put("pointer", b"000")
    seen = [etag_of(store, "pointer")]
    for number in range(1, 100):
        assert store.put_if_unchanged("pointer", b"%03d" % number, seen[-1]) is True
        seen.append(etag_of(store, "pointer"))
    assert len(set(seen)) == 100
    assert store.get("pointer") == b"099"


def test_head_tells_size_etag_and_time_as_the_listing_does(store: Store) -> None:
    store.put("object", b"12345")
    item = store.head("object")

    assert item is not None
    assert [item] == list(store.list())
    assert item.size == 5
    assert item.modified.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - item.modified) < timedelta(minutes=5)
    assert '"' not in item.etag


def test_what_is_not_there_is_none_or_not_found(store: Store, tmp_path: Path) -> None:
    store.put("folder/object", b"x")

    for name in ("nothing", "folder", "folder/nothing", "folder/object/deeper"):
        assert store.head(name) is None
        with pytest.raises(ObjectNotFound):
            store.get(name)
        with pytest.raises(ObjectNotFound):
            store.get(name, 2, 3)
        with pytest.raises(ObjectNotFound):
            store.get(name, 0, 0)
        with pytest.raises(ObjectNotFound):
            store.download(StoredObject(name, 1, "etag", datetime.now(UTC)), tmp_path / "file")
    assert list(tmp_path.glob("*file*")) == []


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: Store) -> None:
    store.put("folder/object", b"x")
    for name in ("folder/object", "folder/object", "nothing/there", "folder"):
        store.delete(name)
    assert names_of(store) == []
    assert store.list_level().folders == ()


def test_an_empty_or_missing_prefix_lists_nothing(store: Store) -> None:
    assert names_of(store) == []
    assert names_of(store, "nothing/here/") == []
    assert store.list_level("nothing/").objects == ()
    store.put("object", b"x")
    assert names_of(store, "object/") == []
    assert store.list_level("object/").folders == ()


def test_listing_is_in_the_order_of_bytes(store: Store) -> None:
    names = ["a", "a-b", "a.b/c", "a0", "b/c", "b/c-d/e", "b/c.d", "B", "ä", "z", "😀", "b-"]
    names.remove("a")
    for name in names:
        store.put(name, b"")
    assert names_of(store) == sorted(names, key=str.encode)


def test_a_prefix_is_a_string_prefix_of_names(store: Store) -> None:
    for name in ("run/step1", "run/step10/model", "run/step2/model", "runs/step1"):
        store.put(name, b"")
    assert names_of(store, "run/step1") == ["run/step1", "run/step10/model"]
    assert names_of(store, "run/step10/") == ["run/step10/model"]
    assert names_of(store, "run") == ["run/step1", "run/step10/model", "run/step2/model", "runs/step1"]
    assert names_of(store, "run/s") == ["run/step1", "run/step10/model", "run/step2/model"]


def test_a_level_has_the_objects_and_folders_directly_there(store: Store) -> None:
    for name in ("run/config", "run/step1/model", "run/step1/deep/model", "run/step10/model", "top"):
        store.put(name, b"12")
    level = store.list_level("run/")
    assert [item.name for item in level.objects] == ["run/config"]
    assert level.objects[0] == store.head("run/config")
    assert level.folders == ("run/step1/", "run/step10/")
    assert store.list_level("run") == level
    assert store.list_level().folders == ("run/",)
    assert [item.name for item in store.list_level().objects] == ["top"]


def test_more_objects_than_a_page_are_listed_whole(store: Store) -> None:
    names = [f"run/step{step:06}/{part}" for step in range(210) for part in "abcde"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(name, b""), names))

    assert names_of(store) == names
    assert names_of(store, "run/step0001") == [name for name in names if name.startswith("run/step0001")]
    assert len(store.list_level("run/").folders) == 210


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_taken_literally(store: Store, tmp_path: Path, name: str) -> None:
    assert store.put_if_absent(name, b"odd") is True
    assert store.put_if_absent(name, b"odd") is False
    assert names_of(store) == [name]
    item = store.head(name)
    assert item is not None
    store.download(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == store.get(name) == b"odd"
    store.delete(name)
    assert names_of(store) == []


@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_names_that_could_leave_the_root_are_refused(store: Store, tmp_path: Path, name: str) -> None:
    item = StoredObject(name, 1, "etag", datetime.now(UTC))
    for attempt in (
        lambda: store.put(name, b"x"),
        lambda: store.put_if_absent(name, b"x"),
        lambda: store.put_if_unchanged(name, b"x", "etag"),
        lambda: store.get(name),
        lambda: store.head(name),
        lambda: store.delete(name),
        lambda: store.download(item, tmp_path / "file"),
    ):
        with pytest.raises(StoreError, match="is not a name") as caught:
            attempt()
        assert caught.value.permanent
        assert caught.value.reason == "NameInvalid"


def test_folders_and_prefixes_that_could_leave_the_root_are_refused(store: Store) -> None:
    for folder in ("..", "../", "a/../", "/a/", "a//"):
        with pytest.raises(StoreError, match="is not a name"):
            store.at(folder)
        with pytest.raises(StoreError, match="is not a name"):
            store.list_level(folder)
    for prefix in ("../", "../x", "/x", "a/../b", "a//b", "a\0"):
        with pytest.raises(StoreError, match="is not a name"):
            list(store.list(prefix))


def test_a_store_rooted_at_a_folder_sees_that_folder_alone(store: Store) -> None:
    store.put("run/step1/model", b"1")
    store.put("run/step10/model", b"10")
    below = store.at("run/step1")

    assert names_of(below) == ["model"]
    assert below.get("model") == b"1"
    assert below.uri == store.uri + "run/step1/"
    assert store.at("run/").at("step1/").uri == below.uri
    assert store.at("").uri == store.uri
    assert names_of(open_store(below.uri)) == ["model"]


def test_a_download_is_whole_and_replaces_the_file(store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    store.put("weights", content)
    item = store.head("weights")
    assert item is not None
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "weights").write_bytes(b"old")

    store.download(item, tmp_path / "local" / "weights")

    assert (tmp_path / "local" / "weights").read_bytes() == content
    assert [path.name for path in (tmp_path / "local").iterdir()] == ["weights"]


@pytest.mark.parametrize("content", [b"other", b"longer than before", b""])
def test_an_object_overwritten_since_the_listing_is_not_downloaded(
    store: Store, tmp_path: Path, content: bytes
) -> None:
    store.put("weights", b"first")
    item = store.head("weights")
    assert item is not None
    time.sleep(CLOCK_TICK_SECONDS)
    store.put("weights", content)

    with pytest.raises(ObjectChanged, match="weights"):
        store.download(item, tmp_path / "local" / "weights")
    assert list(tmp_path.glob("local/*")) == []


def test_an_object_deleted_since_the_listing_is_not_found(store: Store, tmp_path: Path) -> None:
    store.put("weights", b"first")
    item = store.head("weights")
    assert item is not None
    store.delete("weights")
    with pytest.raises(ObjectNotFound, match="weights"):
        store.download(item, tmp_path / "weights")


def test_many_threads_use_one_store(store: Store) -> None:
    ready = threading.Barrier(32)

    def use(number: int) -> list[str]:
        ready.wait()
        mine = store.at(f"thread{number}")
        for part in range(5):
            mine.put(f"object{part}", bytes([number, part]))
        assert all(mine.get(f"object{part}") == bytes([number, part]) for part in range(5))
        return names_of(mine)

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(use, range(32)))
    assert found == [[f"object{part}" for part in range(5)]] * 32


def test_a_span_that_no_object_can_have_is_a_mistake_of_the_caller(store: Store) -> None:
    store.put("object", b"x")
    for start, length in ((-1, None), (0, -1)):
        with pytest.raises(ValueError, match="negative"):
            store.get("object", start, length)


def test_the_requests_of_listings_are_counted(store: Store) -> None:
    for number in range(3):
        store.put(f"folder/{number}", b"")
    assert store.list_requests == 0

    assert len(list(store.list())) == 3
    assert store.list_requests == 1
    assert store.list_level().folders == ("folder/",)
    assert store.list_requests == 2
    assert list(store.list("missing/")) == []
    assert store.list_requests == 3
    assert store.at("folder/").list_requests == 0
