"""SQS, in the acting replica: a reader for each queue that a source names and may use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from fineline_operator.settings import QueueSettings, allows
from fineline_operator.telling.problems import Problem
from fineline_operator.uploads.listed import Listed, Sources
from fineline_operator.uploads.mapping import Prefixes, SourceSeen
from fineline_operator.uploads.messages import ObjectName
from fineline_operator.uploads.queue_reader import QueueReader
from fineline_operator.uploads.sqs_client import SqsQueue
from fineline_operator.uploads.waking import Waker

WAIT_SECONDS = 20
"""A queue answers at once where there is something, and else after so long."""

LOOK_SECONDS = 30.0
"""So often it is looked which queues sources name."""


class Queues:
    """Reads the queues of the settings that sources name. All in the loop's own thread."""

    def __init__(
        self,
        settings: Sequence[QueueSettings],
        sources: Sources,
        waker: Waker,
        *,
        wait_seconds: int = WAIT_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._settings = {queue.url: queue for queue in settings}
        self._sources = sources
        self._waker = waker
        self._wait_seconds = wait_seconds
        self._look_seconds = look_seconds
        self._readers: dict[str, QueueReader] = {}
        self._prefixes: dict[str, tuple[Listed, Prefixes]] = {}
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Read from now on. Without queues in the settings nothing is listed, and no thread is started."""
        if self._settings:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """Take nothing more. A thread that waits for its queue ends when that answers, or with the process."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for reader in self._readers.values():
            reader.stop()
        self._readers.clear()

    def problem(self, url: str) -> Problem | None:
        """Why a queue brings no events now; None where it does, or is not read."""
        reader = self._readers.get(url)
        return reader.problem if reader is not None else None

    async def _look(self) -> None:
        """Every so often: start and stop readers as sources name queues."""
        loop = asyncio.get_running_loop()
        while True:
            listed = await self._sources.since(loop.time())
            wanted = {url for url, queue in self._settings.items() if any(_of(queue, listed))}
            for url in self._readers.keys() - wanted:
                self._readers.pop(url).stop()
            for url in wanted - self._readers.keys():
                queue = self._settings[url]
                hand_on = partial(self._hand_on, loop, queue)
                reader = QueueReader(SqsQueue(queue), hand_on, wait_seconds=self._wait_seconds)
                self._readers[url] = reader
                reader.start()
            await asyncio.sleep(self._look_seconds)

    def _hand_on(
        self, loop: asyncio.AbstractEventLoop, queue: QueueSettings, objects: frozenset[ObjectName]
    ) -> Future[bool]:
        """Called from a reader's thread."""
        return asyncio.run_coroutine_threadsafe(self._wake(queue, objects), loop)

    async def _wake(self, queue: QueueSettings, objects: frozenset[ObjectName]) -> bool:
        """Wake the sources of the objects; whether there are any. Only those that name the queue, and may."""
        names = self._prefixes_of(queue, self._sources.known).covering(objects)
        if not names:  # perhaps they are younger than the list
            listed = await self._sources.since(asyncio.get_running_loop().time())
            names = self._prefixes_of(queue, listed).covering(objects)
        await self._waker.woken(names)
        return bool(names)

    def _prefixes_of(self, queue: QueueSettings, listed: Listed) -> Prefixes:
        kept = self._prefixes.get(queue.url)
        if kept is None or kept[0] is not listed:
            kept = self._prefixes[queue.url] = listed, Prefixes(_of(queue, listed))
        return kept[1]


def _of(queue: QueueSettings, listed: Listed) -> list[SourceSeen]:
    """The sources that name the queue and may use it."""
    return [
        source
        for source in listed.sources
        if source.sqs == queue.url and allows(queue.namespaces, source.name.namespace)
    ]
