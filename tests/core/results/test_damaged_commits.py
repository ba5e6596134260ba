"""Whatever one commit holds, it is read or named and left out, and the others are read."""

from __future__ import annotations

import hashlib
import json

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings

from fineline.results import METRICS, Metrics, UnitAddress, arrow, read_metrics
from fineline.results.layout import COMPACTED
from fineline.results.schemas import MANIFEST_KEY
from fineline.store import Store
from support.damaged import DAMAGED, ODD, OTHER_COLUMNS
from support.publishing import MANIFEST, metrics_of
from support.watched_store import MemoryStore

GOOD = UnitAddress("tiny", "main", 0, "piqa", "0123456789abcdef")
OTHER = UnitAddress("other", "main", 0, "piqa", "0123456789abcdef")


def beside_others(data: bytes) -> MemoryStore:
    """The damaged commit, and two that are whole."""
    store = MemoryStore()
    store.put(ODD.metrics, data)
    for address in (GOOD, OTHER):
        store.put(address.metrics, arrow.to_file(metrics_of(address)))
    return store


def read_in_every_way(store: Store) -> Metrics:
    """The same commit by commit, while it is compacted, and from compacted files."""
    plain = read_metrics(store)
    for compact in (True, False):
        found = read_metrics(store, compact=compact)
        assert found.frame.equals(plain.frame)
        assert (found.notices, found.commits, found.commits_digest) == (
            plain.notices,
            plain.commits,
            plain.commits_digest,
        )
        assert found.hindrance == ""
    return plain


def assert_left_out(data: bytes, words: str) -> None:
    found = read_in_every_way(beside_others(data))
    assert found.frame.select("run", "step").rows() == [("other", 0), ("tiny", 0)]
    assert found.commits == 2
    (notice,) = found.notices
    assert notice.startswith(f"memory://bucket/{ODD.metrics}: ")
    assert words in notice
    assert notice.endswith("; left out")


@settings(max_examples=150)
@given(DAMAGED)
def test_whatever_a_commit_holds_the_others_are_read(data: bytes) -> None:
    found = read_in_every_way(beside_others(data))
    assert {("other", 0), ("tiny", 0)} <= set(found.frame.select("run", "step").rows())
    assert found.commits == 3 - len(found.notices)
    for notice in found.notices:
        assert ODD.metrics in notice
        notice.encode()


def with_labels(labels: object) -> bytes:
    manifest = json.dumps({**json.loads(MANIFEST.to_json()), "labels": labels}).encode()
    return arrow.to_file(metrics_of(ODD), {MANIFEST_KEY: manifest})


@pytest.mark.parametrize(
    "labels", [{"family": "\ud83d"}, {"strategy": {"data": "\ud83d"}}, {"strategy": {"\udc00": 1}}]
)
def test_half_a_character_in_labels_is_named(labels: object) -> None:
    assert_left_out(with_labels(labels), "the labels in its manifest are no text")


def at_microseconds(value: int) -> bytes:
    table = metrics_of(ODD)
    times = pa.array([value], pa.int64()).cast(METRICS.field("evaluated_at").type)
    return arrow.to_file(table.set_column(table.column_names.index("evaluated_at"), "evaluated_at", times))


@pytest.mark.parametrize("value", [253_402_300_800_000_000, 2**63 - 1, -(2**63) + 1, -62_135_596_800_000_001])
def test_a_time_of_no_calendar_is_named(value: int) -> None:
    assert_left_out(at_microseconds(value), "evaluated_at is no time between the years 1 and 9999")


def test_the_last_microsecond_of_the_calendar_is_a_time() -> None:
    found = read_in_every_way(beside_others(at_microseconds(253_402_300_799_999_999)))
    assert (found.commits, found.notices) == (3, ())


def test_a_commit_without_rows_is_named() -> None:
    assert_left_out(arrow.to_file(METRICS.empty_table()), "has no rows")


