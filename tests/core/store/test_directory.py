"""What only a directory has: links, special files, temporary files, and disks that fill up."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fineline.errors import ObjectChanged, ObjectNotFound, StoreDenied, StoreError, StoreFull, StoreNotFound
from fineline.store import Store, open_store

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def opened(folder: Path) -> Store:
    return open_store(f"file://{folder}/")


def names_of(store: Store, prefix: str = "") -> list[str]:
    return [item.name for item in store.list(prefix)]


def test_files_behind_links_are_listed(folder: Path, opened: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "step1000").mkdir(parents=True)
    (tmp_path / "elsewhere" / "step1000" / "model").write_bytes(b"weights")
    (folder / "step1000").symlink_to(tmp_path / "elsewhere" / "step1000")
    (folder / "latest").symlink_to("step1000")
    (folder / "config").symlink_to(tmp_path / "elsewhere" / "step1000" / "model")

    assert names_of(opened) == ["config", "latest/model", "step1000/model"]
    assert opened.get("latest/model") == b"weights"
    assert opened.list_level().folders == ("latest/", "step1000/")
    assert names_of(opened, "latest/") == ["latest/model"]


def test_links_that_lead_nowhere_or_to_themselves_are_left_out(folder: Path, opened: Store) -> None:
    (folder / "object").write_bytes(b"x")
    (folder / "broken").symlink_to("nothing")
    (folder / "itself").symlink_to("itself")

    assert names_of(opened) == ["object"]
    assert opened.list_level().folders == ()
    assert opened.head("itself") is None
    with pytest.raises(ObjectNotFound):
        opened.get("broken")


def test_a_link_to_a_folder_above_ends(folder: Path, opened: Store) -> None:
    (folder / "run" / "step1").mkdir(parents=True)
    (folder / "run" / "step1" / "model").write_bytes(b"x")
    (folder / "run" / "step1" / "up").symlink_to("..")
    (folder / "run" / "step1" / "root").symlink_to(folder)

    assert names_of(opened) == ["run/step1/model"]
    assert names_of(opened, "run/") == ["run/step1/model"]


@pytest.mark.timeout(60)
def test_folders_full_of_links_to_each_other_end(folder: Path, opened: Store) -> None:
    for number in range(8):
        (folder / f"step{number}").mkdir()
        (folder / f"step{number}" / "model").write_bytes(b"x")
        for other in range(8):
            (folder / f"step{number}" / f"link{other}").symlink_to(f"../step{other}")

    found = names_of(opened)
    assert {f"step{number}/model" for number in range(8)} <= set(found)
    assert found == sorted(found)


def test_what_is_no_regular_file_is_left_out_and_never_waited_for(folder: Path, opened: Store) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "null").symlink_to("/dev/null")
    (folder / "empty" / "deeper").mkdir(parents=True)

    assert names_of(opened) == []
    assert opened.list_level().folders == ()
    assert opened.head("pipe") is None
    with pytest.raises(ObjectNotFound):
        opened.get("pipe")


def test_names_that_are_not_utf8_are_left_out(folder: Path, opened: Store) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")).write_bytes(b"x")
    (folder / "object").write_bytes(b"x")
    assert names_of(opened) == ["object"]


def test_a_missing_directory_lists_nothing_and_a_file_is_none(tmp_path: Path) -> None:
    assert names_of(open_store(f"file://{tmp_path}/nothing/")) == []
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(StoreNotFound, match="a directory is needed"):
        names_of(open_store(f"file://{tmp_path}/file/"))


def test_a_file_where_a_folder_is_needed_is_said(folder: Path, opened: Store) -> None:
    opened.put("run", b"x")
    opened.put("folder/object", b"x")
    for attempt in (
        lambda: opened.put("run/model", b"x"),
        lambda: opened.put_if_absent("run/model", b"x"),
        lambda: opened.put("folder", b"x"),
    ):
        with pytest.raises(StoreError, match=r"a file stands where a folder is needed|a folder where a file is"):
            attempt()
    assert names_of(opened) == ["folder/object", "run"]


def test_a_part_too_long_for_the_file_system_is_said(opened: Store) -> None:
    with pytest.raises(StoreError, match="too long") as caught:
        opened.put("x" * 300, b"x")
    assert caught.value.reason == "NameInvalid"


def test_temporary_files_are_not_listed_and_stale_ones_removed_by_the_next_write(folder: Path, opened: Store) -> None:
    stale, live = folder / ".fineline-0000.tmp", folder / ".fineline-1111.tmp"
    stale.write_bytes(b"half")
    live.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(stale, (two_days_ago, two_days_ago))
    assert names_of(opened) == []

    opened.put("object", b"x")

    assert names_of(opened) == ["object"]
    assert not stale.exists()
    assert live.exists()


def test_a_write_that_is_killed_leaves_no_object(folder: Path, opened: Store) -> None:
    os.mkfifo(folder.parent / "source")
    # Reading a pipe, the writer waits in the middle of its put.
    script = "import sys; from fineline.store import open_store; from pathlib import Path\n"
    script += "open_store(sys.argv[1]).put_if_absent('commit', Path(sys.argv[2]))"
    writer = subprocess.Popen([sys.executable, "-c", script, opened.uri, str(folder.parent / "source")])
    with (folder.parent / "source").open("wb") as pipe:
        pipe.write(b"x" * MIB)
        pipe.flush()
        writer.kill()
        writer.wait(30)
    assert names_of(opened) == []
    assert opened.put_if_absent("commit", b"whole") is True


def test_an_object_overwritten_while_it_is_downloaded_is_not_kept(folder: Path, opened: Store, tmp_path: Path) -> None:
    (folder / "weights").write_bytes(b"a" * 64 * MIB)
    item = opened.head("weights")
    assert item is not None
    script = (
        "import sys, time\n"
        "with open(sys.argv[1], 'r+b') as file:\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        file.seek(0); file.write(b'b'); file.flush(); time.sleep(0.0001)\n"
    )
    trainer = subprocess.Popen([sys.executable, "-c", script, str(folder / "weights")], stdout=subprocess.PIPE)
    try:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        with pytest.raises(ObjectChanged, match="weights"):
            opened.download(item, tmp_path / "copy")
    finally:
        trainer.kill()
        trainer.communicate()
    assert list(tmp_path.glob("*copy*")) + list(tmp_path.glob(".fineline*")) == []


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one MiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs root: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_and_leaves_nothing_behind(small_disk: Path) -> None:
    store = open_store(f"file://{small_disk}/")
    store.put("small", b"x" * 1000)
    for write in (store.put, store.put_if_absent):
        with pytest.raises(StoreFull, match="no room left") as caught:
            write("large", b"x" * 2 * MIB)
        assert not caught.value.permanent
    assert [path.name for path in small_disk.iterdir()] == ["small"]
    store.put("larger", b"x" * (MIB // 2))


def test_a_download_to_a_full_disk_is_said_and_leaves_nothing_behind(store: Store, small_disk: Path) -> None:
    store.put("weights", b"x" * 2 * MIB)
    item = store.head("weights")
    assert item is not None
    with pytest.raises(StoreFull, match=str(small_disk)):
        store.download(item, small_disk / "weights")
    assert list(small_disk.iterdir()) == []


def test_a_file_larger_than_allowed_is_no_room(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "target"
    opened = open_store(f"file://{target}/")
    store.put("weights", b"x" * 2 * MIB)
    item = store.head("weights")
    assert item is not None
    with file_size_limit(MIB):
        with pytest.raises(StoreFull):
            store.download(item, target / "weights")
        with pytest.raises(StoreFull):
            opened.put("large", b"x" * 2 * MIB)
        with pytest.raises(StoreFull):
            opened.put_if_absent("large", b"x" * 2 * MIB)
    assert list(target.iterdir()) == []


def test_where_there_are_no_locks_an_object_is_replaced_all_the_same(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some network mounts have none."""

    def no_lock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fineline.store.directory.fcntl.flock", no_lock)
    opened.put("pointer", b"first")
    item = opened.head("pointer")
    assert item is not None
    assert opened.put_if_unchanged("pointer", b"second", item.etag) is True
    assert opened.put_if_unchanged("pointer", b"third!", item.etag) is False
    assert opened.get("pointer") == b"second"
    assert names_of(opened) == ["pointer"]


def test_a_directory_that_may_not_be_used_is_denied(folder: Path, opened: Store) -> None:
    opened.put("object", b"x")
    item = opened.head("object")
    assert item is not None
    etag = item.etag
    # Root may do all, so the rest is done as nobody.
    folder.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        for attempt in (
            lambda: names_of(opened),
            opened.list_level,
            lambda: opened.head("object"),
            lambda: opened.get("object"),
            lambda: opened.put("other", b"x"),
            lambda: opened.put_if_absent("other", b"x"),
            lambda: opened.put_if_unchanged("object", b"x", etag),
            lambda: opened.delete("object"),
        ):
            with pytest.raises(StoreDenied, match="not allowed"):
                attempt()
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
    assert names_of(opened) == ["object"]
