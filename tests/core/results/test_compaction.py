"""Compacted metrics: what is new is read, the rest comes from few files, and no fault of theirs changes a row."""

from __future__ import annotations

import hashlib
import json
import struct
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fineline.errors import StoreDenied
from fineline.results import Metrics, RunLabels, UnitAddress, arrow, publish, read_metrics
from fineline.results.analyses import commits_digest, listed_commits
from fineline.results.compaction import to_merge
from fineline.results.layout import COMPACTED
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.store import Store, open_store
from support.publishing import MANIFEST, commit, metrics_of, samples_of
from support.watched_store import MemoryStore, WatchedStore


def unit(step: int, run: str = "tiny", task: str = "piqa") -> UnitAddress:
    return UnitAddress(run, "main", step, task, "0123456789abcdef")


def put(store: Store, address: UnitAddress, value: float = 0.5) -> None:
    store.put(address.metrics, arrow.to_file(metrics_of(address, value)))


def compacted(store: Store) -> list[str]:
    return [item.name for item in store.list(COMPACTED)]


def gets(store: Store, **options: bool) -> int:
    watched = WatchedStore(store)
    read_metrics(watched, **options)  # type: ignore[arg-type]
    return watched.calls["get"]


def assert_same(one: Metrics, other: Metrics) -> None:
    assert_frame_equal(one.frame, other.frame)
    assert (one.notices, one.commits, one.commits_digest) == (other.notices, other.commits, other.commits_digest)


def test_a_second_read_takes_one_file_a_run_and_says_the_same(store: Store) -> None:
    for run in ("tiny", "other/run"):
        for step in range(4):
            commit(store, unit(step, run), value=step / 8)
    before = read_metrics(store)
    assert_same(read_metrics(store, compact=True), before)
    assert len(compacted(store)) == 2
    assert gets(store) == 2
    assert_same(read_metrics(store), before)
    assert_same(read_metrics(store, compact=True), before)


def test_reads_after_new_commits_grow_with_what_is_new() -> None:
    store = MemoryStore()
    for step in range(300):
        put(store, unit(step))
    assert gets(store, compact=True) == 300
    for step in range(300, 303):
        put(store, unit(step))
    assert gets(store, compact=True) == 3 + 1
    assert gets(store, compact=True) == 2
    put(store, unit(303))
    assert gets(store, compact=True) == 1 + 2
    assert_frame_equal(read_metrics(store).frame, read_metrics(without_compacted(store)).frame)


def without_compacted(store: MemoryStore) -> MemoryStore:
    plain = MemoryStore()
    plain.objects = {name: data for name, data in store.objects.items() if not name.startswith(COMPACTED)}
    return plain


def test_files_stay_few_and_are_not_rewritten_again_and_again() -> None:
    store, most, written = MemoryStore(), 0, 0
    for step in range(80):
        put(store, unit(step))
        before = set(compacted(store))
        read_metrics(store, compact=True)
        written += sum(arrow.from_file(store.get(name), name).num_rows for name in set(compacted(store)) - before)
        most = max(most, gets(store))
    assert most <= 5
    assert written <= 80 * 8
    assert len(compacted(store)) <= 8


@given(st.integers(1, 1000), st.lists(st.integers(0, 10**6), max_size=30))
def test_what_is_not_merged_grows_threefold_from_file_to_file(fresh: int, sizes: list[int]) -> None:
    merged = to_merge(fresh, sizes)
    below = fresh + sum(sizes[place] for place in merged)
    for size in sorted(size for place, size in enumerate(sizes) if place not in merged):
        assert size > 2 * below
        below += size


def test_an_overwritten_commit_and_one_that_is_deleted_are_honoured(store: Store) -> None:
    for step in range(3):
        put(store, unit(step), value=0.25)
    read_metrics(store, compact=True)
    store.delete(unit(0).metrics)
    store.put(unit(1).metrics, arrow.to_file(metrics_of(unit(1), 0.75), {b"so that": b"its size differs too"}))
    for compact in (False, True, False):
        assert read_metrics(store, compact=compact).frame.select("step", "value").rows() == [(1, 0.75), (2, 0.25)]


