"""What a listing tells of a plan's units, at a bounded cost, and which failures are told to people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fineline.errors import CheckpointError, TaskError
from fineline.results import (
    AttemptRecord,
    UnitAddress,
    UnitState,
    first_failures,
    forget_failure,
    planned_states,
    read_failure,
    record_attempt,
    record_failure,
    run_states,
)
from fineline.store import Store, StoredObject, open_store

TASKS = ("boolq", "mmlu", "piqa")
UNREADABLE = CheckpointError("model.safetensors is cut; upload it again", reason="WeightsUnreadable")
NO_SPLIT = TaskError("mmlu: the mirror lacks the split test", reason="SplitMissing")


def unit(step: int, task: str = "piqa", *, run: str = "tiny", branch: str = "main", key: str = "0" * 16) -> UnitAddress:
    return UnitAddress(run, branch, step, task, key)


def units(steps: range) -> list[UnitAddress]:
    return [unit(step, task) for step in steps for task in TASKS]


class Counted:
    """Counts the listings of a store, and the objects that they gave."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.prefixes: list[str] = []
        self.objects = 0

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.prefixes.append(prefix)
        for item in self._store.list(prefix):
            self.objects += 1
            yield item


def test_the_states_of_planned_units_are_told_and_no_others(store: Store) -> None:
    committed, failed, tried, both, untouched = (unit(step) for step in (1, 2, 3, 4, 5))
    store.put(committed.metrics, b"")
    store.put(committed.attempt(1), b"")
    record_failure(store, failed, NO_SPLIT, "task", 0)
    store.put(tried.attempt(2), b"")
    store.put(both.failed, b"{}")
    store.put(both.metrics, b"")
    for foreign in (replace(committed, key="f" * 16), unit(1, "boolq"), unit(1, branch="other"), unit(1, run="tiny2")):
        store.put(foreign.metrics, b"")
    states = planned_states(store, [committed, failed, tried, both, untouched])
    assert states == {
        committed: UnitState(committed=True, attempts=1),
        failed: UnitState(failed=True),
        tried: UnitState(attempts=2),
        both: UnitState(committed=True, failed=True),
    }
    assert [state.failed_for_good for state in states.values()] == [False, True, False, False]


def test_under_a_retry_failures_of_earlier_ones_count_as_none(store: Store) -> None:
    earlier, now, unreadable = unit(1), unit(2), unit(3)
    record_failure(store, earlier, NO_SPLIT, "task", 0, "one")
    record_failure(store, now, NO_SPLIT, "task", 0, "two")
    store.put(unreadable.failed, b"{")
    planned = [earlier, now, unreadable]
    assert [state.failed for state in planned_states(store, planned, "two").values()] == [False, True, True]
    assert [state.failed for state in planned_states(store, planned).values()] == [True, True, True]


def test_nothing_planned_asks_nothing(store: Store) -> None:
    counted = Counted(store)
    assert planned_states(counted, []) == {}  # type: ignore[arg-type]
    assert counted.prefixes == []


@pytest.mark.parametrize("branches", [("main",), ("main", "annealed", "stage 2/%")])
def test_planned_states_are_those_of_the_whole_run(branches: tuple[str, ...], directory_store: Store) -> None:
    everything = [unit(step, task, branch=branch) for branch in branches for step in range(30) for task in TASKS]
    for number, each in enumerate(everything):
        if number % 3:
            directory_store.put(each.metrics if number % 2 else each.failed, b"")
    whole = run_states(directory_store, "tiny")
    for planned in (everything, everything[:1], everything[-4:], everything[::7]):
        states = planned_states(directory_store, planned)
        assert states == {each: whole[each] for each in planned if each in whole}


def test_checkpoints_side_by_side_are_one_listing(directory_store: Store) -> None:
    for each in units(range(12)):
        directory_store.put(each.metrics, b"")
    counted = Counted(directory_store)
    assert len(planned_states(counted, units(range(12)))) == 36  # type: ignore[arg-type]
    assert len(counted.prefixes) == 1


def test_a_few_checkpoints_of_a_long_run_do_not_list_all_of_it(
    directory_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fineline.results.observing._PAGE_OBJECTS", 20)
    monkeypatch.setattr("fineline.results.observing._OBJECTS_A_REQUEST", 3)
    for each in units(range(200)):
        directory_store.put(each.metrics, b"")
    planned = units(range(3)) + units(range(100, 102)) + units(range(198, 200))
    counted = Counted(directory_store)
    states = planned_states(counted, planned)  # type: ignore[arg-type]
    assert set(states) == set(planned)
    assert counted.objects < 80
    assert len(counted.prefixes) == 5


def test_a_fault_of_a_checkpoint_is_told_once_and_those_of_tasks_each(store: Store) -> None:
    for each in units(range(10, 11)):
        record_failure(store, each, UNREADABLE, "checkpoint", 0)
    record_failure(store, unit(2, "mmlu"), NO_SPLIT, "task", 0)
    record_failure(store, unit(2, "boolq"), TaskError("boolq: odd"), "task", 0)
    record_failure(store, unit(1, branch="annealed"), NO_SPLIT, "task", 0)
    failed = [*units(range(10, 11)), unit(2, "mmlu"), unit(2, "boolq"), unit(1, branch="annealed")]
    told = [(each.checkpoint, each.task, each.reason, each.message) for each in first_failures(store, failed)]
    assert told == [
        ("annealed, step 1", "piqa", "SplitMissing", str(NO_SPLIT)),
        ("step 2", "boolq", "TaskFailed", "boolq: odd"),
        ("step 2", "mmlu", "SplitMissing", str(NO_SPLIT)),
        ("step 10", "", "WeightsUnreadable", str(UNREADABLE)),
    ]


def test_failures_are_bounded_in_number_and_length(directory_store: Store) -> None:
    for step in range(25):
        record_failure(directory_store, unit(step), TaskError("x" * 5000), "task", 0)
    told = first_failures(directory_store, [unit(step) for step in range(25)])
    assert [each.checkpoint for each in told] == [f"step {step}" for step in range(20)]
    assert {len(each.message) for each in told} == {1024}
    assert len(first_failures(directory_store, [unit(step) for step in range(25)], most=3)) == 3


def test_a_record_that_is_gone_or_unreadable_does_not_hide_the_others(store: Store) -> None:
    store.put(unit(1).failed, b"{")
    record_failure(store, unit(3), NO_SPLIT, "task", 0)
    told = first_failures(store, [unit(1), unit(2), unit(3)])
    assert [(each.checkpoint, each.reason) for each in told] == [
        ("step 1", "ResultUnreadable"),
        ("step 3", "SplitMissing"),
    ]
    assert "not a Fineline record" in told[0].message


def test_a_forgotten_failure_leaves_neither_tries_nor_failure_and_can_be_forgotten_again(store: Store) -> None:
    for number in (1, 2, 3):
        record_attempt(store, unit(1), AttemptRecord.now(number, "pod", doing="scoring"))
    record_failure(store, unit(1), NO_SPLIT, "task", 3, "first")
    record = read_failure(store, unit(1))
    assert record is not None
    assert record.retry == "first"
    for _ in range(2):
        forget_failure(store, unit(1), 3)
        assert planned_states(store, [unit(1)]) == {}
        assert list(open_store(store.uri).list()) == []


def test_a_record_of_a_version_without_retries_is_of_none(store: Store) -> None:
    store.put(unit(1).failed, b'{"reason": "A", "message": "", "scope": "task", "at": "", "schema_version": 1}')
    record = read_failure(store, unit(1))
    assert record is not None
    assert record.retry == ""
