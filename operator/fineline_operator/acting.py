"""What the replica does that holds the Lease: it watches, and looks at what is to be looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from fineline_operator.analyses.reconcile import AnalysisReconciler
from fineline_operator.api import Api, Configuration
from fineline_operator.evaluations.reconcile import Reconciler as EvaluationReconciler
from fineline_operator.queue import Key, Queue
from fineline_operator.settings import OperatorSettings
from fineline_operator.sources.reconcile import SourceReconciler
from fineline_operator.threads import Threads
from fineline_operator.uploads.queues import Queues
from fineline_operator.watching import Watching
from fineline_operator.world import ANALYSIS, EVALUATION, SOURCE, Known, World

logger = logging.getLogger(__name__)


class Reconciler(Protocol):
    """Looks at objects of one kind."""

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look without an event; None where events and the resync suffice."""

    def forget(self, uid: str) -> None:
        """Nothing is needed any more of an object that is gone."""


class Acting:
    """One run, from the Lease to the end. `after_start` is called after kopf has taken the signals for itself."""

    def __init__(
        self,
        configuration: Configuration,
        api: Api,
        settings: OperatorSettings,
        queues: Queues,
        *,
        after_start: Callable[[], None],
    ) -> None:
        self._queues = queues
        self._threads = Threads()
        self._world = World(
            self._wake, max_active=settings.max_active, results=settings.results or "", gone=self._forget
        )
        self._reconcilers = _reconcilers(api, self._world, settings, self._threads, queues)
        self._queue = Queue(
            self._look,
            lane_of=self._world.lane_of,
            unfinished=self._world.unfinished,
            resync_seconds=settings.resync_seconds,
        )
        self._watching = Watching(
            configuration,
            api,
            self._world,
            namespaces=settings.namespaces,
            check_seconds=settings.resync_seconds,
            after_start=after_start,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop. What is being done then is ended first."""
        ready = asyncio.Event()
        watch = asyncio.create_task(self._watching.run(ready))
        await first(ready, stop)
        if not stop.is_set():
            self._queue.start()
            self._queues.start()
            await first(stop, watch)
        logger.info("stopping: what is being done is ended first")
        watch.cancel()
        await self._queues.stop()
        await asyncio.gather(watch, self._queue.stop(), return_exceptions=True)
        self._threads.close()

    def _wake(self, key: Key, delay: float) -> None:
        self._queue.wake(key, delay)

    async def _look(self, key: Key) -> float | None:
        return await self._reconcilers[key.kind](key)

    def _forget(self, known: Known) -> None:
        self._queue.forget(known.key)
        self._reconcilers[known.key.kind].forget(known.uid)


def _reconcilers(
    api: Api, world: World, settings: OperatorSettings, threads: Threads, queues: Queues
) -> Mapping[str, Reconciler]:
    """What looks at each kind."""
    return {
        EVALUATION: EvaluationReconciler(api, world, settings, threads),
        SOURCE: SourceReconciler(api, world, settings, threads, queues.problem),
        ANALYSIS: AnalysisReconciler(api, world, settings, threads),
    }


async def first(*what: asyncio.Event | asyncio.Task[None]) -> None:
    """Wait until one of the events is set or one of the tasks has ended; tasks are left running."""
    waits = [
        asyncio.ensure_future(item.wait() if isinstance(item, asyncio.Event) else asyncio.wait([item])) for item in what
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