def test_a_commit_that_is_overwritten_while_it_is_read_is_not_compacted_as_the_listed_one() -> None:
    store = MemoryStore()
    put(store, unit(0), value=0.25)
    listed = store.get(unit(0).metrics)

    def overwrite(method: str, name: str) -> None:
        if (method, name) == ("get", unit(0).metrics):
            put(store, unit(0), value=0.75)

    found = read_metrics(WatchedStore(store, overwrite), compact=True)
    assert found.frame["value"].to_list() == [0.75]
    assert found.commits_digest == commits_digest(listed_commits(store))
    store.put(unit(0).metrics, listed)
    assert read_metrics(store).frame["value"].to_list() == [0.25]


@pytest.mark.parametrize("how", ["cut", "one bit", "empty", "foreign", "gone"])
def test_a_broken_compacted_file_costs_reads_and_is_written_anew(store: Store, how: str) -> None:
    for step in range(3):
        commit(store, unit(step), value=step / 8)
    before = read_metrics(store, compact=True)
    (name,) = compacted(store)
    data = bytearray(store.get(name))
    data[len(data) // 2] ^= 1
    broken = {"cut": bytes(data[: len(data) // 2]), "one bit": bytes(data), "empty": b"", "foreign": b"<html>"}
    if how == "gone":
        store.delete(name)
    else:
        store.put(name, broken[how])
    assert_same(read_metrics(store), before)
    assert_same(read_metrics(store, compact=True), before)
    assert gets(store) == 1


def test_a_file_of_a_later_version_is_left_alone(store: Store) -> None:
    commit(store, unit(0))
    table = metrics_of(unit(0), 0.9).append_column("unknown", [["?"]])
    data = arrow.to_file(table, {b"fineline.compaction_version": b"2"})
    name = f"{COMPACTED}run=tiny/00000007-{hashlib.sha256(data).hexdigest()[:32]}.arrow"
    store.put(name, data)
    assert read_metrics(store, compact=True).frame["value"].to_list() == [0.5]
    assert store.get(name) == data


def test_replaced_files_are_deleted_one_analysis_later_and_not_read_meanwhile(directory_store: Store) -> None:
    store = directory_store
    for step in range(3):
        commit(store, unit(step))
        read_metrics(store, compact=True)
    first, second = compacted(store), gets(store)
    assert second == 1
    read_metrics(store, compact=True)
    assert compacted(store) == first[-1:]


def test_a_store_that_refuses_writes_is_told_once_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    for run in ("a", "b", "c"):
        put(store, unit(0, run))
    tried: list[str] = []

    def refuse(method: str, name: str) -> None:
        if method in ("put", "put_if_absent", "delete"):
            tried.append(name)
            raise StoreDenied("memory://bucket/: not allowed")

    monkeypatch.setattr("fineline.results.reading._RUNS_AT_ONCE", 1)
    found = read_metrics(WatchedStore(store, refuse), compact=True)
    assert_same(found, read_metrics(store))
    assert found.hindrance.endswith("reads these again: memory://bucket/: not allowed")
    assert len(tried) == 1, "of the other runs nothing is tried"


def test_a_store_that_refuses_deletes_grows_slowly_and_is_no_trouble() -> None:
    store = MemoryStore()

    def refuse(method: str, name: str) -> None:
        if method == "delete":
            raise StoreDenied("memory://bucket/: not allowed")

    watched = WatchedStore(store, refuse)
    for step in range(20):
        put(store, unit(step))
        assert read_metrics(watched, compact=True).hindrance == ""
    assert gets(store) <= 4
    assert read_metrics(store).frame["step"].to_list() == list(range(20))


def test_two_writers_at_once_double_and_lose_nothing(store: Store) -> None:
    for step in range(12):
        commit(store, unit(step), value=step / 16)
    before = read_metrics(store)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: read_metrics(open_store(store.uri), compact=True), range(2)))
    for found in (*both, read_metrics(store)):
        assert_same(found, before)
    assert gets(store) == 1


def test_some_tasks_are_read_alone_and_the_files_keep_the_others(store: Store) -> None:
    for task in ("piqa", "arc/easy"):
        commit(store, unit(0, task=task))
    read_metrics(store, compact=True)
    commit(store, unit(1, task="arc/easy"))
    some = read_metrics(store, tasks=["arc/easy"], compact=True)
    assert some.frame.select("step", "task").rows() == [(0, "arc/easy"), (1, "arc/easy")]
    assert read_metrics(store).frame.height == 3
    assert gets(store) == 1


def test_rows_of_another_run_under_a_run_s_folder_stand_in_their_order(store: Store) -> None:
    commit(store, unit(5, "b"))
    store.put(unit(1, "z").metrics, arrow.to_file(metrics_of(unit(1, "a"))))
    for compact in (False, True, False):
        assert read_metrics(store, compact=compact).frame["run"].to_list() == ["a", "b"]


def labelled(store: Store, address: UnitAddress, labels: object, minute: int = 0) -> None:
    table = metrics_of(address).to_pylist()[0]
    table["evaluated_at"] = table["evaluated_at"].replace(minute=minute)
    manifest = {**json.loads(MANIFEST.to_json()), "labels": labels}
    rows = pl.DataFrame([table]).to_arrow(compat_level=pl.CompatLevel.oldest())
    store.put(address.metrics, arrow.to_file(rows.cast(METRICS), {MANIFEST_KEY: json.dumps(manifest).encode()}))


def test_runs_are_chosen_by_the_family_of_their_newest_result(store: Store) -> None:
    labelled(store, unit(1, "moved"), {"family": "old"}, minute=1)
    labelled(store, unit(2, "moved"), {"family": "sevens"}, minute=2)
    labelled(store, unit(3, "moved"), {"family": "old"}, minute=0)
    labelled(store, unit(1, "other"), {"family": "thirteens"})
    labelled(store, unit(1, "odd"), ["sevens"])
    commit(store, unit(1, "alone"))
    for compact in (False, True, False):
        found = read_metrics(store, families=["sevens"], compact=compact)
        assert found.frame.select("run", "step").rows() == [("moved", 1), ("moved", 2), ("moved", 3)]
        assert found.commits == 3
        assert found.commits_digest == commits_digest(listed_commits(store))
        assert found.labels["moved"].family == "sevens"


def test_a_broken_result_of_a_run_of_unknown_family_is_told(store: Store) -> None:
    store.put(unit(1, "torn").metrics, b"ARROW1")
    labelled(store, unit(1, "other"), {"family": "thirteens"})
    store.put(unit(2, "other").metrics, b"ARROW1")
    (notice,) = read_metrics(store, families=["sevens"]).notices
    assert "run=torn" in notice


def test_a_result_carries_its_run_s_labels(store: Store) -> None:
    labels = RunLabels("sevens", 7_000_000_000, 4_000_000, {"data": "v2"})
    manifest = type(MANIFEST)(**{**vars(MANIFEST), "labels": labels})
    publish(store, unit(0), samples_of("1"), metrics_of(unit(0)), manifest)
    assert read_metrics(store, compact=True).labels == {"tiny": labels}
    assert read_metrics(store).labels == {"tiny": labels}
    assert type(manifest).from_json(manifest.to_json(), "m").labels == labels


def test_labels_stand_on_the_first_row_of_each_commit_alone() -> None:
    store = MemoryStore()
    labels = RunLabels("sevens", strategy={"data": "v" * 1000})
    manifest = type(MANIFEST)(**{**vars(MANIFEST), "labels": labels})
    for step in range(3):
        publish(store, unit(step), samples_of("1"), pa.concat_tables([metrics_of(unit(step))] * 50), manifest)
        read_metrics(store, compact=True)
    name = compacted(store)[-1]
    rows = pl.DataFrame(arrow.from_file(store.get(name), name).replace_schema_metadata(None))
    assert rows.height == 150
    known = rows.with_row_index().filter(pl.col("labels").is_not_null())
    assert known["index"].to_list() == [0, 50, 100]
    assert read_metrics(store).labels == {"tiny": labels}


def test_what_is_too_much_for_a_file_hinders_compaction_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    put(store, unit(0))

    def too_much(*_: object) -> None:
        raise pa.ArrowCapacityError("array cannot contain more than 2147483646 bytes")

    monkeypatch.setattr("fineline.results.compacted.arrow.to_file", too_much)
    found = read_metrics(store, compact=True)
    assert found.frame.height == 1
    assert "cannot contain more" in found.hindrance


def test_commits_that_are_left_out_are_remembered_and_cost_no_reads() -> None:
    store = MemoryStore()
    put(store, unit(0))
    for step in range(1, 11):
        store.put(unit(step).metrics, arrow.to_file(METRICS.empty_table()))
    for step in range(11, 21):
        store.put(unit(step).metrics, b"ARROW1")
    first = read_metrics(store, compact=True)
    assert len(first.notices) == 20
    assert first.commits == 1
    assert gets(store, compact=True) == 1
    watched = WatchedStore(store)
    assert_same(read_metrics(watched, compact=True), first)
    assert (watched.calls["get"], watched.calls["head"]) == (1, 0)
    put(store, unit(12))
    put(store, unit(21))
    assert gets(store, compact=True) == 1 + 2
    found = read_metrics(store)
    assert found.frame["step"].to_list() == [0, 12, 21]
    assert len(found.notices) == 19
    assert_same(found, read_metrics(without_compacted(store)))


def test_runs_of_which_nothing_can_be_read_are_remembered_too() -> None:
    store = MemoryStore()
    for step in range(5):
        store.put(unit(step).metrics, b"")
    before = read_metrics(store, compact=True)
    assert gets(store) == 1
    assert_same(read_metrics(store), before)


def test_a_commit_that_vanishes_while_it_is_read_was_never_there_however_it_is_read() -> None:
    for compact in (False, True):
        store = MemoryStore()
        for step in range(2):
            put(store, unit(step))

        def vanish(method: str, name: str, store: MemoryStore = store) -> None:
            if (method, name) == ("get", unit(1).metrics):
                store.objects.pop(name, None)

        found = read_metrics(WatchedStore(store, vanish), compact=compact)
        assert (found.frame["step"].to_list(), found.notices) == ([0], ())
        assert found.commits_digest == commits_digest(listed_commits(store))


@pytest.mark.parametrize("labels", [None, 7, [], {"family": 3, "parameters": "7B", "strategy": "none"}, {"new": 1}])
def test_odd_labels_of_a_manifest_are_unknown_ones(labels: object) -> None:
    values = {**json.loads(MANIFEST.to_json()), "labels": labels}
    assert type(MANIFEST).from_json(json.dumps(values).encode(), "m").labels == RunLabels()


@pytest.mark.parametrize("text", ['{"family": "\\ud83d"}', "[", "7", "[" * 100_000])
def test_labels_of_a_compacted_file_that_are_none_are_unknown_ones(text: str) -> None:
    assert RunLabels.from_json(text) == RunLabels()


def broken(kind: str) -> bytes:
    """A whole Arrow file of ours with something in it that must not be believed."""
    table = metrics_of(unit(1))
    if kind == "a column twice":
        table = pa.table([*table.columns, table.column(0)], names=[*table.column_names, "run"])
    elif kind == "no text":
        ends = struct.pack("2i", 0, 2)
        run = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(ends), pa.py_buffer(b"\xff\xfe")])
        table = table.set_column(0, "run", run)
    elif kind == "another type":
        table = table.set_column(table.column_names.index("value"), "value", [["much"]])
    elif kind == "nothing where something must be":
        table = pa.Table.from_arrays([pa.nulls(1, pa.string()), *table.columns[1:]], schema=METRICS)
    return arrow.to_file(table)


