"""Publishes scored units in the background, at most two waiting, so that the engine goes on with the next."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa

from fineline.errors import FinelineError
from fineline.results import Manifest, UnitAddress, publish
from fineline.store import Store

WAITING = 2


@dataclass(frozen=True)
class ScoredUnit:
    """A unit's numbers, ready to be published. `label` and `seconds` are for the progress line."""

    address: UnitAddress
    samples: pa.Table
    metrics: pa.Table
    manifest: Manifest
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of a unit's publication: won or lost the race, or the error that stopped it."""

    unit: ScoredUnit
    won: bool
    error: FinelineError | None = None


class Publisher:
    """One thread that publishes in order and reports each outcome to `report` (called in that thread)."""

    def __init__(self, store: Store, report: Callable[[Outcome], None]) -> None:
        self._store = store
        self._report = report
        self._queue: queue.Queue[ScoredUnit | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
        self.error: FinelineError | None = None
        self._thread.start()

    def put(self, unit: ScoredUnit) -> None:
        """Hands over a unit; waits while two are waiting already."""
        self._queue.put(unit)

    def close(self) -> None:
        """Publishes what is waiting and ends."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (unit := self._queue.get()) is not None:
            self._report(self._publish(unit))

    def _publish(self, unit: ScoredUnit) -> Outcome:
        if self.error is not None:  # the store does not answer: each further unit would only wait for it again
            return Outcome(unit, won=False, error=self.error)
        started = time.monotonic()
        try:
            published = publish(self._store, unit.address, unit.samples, unit.metrics, unit.manifest)
        except FinelineError as error:
            self.error = error
            return Outcome(unit, won=False, error=error)
        return Outcome(replace(unit, seconds=unit.seconds + time.monotonic() - started), won=published.won)
