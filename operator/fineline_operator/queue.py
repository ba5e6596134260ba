"""Decides when each resource is looked at: a level-based queue, for every kind of resource.

A key says only *that* something should be looked at, never what happened. Keys coalesce; one key is looked at by one
task at a time; a key that is woken while it is looked at is looked at again after. Keys belong to lanes (a namespace
and its buckets), and lanes take turns, so that a slow store delays its own lane alone. A key that waits costs an entry
in a table, not a task.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from fineline.errors import FinelineError
from fineline_operator import logs, metrics
from fineline_operator.api_errors import ApiError

logger = logging.getLogger(__name__)

PER_LANE = 16
ALL_LANES = 256
BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 300.0
STOP_SECONDS = 10.0


class Key(NamedTuple):
    """What is looked at: an object of a kind, by its name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Backoff(FinelineError):  # noqa: N818 - not an error to whom raises it
    """Raised by a reconcile for a passing fault that it has told already: tried again with growing pauses."""

    reason = "Backoff"
    permanent = False


@dataclass(slots=True)
class _Entry:
    """What the queue knows of a key that waits, runs, or is due later."""

    lane: str = ""
    waiting: bool = False
    running: bool = False
    again: bool = False
    forgotten: bool = False
    due: float | None = None
    by_resync: bool = False
    failures: int = 0


