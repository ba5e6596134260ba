"""The webhook's objects on their way to their sources: matched at once, or after the next listing.

A source may be younger than the last list of sources. What no known source covers waits for a list that began after it
came. So much may wait; more is refused at the door, so that senders that try again do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from fineline_operator import metrics
from fineline_operator.uploads.listed import Sources
from fineline_operator.uploads.messages import ObjectName
from fineline_operator.uploads.waking import Waker

MAX_WAITING = 2_000
"""Objects, each of a few hundred bytes and at most a few thousand."""


class _Notice(NamedTuple):
    came: float
    objects: frozenset[ObjectName]


class Arrivals:
    """Wakes the sources of objects that the webhook was told of. All in the loop's own thread."""

    def __init__(self, sources: Sources, waker: Waker, *, max_waiting: int = MAX_WAITING) -> None:
        self._sources = sources
        self._waker = waker
        self._max_waiting = max_waiting
        self._notices: deque[_Notice] = deque()
        self._task: asyncio.Task[None] | None = None
        self.waiting = 0
        """How many objects wait."""

    def take(self, objects: frozenset[ObjectName]) -> bool:
        """See to them. False where too many wait already: then nothing is done."""
        names = self._sources.known.prefixes.covering(objects)
        if names:
            self._waker.wake(names)
            self._sources.refresh()
            metrics.EVENTS.labels("webhook", "woken").inc()
            return True
        if self.waiting + len(objects) > self._max_waiting:
            return False
        self._notices.append(_Notice(asyncio.get_running_loop().time(), objects))
        self.waiting += len(objects)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._match())
        return True

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _match(self) -> None:
        while self._notices:
            listed = await self._sources.since(self._notices[-1].came)
            while self._notices and self._notices[0].came <= listed.began:
                notice = self._notices.popleft()
                self.waiting -= len(notice.objects)
                names = listed.prefixes.covering(notice.objects)
                self._waker.wake(names)
                metrics.EVENTS.labels("webhook", "woken" if names else "no_source").inc()
