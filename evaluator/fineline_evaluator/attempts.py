"""The records of tries: written before what could kill the pod, and what they tell when one did.

A checkpoint that kills its pod while it is loaded is told apart from a unit that does so while it is scored: the first
unit left to do of a checkpoint carries the record of its loading.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection

from fineline.errors import FinelineError, ResultError
from fineline.results import (
    AttemptRecord,
    UnitAddress,
    UnitState,
    forget_failure,
    planned_states,
    read_attempt,
    read_failure,
    record_attempt,
)
from fineline.store import Store

LOADING = "loading the checkpoint"
SCORING = "scoring"
PUBLISHING = "publishing"

PUBLISHING_PATIENCE = 3
"""A unit that waits to be published is not to blame when its pod dies in the next one: such tries count only when they
are this many times as many as a unit may have."""


class Attempts:
    """The tries of this pod that have not ended yet. A record that stays counts as a failed try.

    `most` is how many a unit may have, `retry` that of the order.
    """

    def __init__(self, store: Store, most: int, retry: str = "") -> None:
        self._store = store
        self._most = most
        self._retry = retry
        self._begun: dict[UnitAddress, int] = {}

    def begin(self, address: UnitAddress, number: int, doing: str) -> None:
        """Records that try `number` starts, or goes on with another part."""
        record_attempt(self._store, address, self._record(number, doing))
        self._begun[address] = number

    def fail(self, address: UnitAddress, doing: str, error: FinelineError) -> None:
        """The try ended with a passing fault. It counts, so that what always fails is given up at last; its record
        tells why."""
        number = self._begun.pop(address, None)
        if number is not None:
            with contextlib.suppress(FinelineError):  # the record of its start is there and counts as well
                record_attempt(self._store, address, self._record(number, doing, str(error)))

    def end(self, address: UnitAddress) -> None:
        """The unit has its result: the record may stay."""
        self._begun.pop(address, None)

    def take_back(self, address: UnitAddress) -> None:
        """The try was not the unit's fault. A store that does not let go of the record costs the unit one try."""
        number = self._begun.pop(address, None)
        if number is not None:
            with contextlib.suppress(FinelineError):
                self._store.delete(address.attempt(number))

    def take_back_all(self) -> None:
        for address in list(self._begun):
            self.take_back(address)

    def exhausted(self, address: UnitAddress, attempts: int) -> bool:
        """Whether a unit with so many records of tries has used them up. The records are read only where they may
        have been."""
        if attempts < self._most:
            return False
        records = [read_attempt(self._store, address, number + 1) for number in range(attempts)]
        blamed = sum(record is None or record.doing != PUBLISHING for record in records)
        return blamed >= self._most or attempts >= PUBLISHING_PATIENCE * self._most

    def all_were(self, doing: str, address: UnitAddress, attempts: int) -> bool:
        """Whether every one of the tries ended in this part of the work."""
        records = [read_attempt(self._store, address, number + 1) for number in range(attempts)]
        return all(record is not None and record.doing == doing for record in records)

    def last(self, address: UnitAddress, attempts: int) -> AttemptRecord | None:
        """The record of the last try; None where it can't be read."""
        return read_attempt(self._store, address, attempts)

    def _record(self, number: int, doing: str, error: str = "") -> AttemptRecord:
        return AttemptRecord.now(number, pod_name(), doing=doing, error=error, retry=self._retry)


def forget_earlier(store: Store, units: Collection[UnitAddress], retry: str) -> int:
    """Makes units that failed, or used up tries, under another retry than this one new again; returns how many.

    Two pods may do so at once: what one of them has recorded meanwhile may be forgotten by the other, which costs a
    unit a try more, and no result.
    """
    forgotten = 0
    for address, state in planned_states(store, units).items():
        if state.committed or not _is_of_another(store, address, state, retry):
            continue
        forget_failure(store, address, state.attempts)
        forgotten += 1
    return forgotten


def _is_of_another(store: Store, address: UnitAddress, state: UnitState, retry: str) -> bool:
    """Whether a unit's failure, or else its last try, is of another retry. What can't be read is nobody's."""
    if state.failed:
        try:
            failure = read_failure(store, address)
        except ResultError:
            return True
        return failure is not None and failure.retry != retry
    last = read_attempt(store, address, state.attempts) if state.attempts else None
    return last is not None and last.retry != retry


def crash_message(what: str, attempts: int, last: AttemptRecord | None) -> str:
    """What is known of a unit or checkpoint that was given up."""
    if last is not None and last.error:
        return f"{what}: {attempts} tries failed, the last with: {last.error}"
    doing = f" while {last.doing}" if last is not None and last.doing else ""
    return f"{what}: its pod died {attempts} times{doing}"


def pod_name() -> str:
    """Who tries: the pod's name on a cluster, else the process."""
    return os.environ.get("HOSTNAME", "") or f"pid-{os.getpid()}"
