"""The webhook's objects on their way to their sources: matched at once, or after the next listing.

A source may be younger than the last list of sources. What no known source covers waits for a list that began after it
came. So much may wait; more is refused at the door, so that senders that try again do. For those that do not, what was
woken a moment before is woken once more after a refusal: it is the same upload's next file most of the time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from fineline_operator import metrics
from fineline_operator.uploads.listed import Sources
from fineline_operator.uploads.mapping import SourceName
from fineline_operator.uploads.messages import ObjectName
from fineline_operator.uploads.waking import Waker

MAX_WAITING = 2_000
"""Objects, each of a few hundred bytes and at most a few thousand."""


RECENT_SECONDS = 10.0
AGAIN_SECONDS = 1.0


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
        self._woken: dict[SourceName, float] = {}
        self._again: asyncio.TimerHandle | None = None
        self.waiting = 0
        """How many objects wait."""

    def take(self, objects: frozenset[ObjectName]) -> bool:
        """See to them. False where too many wait already: then nothing is done."""
        names = self._sources.known.prefixes.covering(objects)
        if names:
            self._wake(names)
            self._sources.refresh()
            return True
        if self.waiting + len(objects) > self._max_waiting:
            return False
        self._notices.append(_Notice(asyncio.get_running_loop().time(), objects))
        self.waiting += len(objects)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._match())
        return True

    def refused(self) -> None:
        """A notice was turned away unread."""
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._wake_again)

    async def stop(self) -> None:
        if self._again is not None:
            self._again.cancel()
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
                self._wake(names)

    def _wake(self, names: Collection[SourceName]) -> None:
        """Wake and count those of one notice."""
        metrics.EVENTS.labels("webhook", "woken" if names else "no_source").inc()
        self._woken.update(dict.fromkeys(names, asyncio.get_running_loop().time()))
        if len(self._woken) > self._max_waiting:
            self._forget_old()
        self._waker.wake(names)

    def _wake_again(self) -> None:
        self._again = None
        self._forget_old()
        self._waker.wake(self._woken)

    def _forget_old(self) -> None:
        since = asyncio.get_running_loop().time() - RECENT_SECONDS
        self._woken = {name: when for name, when in self._woken.items() if when >= since}
