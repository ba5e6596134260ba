"""Which sources there are, for events: listed when events come, the same way in every replica.

A replica that does not act watches nothing, and what the acting one's watch keeps has no URIs. So each lists for
itself, and only while events call for it: at most every 10 s, and sooner only right after a list that brought news.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fineline_operator.api import Api, ApiError, Forbidden, path_of
from fineline_operator.uploads.mapping import Prefixes, SourceName, SourceSeen

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Listed:
    """All sources at a moment of the loop's clock: what was made before `began` is among them."""

    began: float
    sources: frozenset[SourceSeen]
    prefixes: Prefixes


class Sources:
    """The sources of some namespaces, or of all. All in the loop's own thread."""

    def __init__(
        self,
        api: Api,
        namespaces: Sequence[str] = (),
        *,
        shortest_seconds: float = SHORTEST_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._api = api
        self._namespaces = tuple(namespaces) or ("",)
        self._shortest = shortest_seconds
        self._longest = longest_seconds
        self._pause = shortest_seconds
        self._listing: asyncio.Task[None] | None = None
        self.known = Listed(-1e9, frozenset(), Prefixes())

    async def since(self, moment: float) -> Listed:
        """A list that began at `moment` (of the loop's clock) or later. Waits for an API server that is away."""
        while self.known.began < moment:
            await asyncio.shield(self._started())
        return self.known

    def refresh(self) -> None:
        """List again some time, where the last list is old."""
        if self.known.began + self._longest < asyncio.get_running_loop().time():
            self._started()

    async def stop(self) -> None:
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.gather(self._listing, return_exceptions=True)

    def _started(self) -> asyncio.Task[None]:
        """The list under way: one at a time."""
        if self._listing is None or self._listing.done():
            self._listing = asyncio.get_running_loop().create_task(self._list())
        return self._listing

    async def _list(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self.known.began + self._pause - loop.time()))
        backoff = 1.0
        while True:
            began = loop.time()
            try:
                sources = frozenset([source async for source in self._read()])
                break
            except ApiError as error:
                logger.warning("events wait: sources can't be listed, tried again in %.0f s: %s", backoff, error)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
        news = sources != self.known.sources
        self._pause = self._shortest if news else min(self._pause * 2, self._longest)
        prefixes = Prefixes(sources) if news else self.known.prefixes
        self.known = Listed(began, sources, prefixes)

    async def _read(self) -> AsyncIterator[SourceSeen]:
        refused: list[Forbidden] = []
        for namespace in self._namespaces:
            try:
                async for body in self._api.list(path_of("checkpointsources", namespace)):
                    yield _seen(body)
            except Forbidden as error:  # a namespace that is gone took the right along
                refused.append(error)
        if len(refused) == len(self._namespaces):
            raise refused[0]


def _seen(body: Mapping[str, Any]) -> SourceSeen:
    metadata, spec = body["metadata"], body.get("spec") or {}
    return SourceSeen(
        SourceName(str(metadata["namespace"]), str(metadata["name"])),
        str(spec.get("uri") or ""),
        str(spec.get("sqs") or ""),
    )
