"""Whatever happens to commits and compacted files, and wherever a writer is ended: metrics read as if nothing were
compacted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fineline.errors import ResultError
from fineline.results import METRICS, Metrics, UnitAddress, arrow, layout, read_metrics
from fineline.results.layout import COMPACTED
from fineline.store import Store
from support.publishing import metrics_of
from support.watched_store import MemoryStore, WatchedStore

RUNS = ("a", "ü/%")
UNITS = [UnitAddress(run, "main", step, "piqa", "0" * 16) for run in RUNS for step in range(3)]


@pytest.fixture(autouse=True, scope="module")
def one_call_at_a_time() -> Iterator[None]:
    """So that the same history makes the same calls in the same order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fineline.results.reading.READERS", 1)
        patch.setattr("fineline.results.reading._RUNS_AT_ONCE", 1)
        yield


class KilledError(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class Happening:
    """Something done to the store: `what`, to the `which`-th thing of its kind, with a `value`."""

    what: str
    which: int
    value: int


HAPPENINGS = st.builds(
    Happening,
    st.sampled_from(["commit"] * 4 + ["tear commit", "delete commit", "cut file", "lose file", "bring file back"]),
    st.integers(0, 5),
    st.integers(0, 2),
)


@dataclass(frozen=True)
class Writer:
    """One that reads and compacts; ahead of some of its store calls something happens, at one it may be ended."""

    between: tuple[tuple[int, Happening | Writer], ...] = ()
    killed_at: int | None = None


CALL = st.integers(0, 20)
UNDISTURBED = st.just(Writer())
DISTURBED = st.builds(
    Writer,
    st.lists(st.tuples(CALL, HAPPENINGS | st.builds(Writer, st.just(()), st.none() | CALL)), max_size=3).map(tuple),
    st.none() | CALL,
)
HISTORIES = st.lists(HAPPENINGS | UNDISTURBED | DISTURBED, min_size=6, max_size=20)


class World:
    """A store, and every compacted file that ever was in it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ever: dict[str, bytes] = {}

    def live(self, history: Sequence[Happening | Writer]) -> Iterator[Happening | Writer]:
        for one in history:
            self.happen(one)
            yield one

    def happen(self, one: Happening | Writer) -> None:
        if isinstance(one, Writer):
            self.write(one)
            return
        objects = self.store.objects
        files = sorted(name for name in objects if name.startswith(COMPACTED))
        self.ever.update((name, objects[name]) for name in files if name not in self.ever)
        unit = UNITS[one.which % len(UNITS)]
        if one.what == "commit":
            objects[unit.metrics] = arrow.to_file(metrics_of(unit, one.value / 2))
        elif one.what == "tear commit":
            objects[unit.metrics] = objects.get(unit.metrics, b"foreign")[: 100 * one.value]
        elif one.what == "delete commit":
            objects.pop(unit.metrics, None)
        elif one.what == "bring file back" and self.ever:
            name = sorted(self.ever)[one.which % len(self.ever)]
            objects[name] = self.ever[name]
        elif files and one.what == "cut file":
            name = files[one.which % len(files)]
            objects[name] = objects[name][: len(objects[name]) * one.value // 3]
        elif files and one.what == "lose file":
            del objects[files[one.which % len(files)]]

    def write(self, writer: Writer) -> None:
        calls = iter(range(10**6))

        def before(method: str, name: str) -> None:
            call = next(calls)
            if call == writer.killed_at:
                raise KilledError
            for place, one in writer.between:
                if place == call:
                    self.happen(one)

        with suppress(KilledError):
            read_metrics(WatchedStore(self.store, before), compact=True)


def plainly_read(store: Store) -> tuple[pl.DataFrame, list[str]]:
    """The rows of every commit that can be read, and the names of those that can't."""
    tables, broken = [METRICS.empty_table()], []
    for item in store.list("units/"):
        if layout.is_commit(item.name):
            try:
                tables.append(arrow.from_file(store.get(item.name), item.name).cast(METRICS))
            except ResultError:
                broken.append(item.name)
    frame = pl.DataFrame(pa.concat_tables(tables).replace_schema_metadata(None))
    return frame.sort("run", "branch", "step", "task", "subtask", "metric", "filter", "key"), broken


def assert_reads_as_ever(store: Store, found: Metrics) -> None:
    frame, broken = plainly_read(store)
    assert_frame_equal(found.frame, frame)
    assert len(found.notices) == len(broken)
    assert all(any(name in notice for notice in found.notices) for name in broken)


@settings(max_examples=60)
@given(HISTORIES)
def test_metrics_read_the_same_after_any_history_of_commits_files_and_writers(
    history: list[Happening | Writer],
) -> None:
    world = World()
    for _ in world.live(history):
        assert_reads_as_ever(world.store, read_metrics(world.store))
    digest = read_metrics(world.store).commits_digest
    compacted = read_metrics(world.store, compact=True)
    assert_reads_as_ever(world.store, compacted)
    assert compacted.commits_digest == read_metrics(world.store).commits_digest == digest


@settings(max_examples=30)
@given(HISTORIES)
def test_after_any_history_a_second_reader_reads_few_files_and_no_commit(history: list[Happening | Writer]) -> None:
    world = World()
    for _ in world.live(history):
        pass
    read_metrics(world.store, compact=True)
    got: list[str] = []
    watched = WatchedStore(world.store, lambda method, name: got.append(name) if method == "get" else None)
    assert_reads_as_ever(world.store, read_metrics(watched))
    assert [name for name in got if not name.startswith(COMPACTED)] == []
    files_a_run = 6
    assert len(got) <= files_a_run * len(RUNS)
