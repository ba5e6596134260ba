"""Publishes scored units in the background, at most two waiting, so that the engine goes on with the next."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa

from fineline.errors import EngineError, FinelineError
from fineline.results import Manifest, UnitAddress, publish
from fineline.store import Store

WAITING = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredUnit:
    """A unit's numbers, ready to be published. `seconds` is for the progress line."""

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
        self._lock = threading.Lock()
        self._closed = False
        self.error: FinelineError | None = None
        self._thread.start()

    def put(self, unit: ScoredUnit) -> bool:
        """Hands over a unit; waits while two are waiting already. False if it came after the end."""
        with self._lock:
            if self._closed:
                return False
            self._queue.put(unit)
            return True

    def close(self) -> None:
        """Publishes what is waiting and ends; may be called again."""
        with self._lock:
            if not self._closed:
                self._closed = True
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
        except Exception as error:
            # The thread must live on: without it the next `put` would wait for ever.
            log.exception("publishing %s", unit.address.folder)
            self.error = EngineError(f"{unit.address.folder}: not published: {type(error).__name__}: {error}")
        if self.error is not None:
            return Outcome(unit, won=False, error=self.error)
        return Outcome(replace(unit, seconds=unit.seconds + time.monotonic() - started), won=published.won)