@pytest.mark.parametrize("kind", ["a column twice", "no text", "another type", "nothing where something must be"])
def test_a_whole_file_with_broken_content_is_named_and_left_out(kind: str) -> None:
    store = MemoryStore()
    put(store, unit(0))
    store.put(unit(1).metrics, broken(kind))
    for compact in (True, False):
        found = read_metrics(store, compact=compact)
        assert found.frame["step"].to_list() == [0]
        (notice,) = found.notices
        assert unit(1).metrics in notice
        assert notice.endswith("; left out")


@pytest.mark.parametrize("manifest", [b"", b"\xff", b"[" * 200_000, b'{"labels": {"family": "' + b"x" * 10**5 + b'"}}'])
def test_a_broken_manifest_leaves_the_labels_unknown_and_the_rows_as_they_are(manifest: bytes) -> None:
    store = MemoryStore()
    store.put(unit(0).metrics, arrow.to_file(metrics_of(unit(0)), {MANIFEST_KEY: manifest}))
    found = read_metrics(store, compact=True)
    assert (found.frame.height, found.notices, found.labels) == (1, (), {})


def test_a_manifest_of_an_older_version_has_no_labels() -> None:
    values = json.loads(MANIFEST.to_json())
    del values["labels"]
    assert type(MANIFEST).from_json(json.dumps(values).encode(), "m").labels == RunLabels()
