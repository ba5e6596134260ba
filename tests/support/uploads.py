"""Parts of the uploads' side of the operator, on an API server that tests play."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fineline_operator import metrics
from fineline_operator.api import Api, ApiError, NotFound, load_configuration
from fineline_operator.settings import WebhookSettings
from fineline_operator.uploads.arrivals import Arrivals
from fineline_operator.uploads.listed import Sources
from fineline_operator.uploads.mapping import SourceName
from fineline_operator.uploads.waking import Waker
from fineline_operator.uploads.webhook import Webhook

TOKEN = "a-token-that-nobody-guesses"


@dataclass
class PlayedApi:
    """Sources by name with their specs; `woken` has the names in the order of their patches, with the loop's times.

    While `error` is set it is raised instead, and while `closed` is clear, patches are under way.
    """

    sources: dict[SourceName, dict[str, str]] = field(default_factory=dict)
    error: ApiError | None = None
    woken: list[tuple[SourceName, float]] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    lists: list[float] = field(default_factory=list)
    forbidden: dict[str, ApiError] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most_under_way: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    def add(self, name: str, uri: str, sqs: str = "", namespace: str = "evals") -> SourceName:
        source = SourceName(namespace, name)
        self.sources[source] = {"uri": uri} | ({"sqs": sqs} if sqs else {})
        return source

    @property
    def names(self) -> list[str]:
        return [source.name for source, _ in self.woken]

    async def list(self, path: str, **_: Any) -> AsyncIterator[dict[str, Any]]:
        self.lists.append(asyncio.get_running_loop().time())
        namespace = path.split("/")[5] if "/namespaces/" in path else ""
        if self.error or namespace in self.forbidden:
            raise self.error or self.forbidden[namespace]
        for source, spec in list(self.sources.items()):
            if namespace in ("", source.namespace):
                yield {"metadata": {"namespace": source.namespace, "name": source.name}, "spec": spec}

    async def merge_patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        parts = path.split("/")
        source = SourceName(parts[5], parts[7])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
            if self.error:
                raise self.error
            if source not in self.sources:
                raise NotFound("it is gone")
            self.woken.append((source, asyncio.get_running_loop().time()))
            self.values.append(body["metadata"]["annotations"]["fineline.dev/wake"])
        finally:
            self.under_way -= 1
        return {}


@dataclass
class Uploads:
    """What takes notices, wired as the operator wires it."""

    sources: Sources
    waker: Waker
    arrivals: Arrivals


@contextlib.asynccontextmanager
async def uploads(
    api: PlayedApi | Api,
    *namespaces: str,
    every: float = 0.05,
    shortest: float = 0.02,
    longest: float = 0.2,
    **room: int,
) -> AsyncIterator[Uploads]:
    sources = Sources(cast("Api", api), namespaces, shortest_seconds=shortest, longest_seconds=longest)
    waker = Waker(cast("Api", api), every_seconds=every)
    arrivals = Arrivals(sources, waker, **room)
    try:
        yield Uploads(sources, waker, arrivals)
    finally:
        await arrivals.stop()
        await sources.stop()
        await waker.stop(1)


@contextlib.asynccontextmanager
async def webhook(
    arrivals: Arrivals, folder: Path, *, token: str = TOKEN, per_second: int = 10_000, **seconds: float
) -> AsyncIterator[Webhook]:
    """A running webhook, whose token lies in `folder`/token."""
    (folder / "token").write_text(token)
    settings = WebhookSettings.model_validate({"port": 0, "tokenFile": str(folder / "token"), "perSecond": per_second})
    server = Webhook(settings, arrivals, **seconds)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def real_api(kubeconfig: Path) -> AsyncIterator[Api]:
    api = Api(await load_configuration(kubeconfig))
    try:
        yield api
    finally:
        await api.close()


def counted(via: str, outcome: str) -> float:
    """fineline_events_total."""
    return metrics.REGISTRY.get_sample_value("fineline_events_total", {"via": via, "outcome": outcome}) or 0.0


async def soon(true: Any, what: str, *, seconds: float = 10) -> None:
    """Returns when it holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not true():
        if loop.time() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.01)
