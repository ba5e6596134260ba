"""Wakes sources: an annotation with the time, which the acting replica's watch sees, whichever replica wrote it.

However many events come, one source has one patch under way at most, and one a second. What is asked for meanwhile is
one further patch, so that the last event is never lost. While the API server does not answer, only names are kept.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fineline_operator.api import Api, ApiError, Invalid, NotFound, path_of
from fineline_operator.uploads.mapping import SourceName
from fineline_operator.world import WAKE_ANNOTATION

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
IN_FLIGHT = 8
MAX_SOURCES = 20_000
MAX_PAUSE_SECONDS = 30.0
STOP_SECONDS = 3.0


@dataclass(slots=True)
class _Entry:
    """A source that is to be woken, is being woken, or was within the last second."""

    wanted: bool = False
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class Waker:
    """Sets the annotation `fineline.dev/wake`. All in the loop's own thread."""

    def __init__(self, api: Api, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._api = api
        self._every_seconds = every_seconds
        self._entries: dict[SourceName, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._told_failure = False

    def wake(self, sources: Iterable[SourceName]) -> None:
        """See to it that each is woken by a patch that begins from now on."""
        for source in sources:
            self._want(source)

    async def woken(self, sources: Collection[SourceName]) -> None:
        """Wake them, and return when each was, or is no more. Waits for an API server that does not answer."""
        loop = asyncio.get_running_loop()
        waits: list[asyncio.Future[None]] = []
        for source in sources:
            entry = self._want(source)
            if entry is not None:
                waits.append(loop.create_future())
                entry.waiting.append(waits[-1])
        await asyncio.gather(*waits)

    def __len__(self) -> int:
        """How many sources are being woken, or were a moment ago."""
        return len(self._entries)

    async def stop(self, within: float = STOP_SECONDS) -> None:
        """Wake those that are still to be woken, for so long; drop the rest, which the poll finds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _want(self, source: SourceName) -> _Entry | None:
        entry = self._entries.get(source)
        if entry is None:
            if len(self._entries) >= MAX_SOURCES:  # more sources than any cluster has
                logger.error("%s is not woken: %d others wait for it; it is found by the poll", source, MAX_SOURCES)
                return None
            entry = self._entries[source] = _Entry()
            task = asyncio.get_running_loop().create_task(self._see_to(source, entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        entry.wanted = True
        return entry

    async def _see_to(self, source: SourceName, entry: _Entry) -> None:
        failures = 0
        try:
            while entry.wanted:
                entry.wanted = False
                waiting, entry.waiting = entry.waiting, []
                async with self._slots:
                    done = await self._patch(source)
                if done:
                    failures = 0
                    for wait in waiting:
                        if not wait.done():
                            wait.set_result(None)
                    await asyncio.sleep(self._every_seconds)
                else:
                    entry.wanted = True
                    entry.waiting = waiting + entry.waiting
                    failures += 1
                    await asyncio.sleep(min(self._every_seconds * 2**failures, MAX_PAUSE_SECONDS))
        finally:
            del self._entries[source]
            for wait in entry.waiting:
                wait.cancel()

    async def _patch(self, source: SourceName) -> bool:
        """Whether there is nothing more to do for what was asked up to now."""
        value = f"{datetime.now(UTC).isoformat(timespec='milliseconds')}/{secrets.token_hex(4)}"
        path = path_of("checkpointsources", *source)
        try:
            await self._api.merge_patch(path, {"metadata": {"annotations": {WAKE_ANNOTATION: value}}})
        except NotFound:
            return True
        except Invalid as error:
            logger.error("%s can't be woken, and is found by the poll: %s", source, error)  # noqa: TRY400 - one line
            return True
        except ApiError as error:
            if not self._told_failure:
                logger.warning("sources can't be woken now, and will be: %s", error)
            self._told_failure = True
            return False
        self._told_failure = False
        return True
