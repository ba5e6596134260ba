"""Writes, reads and removes the records beside a unit's results: tries, and permanent failures. No tables here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from fineline.errors import FinelineError, ObjectNotFound, ResultError
from fineline.results.layout import UnitAddress
from fineline.results.records import AttemptRecord, FailureRecord, record_from_json, record_to_json
from fineline.store import Store


def record_failure(
    store: Store, address: UnitAddress, error: FinelineError, scope: str, attempts: int, retry: str = ""
) -> None:
    """Records a permanent failure. The first record stays. `scope` is checkpoint or task; `retry` is the order's."""
    record = FailureRecord(error.reason, str(error), scope, _now(), attempts, retry)
    store.put_if_absent(address.failed, record_to_json(record))


def record_attempt(store: Store, address: UnitAddress, record: AttemptRecord) -> None:
    """Writes the record of a try, over an earlier one of the same number."""
    store.put(address.attempt(record.number), record_to_json(record))


def read_failures(store: Store, addresses: Iterable[UnitAddress]) -> list[tuple[UnitAddress, FailureRecord]]:
    """The failure records of some units; units without one are left out."""
    found = ((address, read_failure(store, address)) for address in addresses)
    return [(address, record) for address, record in found if record is not None]


def read_failure(store: Store, address: UnitAddress) -> FailureRecord | None:
    """The failure record of a unit; None where it has none. `ResultError` where that is no record."""
    try:
        return record_from_json(FailureRecord, store.get(address.failed), address.failed)
    except ObjectNotFound:
        return None


def read_attempt(store: Store, address: UnitAddress, number: int) -> AttemptRecord | None:
    """The record of one try; None where there is none that can be read."""
    name = address.attempt(number)
    try:
        return record_from_json(AttemptRecord, store.get(name), name)
    except (ObjectNotFound, ResultError):
        return None


def forget_failure(store: Store, address: UnitAddress, attempts: int) -> None:
    """Removes what keeps a unit from being tried: the records of its tries (at most `attempts`), then its failure.

    In this order, for whoever finds the failure gone must not count the old tries; killed in between, it can be done
    again.
    """
    for number in range(attempts, 0, -1):
        store.delete(address.attempt(number))
    store.delete(address.failed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