class Queue:
    """Looks at keys by `reconcile`, which gives the seconds until the next look or None for no wish of its own.

    `lane_of` names a key's lane; `unfinished` says whether a key is to be looked at every `resync_seconds` without any
    event. At most `per_lane` looks of a lane run at once, and `all_lanes` of all together; but a lane of which nothing
    runs may always start one, so that lanes that hang can't fill the room of the others.
    """

    def __init__(
        self,
        reconcile: Callable[[Key], Awaitable[float | None]],
        *,
        lane_of: Callable[[Key], str],
        unfinished: Callable[[Key], bool],
        resync_seconds: float,
        per_lane: int = PER_LANE,
        all_lanes: int = ALL_LANES,
    ) -> None:
        self._reconcile = reconcile
        self._lane_of = lane_of
        self._unfinished = unfinished
        self._resync_seconds = resync_seconds
        self._per_lane = per_lane
        self._all_lanes = all_lanes
        self._entries: dict[Key, _Entry] = {}
        self._lanes: OrderedDict[str, deque[Key]] = (
            OrderedDict()
        )  # lanes with waiting keys, in the order of their turns
        self._running_of: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: list[tuple[float, Key]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._dispatching = False
        self._started = False
        self._stopping = False
        metrics.QUEUE_DEPTH.set_function(lambda: sum(len(keys) for keys in self._lanes.values()))
        metrics.QUEUE_RUNNING.set_function(lambda: len(self._tasks))
        metrics.QUEUE_DELAYED.set_function(lambda: sum(1 for entry in self._entries.values() if entry.due is not None))

    def start(self) -> None:
        """From now on keys are looked at. Those that were woken before have waited."""
        self._started = True
        self._dispatch_soon()

    def wake(self, key: Key, delay: float = 0.0) -> None:
        """Look at the key, in `delay` seconds or earlier. To be called from the loop's own thread."""
        if self._stopping:
            return
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        entry.forgotten = False
        if delay > 0:
            self._look_later(key, entry, asyncio.get_running_loop().time() + delay)
        else:
            self._look_now(key, entry)

    def forget(self, key: Key) -> None:
        """The object is gone: nothing is due for it any more. What runs or waits for its turn does so once more, and
        whatever comes of it calls for no further look."""
        entry = self._entries.get(key)
        if entry is not None:
            entry.due = None
            entry.failures = 0
            entry.forgotten = True
            self._drop_if_idle(key, entry)

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits for its turn."""
        return not self._tasks and not self._lanes

    def __len__(self) -> int:
        """How many keys it knows: waiting, running or due later."""
        return len(self._entries)

    async def stop(self, within: float = STOP_SECONDS) -> None:
        """Start nothing more; wait for what runs, and cancel what still runs after `within` seconds."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        running = set(self._tasks)
        if running:
            _, late = await asyncio.wait(running, timeout=within)
            for task in late:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _look_now(self, key: Key, entry: _Entry) -> None:
        entry.due = None
        if entry.running:
            entry.again = True
        elif not entry.waiting:
            entry.waiting = True
            entry.lane = self._lane_of(key)
            self._lanes.setdefault(entry.lane, deque()).append(key)
            self._dispatch_soon()

    def _look_later(self, key: Key, entry: _Entry, when: float, *, by_resync: bool = False) -> None:
        if entry.waiting or (entry.due is not None and entry.due <= when):
            return
        entry.due, entry.by_resync = when, by_resync
        heapq.heappush(self._later, (when, key))
        if self._later[0] == (when, key):
            self._set_timer()

    def _set_timer(self) -> None:
        """One timer for all: for the earliest that is due. Entries of the heap that no longer hold are dropped here."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._later and not self._holds(*self._later[0]):
            heapq.heappop(self._later)
        if self._later and not self._stopping:
            self._timer = asyncio.get_running_loop().call_at(self._later[0][0], self._due)

    def _holds(self, when: float, key: Key) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.due == when

    def _due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            when, key = heapq.heappop(self._later)
            if not self._holds(when, key):
                continue
            entry = self._entries[key]
            if entry.by_resync and not self._unfinished(key):  # it ended since
                entry.due = None
                self._drop_if_idle(key, entry)
            else:
                self._look_now(key, entry)
        self._set_timer()

    def _dispatch_soon(self) -> None:
        if self._started and not self._dispatching:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Lanes take turns, one key each, until no lane may start more."""
        self._dispatching = False
        passed = 0
        while self._lanes and passed < len(self._lanes) and not self._stopping:
            lane, keys = next(iter(self._lanes.items()))
            running = self._running_of.get(lane, 0)
            if running >= self._per_lane or (running and len(self._tasks) >= self._all_lanes):
                self._lanes.move_to_end(lane)
                passed += 1
                continue
            passed = 0
            self._start(lane, keys.popleft())
            if keys:
                self._lanes.move_to_end(lane)
            else:
                del self._lanes[lane]

    def _start(self, lane: str, key: Key) -> None:
        entry = self._entries[key]
        entry.waiting, entry.running, entry.again = False, True, False
        self._running_of[lane] = self._running_of.get(lane, 0) + 1
        task = asyncio.get_running_loop().create_task(self._look(key, entry))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, key, entry, lane))

    async def _look(self, key: Key, entry: _Entry) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with logs.about(key.kind, key.namespace, key.name):
            try:
                again_after = await self._reconcile(key)
            except Exception as error:  # noqa: BLE001 - one resource's fault must not end the others
                self._failed(key, entry, error)
            else:
                entry.failures = 0
                if again_after is not None and not entry.forgotten:
                    self._look_later(key, entry, loop.time() + max(again_after, 0.0))
                if self._unfinished(key):
                    spread = random.uniform(0.8, 1.0)  # noqa: S311 - so that not all come at the same moment
                    self._look_later(key, entry, loop.time() + self._resync_seconds * spread, by_resync=True)
            finally:
                metrics.RECONCILE_SECONDS.labels(key.kind).observe(loop.time() - began)

    def _failed(self, key: Key, entry: _Entry, error: Exception) -> None:
        metrics.RECONCILE_ERRORS.labels(key.kind).inc()
        if entry.forgotten:
            logger.info("%s; it is gone, and not looked at again", error)
            return
        entry.failures += 1
        pause = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** min(entry.failures - 1, 16))
        pause *= random.uniform(0.75, 1.0)  # noqa: S311 - so that many that failed together do not return together
        if isinstance(error, ApiError):
            pause = max(pause, error.retry_after or 0.0)
        self._look_later(key, entry, asyncio.get_running_loop().time() + pause)
        known = isinstance(error, FinelineError)
        logger.log(
            logging.INFO if isinstance(error, Backoff) else logging.WARNING if known else logging.ERROR,
            "%s; looked at again in %.0f s", error if known else f"{type(error).__name__}: {error}", pause,
            exc_info=None if known else error,
        )  # fmt: skip

    def _ended(self, task: asyncio.Task[None], key: Key, entry: _Entry, lane: str) -> None:
        self._tasks.discard(task)
        self._running_of[lane] -= 1
        if not self._running_of[lane]:
            del self._running_of[lane]
        entry.running = False
        if entry.again and not self._stopping:
            entry.again = False
            self._look_now(key, entry)
        self._drop_if_idle(key, entry)
        self._dispatch_soon()

    def _drop_if_idle(self, key: Key, entry: _Entry) -> None:
        if not (entry.waiting or entry.running or entry.failures) and entry.due is None:
            self._entries.pop(key, None)