@pytest.mark.parametrize("name", ["run", "branch", "step", "task"])
def test_rows_of_several_units_are_no_commit(name: str) -> None:
    table = pa.concat_tables([metrics_of(ODD)] * 2)
    field = METRICS.field(name)
    column = pa.array([1, 2], pa.int64()).cast(field.type)
    mixed = table.set_column(METRICS.names.index(name), field, column)
    assert_left_out(arrow.to_file(mixed), f"has rows of more than one {name}, which no commit has")


def test_a_version_of_thousands_of_digits_is_named() -> None:
    assert_left_out(arrow.to_file(metrics_of(ODD), {arrow.VERSION_KEY: b"9" * 5000}), "has schema version 999999999;")


def test_a_file_that_is_far_too_large_is_not_fetched_and_rows_that_grow_too_large_are_not_kept() -> None:
    assert_left_out(b"x" * (16 * 1024 * 1024 + 1), "16,777,217 bytes, which no commit has")
    table = metrics_of(ODD)
    wide = table.set_column(0, "run", pa.array(["x" * (17 * 1024 * 1024)]))
    data = arrow.to_file(wide)
    assert len(data) < 100_000
    assert_left_out(data, "bytes of rows, which no commit has")


@pytest.mark.parametrize("damage", sorted(OTHER_COLUMNS))
@pytest.mark.parametrize("name", ["run", "subtask", "value", "evaluated_at"])
def test_a_column_of_another_type_is_taken_as_ours_or_named(name: str, damage: str) -> None:
    table = metrics_of(ODD)
    column = OTHER_COLUMNS[damage](table[name])
    table = table.set_column(table.column_names.index(name), pa.field(name, column.type), column)
    found = read_in_every_way(beside_others(arrow.to_file(table)))
    assert found.commits + len(found.notices) == 3
    assert found.frame.schema == pl.DataFrame(METRICS.empty_table()).schema


def old_compacted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compacted file of a Fineline that took any time."""
    with monkeypatch.context() as patch:
        patch.setattr("fineline.results.commits.LAST_TIME", 2**63 - 1)
        read_metrics(store, compact=True)


def test_a_time_of_no_calendar_in_an_older_compacted_file_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    store = beside_others(at_microseconds(253_402_300_800_000_000))
    old_compacted(store, monkeypatch)
    assert [name for name in store.objects if name.startswith(COMPACTED)]
    found = read_metrics(store, compact=True)
    assert found.frame.select("run", "step").rows() == [("other", 0), ("tiny", 0)]
    (notice,) = found.notices
    assert "evaluated_at" in notice


def rewrite(store: MemoryStore, **metadata: bytes) -> None:
    """The compacted file of the run tiny gets other metadata, and the name that fits them."""
    (name,) = (name for name in store.objects if name.startswith(f"{COMPACTED}run=tiny"))
    table = arrow.from_file(store.objects.pop(name), name)
    changed = {f"fineline.{key}".encode(): value for key, value in metadata.items()}
    data = arrow.to_file(table, {**(table.schema.metadata or {}), **changed})
    folder = name.rpartition("/")[0]
    store.put(f"{folder}/00000001-{hashlib.sha256(data).hexdigest()[:32]}.arrow", data)


@pytest.mark.parametrize(
    "left_out", [b"{", b"7", b"[[1]]", b'[["a", "b", "\\ud83d"]]', b'{"a": 1}', b"[" * 100_000], ids=str
)
def test_what_a_compacted_file_says_of_commits_left_out_is_not_believed_blindly(left_out: bytes) -> None:
    store = beside_others(b"ARROW1")
    before = read_metrics(store, compact=True)
    rewrite(store, left_out=left_out)
    found = read_metrics(store, compact=True)
    assert found.frame.equals(before.frame)
    assert found.notices == before.notices


def test_what_was_left_out_by_other_rules_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = beside_others(arrow.to_file(metrics_of(ODD), {arrow.VERSION_KEY: b"2"}))
    assert len(read_metrics(store, compact=True).notices) == 1
    monkeypatch.setattr("fineline.results.arrow.SCHEMA_VERSION", 2)
    monkeypatch.setattr("fineline.results.compacted.JUDGED_BY", "2.1")
    assert read_metrics(store).notices == ()
