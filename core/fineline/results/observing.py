"""What a listing says about units (committed, failed for good, tried how often), and what failures say in words."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from fineline.errors import ResultError
from fineline.results import layout
from fineline.results.layout import UnitAddress
from fineline.results.recording import read_failure
from fineline.store import Store, StoredObject

_PAGE_OBJECTS = 1000
_OBJECTS_A_REQUEST = 100
"""A request to a store costs about as much as reading so many more objects of a listing."""

_MOST_LOOKED_INTO = 500
_READERS = 8
_LONGEST_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class UnitState:
    committed: bool = False
    failed: bool = False
    attempts: int = 0

    @property
    def done(self) -> bool:
        """Nothing is left to do: it has a result, or failed for good."""
        return self.committed or self.failed

    @property
    def failed_for_good(self) -> bool:
        """There is a failure record and no result: a commit outweighs it."""
        return self.failed and not self.committed


NOTHING = UnitState()


def unit_states(objects: Iterable[StoredObject]) -> Mapping[UnitAddress, UnitState]:
    """The state of every unit that a listing shows. A commit outweighs a failure record."""
    states: dict[UnitAddress, UnitState] = {}
    for item in objects:
        parsed = layout.parse(item.name)
        if parsed is None:
            continue
        address, file_name = parsed
        state = states.get(address, NOTHING)
        number = layout.attempt_number(file_name)
        states[address] = UnitState(
            committed=state.committed or file_name == layout.METRICS_FILE,
            failed=state.failed or file_name == layout.FAILED_FILE,
            attempts=max(state.attempts, number or 0),
        )
    return states


def run_states(store: Store, run: str) -> Mapping[UnitAddress, UnitState]:
    """The state of every unit of a run, from one listing of the run's folder."""
    return unit_states(store.list(layout.run_folder(run)))


def planned_states(
    store: Store, addresses: Collection[UnitAddress], retry: str = ""
) -> Mapping[UnitAddress, UnitState]:
    """The states of these units alone; those of which the listing shows nothing are left out.

    One listing over all of their checkpoints where little else lies in between, else each checkpoint's folder. Under a
    `retry` a failure recorded under another one counts as none, for it is about to be forgotten; that is a request for
    each failure, and so done for the first 500 alone.
    """
    planned = frozenset(addresses)
    folders = sorted({layout.checkpoint_folder(unit.run, unit.branch, unit.step) for unit in planned})
    states = unit_states(_objects_in(store, folders))
    found = {address: state for address, state in states.items() if address in planned}
    if retry:
        failed = sorted(address for address, state in found.items() if state.failed_for_good)[:_MOST_LOOKED_INTO]
        for address in _of_another_retry(store, failed, retry):
            found[address] = replace(found[address], failed=False)
    return found


@dataclass(frozen=True, slots=True)
class FailedUnit:
    """A failure for people: of one task at a checkpoint, or of a whole checkpoint (no task)."""

    checkpoint: str
    task: str
    reason: str
    message: str


def first_failures(store: Store, failed: Iterable[UnitAddress], most: int = 20) -> tuple[FailedUnit, ...]:
    """What the failure records of these units say: the first `most`, in order of branch, step and task.

    A checkpoint that can't be evaluated fails all of its tasks with one message; it is told once. A record that is
    gone meanwhile is left out, one that can't be read says so. Messages are cut to 1,024 characters.
    """
    told: list[FailedUnit] = []
    whole: set[tuple[str, str, int]] = set()
    for unit in sorted(failed, key=lambda one: (one.run, one.branch, one.step, one.task, one.key)):
        if len(told) == most:
            break
        checkpoint = (unit.run, unit.branch, unit.step)
        if checkpoint in whole:
            continue
        try:
            record = read_failure(store, unit)
        except ResultError as error:
            told.append(FailedUnit(unit.checkpoint_name, unit.task, error.reason, _cut(str(error))))
            continue
        if record is None:
            continue
        if record.scope == "checkpoint":
            whole.add(checkpoint)
        task = "" if record.scope == "checkpoint" else unit.task
        told.append(FailedUnit(unit.checkpoint_name, task, record.reason, _cut(record.message)))
    return tuple(told)


def _of_another_retry(store: Store, failed: Sequence[UnitAddress], retry: str) -> list[UnitAddress]:
    if not failed:
        return []
    with ThreadPoolExecutor(min(_READERS, len(failed))) as pool:
        return [
            address
            for address, other in zip(
                failed, pool.map(lambda unit: _is_of_another(store, unit, retry), failed), strict=True
            )
            if other
        ]


def _is_of_another(store: Store, address: UnitAddress, retry: str) -> bool:
    try:
        record = read_failure(store, address)
    except ResultError:
        return False
    return record is None or record.retry != retry


def _objects_in(store: Store, folders: Sequence[str]) -> Iterator[StoredObject]:
    """The objects in these folders, which are in order; some may come twice.

    They are taken out of one listing of what lies from the first to the last; when too much else turns out to lie
    there, the folders that are left are listed one by one.
    """
    if not folders:
        return
    waiting = deque(folders)
    budget = _PAGE_OBJECTS + _OBJECTS_A_REQUEST * len(folders)
    from_first_to_last = os.path.commonprefix(folders)  # noqa: RUF071 - a store lists by the start of names
    for count, item in enumerate(store.list(from_first_to_last)):
        while waiting and item.name > waiting[0] and not item.name.startswith(waiting[0]):
            waiting.popleft()
        if not waiting:
            return
        if count == budget:
            break
        if item.name.startswith(waiting[0]):
            yield item
    else:
        return
    for folder in waiting:
        yield from store.list(folder)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"
