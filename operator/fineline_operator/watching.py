"""Watches CheckpointEvals and their Jobs, and tells `World`. This module alone knows kopf.

kopf runs in the operator's own loop and does one thing: list and watch, calling `on.event`. No timers, daemons, change
handlers or indices: those write finalizers and annotations, and a barrier of indices would keep every body of the first
list in memory. Nothing of kopf's is written to any object.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import aiohttp
import kopf

from fineline.resources.fields import GROUP, VERSION
from fineline_operator import metrics
from fineline_operator.api import Api, ApiError, Configuration, Forbidden, NotFound, open_session, path_of
from fineline_operator.jobs.ownership import OWNER_LABEL
from fineline_operator.jobs.seen import job_seen
from fineline_operator.paths import Resource, resource_of
from fineline_operator.world import KIND, JobKnown, World, evaluation_known

logger = logging.getLogger(__name__)

WATCH_SECONDS = 30
"""The API server ends each watch after so long, with a bookmark before; it goes on where it was."""

SILENCE_SECONDS = 35.0
"""A watch of which nothing comes for so long was cut silently."""

CHUNK = 500
BEGIN_SECONDS = 15
CRD_SECONDS = 5.0
_RESOURCES: tuple[Resource, ...] = ("checkpointevals", "jobs")


class Watching:
    """Keeps a `World` up to date, for all namespaces or for some."""

    def __init__(
        self,
        configuration: Configuration,
        api: Api,
        world: World,
        *,
        namespaces: Sequence[str] = (),
        check_seconds: float = 300.0,
        after_start: Callable[[], None] = lambda: None,
    ) -> None:
        self._configuration = configuration
        self._api = api
        self._world = world
        self._namespaces = tuple(namespaces)
        self._check_seconds = check_seconds
        self._after_start = after_start
        self._heard: dict[str, float] = dict.fromkeys(_RESOURCES, time.monotonic())
        self._asked: dict[str, float] = {}
        self._listed_again = asyncio.Event()
        for resource in _RESOURCES:
            metrics.WATCH_AGE.labels(resource).set_function(partial(self._age, resource))
            metrics.OBJECTS.labels(resource).set_function(partial(self._count, resource))

    async def run(self, ready: asyncio.Event) -> None:
        """Watch until cancelled. `ready` is set once all that exists is known.

        Whatever ends kopf, such as a CRD that was taken away, is told and tried again.
        """
        pause = _pauses()
        while True:
            try:
                await self._kinds_are_known()
                await self._read_all()
                ready.set()
                logger.info("watching %s", ", ".join(self._namespaces) if self._namespaces else "all namespaces")
                await self._watch()
            except ApiError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001 - kopf ends with many kinds, and none must end the operator
                problem = f"{type(error).__name__}: {error}"
            seconds = next(pause)
            logger.error("watching ended, and starts anew in %.0f s: %s", seconds, problem)
            await asyncio.sleep(seconds)

    def _count(self, resource: str) -> int:
        return self._world.counts()[resource]

    def _age(self, resource: str) -> float:
        return time.monotonic() - self._heard[resource]

    async def _kinds_are_known(self) -> None:
        """Wait until the CheckpointEval's CRD is there: kopf asks for it once, at its start."""
        while True:
            try:
                found = await self._api.get(f"/apis/{GROUP}/{VERSION}")
            except NotFound:
                found = {}
            if any(item.get("name") == "checkpointevals" for item in found.get("resources") or ()):
                return
            logger.error(
                "the API server knows no %s of %s/%s: install Fineline's CRDs (looked for again in %.0f s)",
                KIND, GROUP, VERSION, CRD_SECONDS,
            )  # fmt: skip
            await asyncio.sleep(CRD_SECONDS)

    async def _read_all(self) -> None:
        """All that exists, before anything is decided: whose turn it is depends on the others."""
        began_empty = not len(self._world)
        await self._in_each_namespace(self._read)
        if not began_empty:
            await self._drop_what_is_gone()

    async def _read(self, namespace: str) -> None:
        async for body in self._api.list(path_of("checkpointevals", namespace), limit=CHUNK):
            self._world.put_evaluation(evaluation_known(body))
        async for body in self._api.list(path_of("jobs", namespace), label_selector=OWNER_LABEL, limit=CHUNK):
            self._put_job(body)

    async def _in_each_namespace(self, do: Callable[[str], Awaitable[None]]) -> None:
        """A namespace that is gone took the operator's rights in it along: that must not keep it from the others."""
        namespaces = self._namespaces or ("",)
        refusals: list[Forbidden] = []
        for namespace in namespaces:
            try:
                await do(namespace)
            except Forbidden as error:
                refusals.append(error)
                logger.error("the namespace %s is left out: %s", namespace or "*", error)  # noqa: TRY400 - it names all
        if len(refusals) == len(namespaces):
            raise refusals[0]

    async def _drop_what_is_gone(self) -> None:
        """A watch that starts from a new list says nothing of what was deleted before it: compare with what is there.

        Only what was known before the list began may be missing from it.
        """
        evaluations, jobs = self._world.evaluations(), self._world.jobs()

        async def compare(namespace: str) -> None:
            found: set[str] = set()
            async for body in self._api.list(path_of("checkpointevals", namespace), limit=CHUNK, metadata_only=True):
                found.add(body["metadata"]["uid"])
            async for body in self._api.list(
                path_of("jobs", namespace), label_selector=OWNER_LABEL, limit=CHUNK, metadata_only=True
            ):
                found.add(body["metadata"]["uid"])
            for key, evaluation in evaluations.items():
                if namespace in ("", key.namespace) and evaluation.uid not in found:
                    self._world.drop_evaluation(key, evaluation.uid)
            for place, job in jobs.items():
                if namespace in ("", place[0]) and job.seen.uid not in found:
                    self._world.drop_job(*place, job.seen.uid)

        await self._in_each_namespace(compare)

    async def _check(self) -> None:
        """Every so often, and soon after kopf has listed again."""
        while True:
            try:
                await asyncio.wait_for(self._listed_again.wait(), self._check_seconds)
                await asyncio.sleep(1)
            except TimeoutError:
                pass
            self._listed_again.clear()
            try:
                await self._drop_what_is_gone()
            except ApiError as error:
                logger.warning("could not compare with what is there: %s", error)

    async def _all_kinds_are_watched(self) -> None:
        """Kopf asks once what kinds there are. An API server that has just started may not know all of them yet, and
        kopf would then watch nothing for ever."""
        expected = {path_of(resource, namespace) for resource in _RESOURCES for namespace in self._namespaces or ("",)}
        for _ in range(BEGIN_SECONDS * 10):
            if expected <= self._asked.keys():
                await asyncio.Event().wait()
            await asyncio.sleep(0.1)
        missing = ", ".join(sorted(expected - self._asked.keys()))
        raise RuntimeError(f"within {BEGIN_SECONDS} s nothing was asked for at {missing}")

    async def _watch(self) -> None:
        self._asked.clear()
        tasks = [
            *await kopf.spawn_tasks(
                registry=self._registry(),
                settings=_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
            ),
            asyncio.create_task(self._check()),
            asyncio.create_task(self._all_kinds_are_watched()),
        ]
        self._after_start()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Not `kopf.run_tasks`: it takes every task of the loop for its own and cancels them all.
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=10)
        for task in done:
            task.result()
        raise RuntimeError("kopf ended without saying why")

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: object) -> kopf.AiohttpSession:
            session = open_session(self._configuration, middlewares=(self._listen,))
            return kopf.AiohttpSession(server=self._configuration.host, aiohttp_session=session)

        @kopf.on.event(GROUP, VERSION, "checkpointevals", registry=registry)
        async def evaluation_event(event: kopf.RawEvent, **_: object) -> None:
            metrics.WATCH_EVENTS.labels("checkpointevals").inc()
            known = evaluation_known(cast("Mapping[str, Any]", event["object"]))
            if event["type"] == "DELETED":
                self._world.drop_evaluation(known.key, known.uid)
            else:
                self._world.put_evaluation(known)

        @kopf.on.event("batch", "v1", "jobs", registry=registry)
        async def job_event(event: kopf.RawEvent, **_: object) -> None:
            metrics.WATCH_EVENTS.labels("jobs").inc()
            body = cast("Mapping[str, Any]", event["object"])
            if event["type"] == "DELETED":
                metadata = body["metadata"]
                self._world.drop_job(metadata.get("namespace", ""), metadata["name"], metadata["uid"])
            else:
                self._put_job(body)

        return registry

    def _put_job(self, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            if owner.get("controller") and owner.get("kind") == KIND:
                known = JobKnown(metadata.get("namespace", ""), owner["uid"], owner["name"], job_seen(body))
                self._world.put_job(known)

    async def _listen(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Sees kopf's requests: when it lists again, and that something came of a watch, bookmarks included."""
        resource = resource_of(request.url.path)
        if resource not in self._heard:
            return await handler(request)
        if "watch" not in request.url.query:
            if request.url.path in self._asked:
                self._listed_again.set()
            self._asked.setdefault(request.url.path, 0.0)
            return await handler(request)
        # A server, or a proxy, that ends each watch at once would be asked without a pause.
        wait = self._asked.get(request.url.path, 0.0) + 0.5 - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._asked[request.url.path] = time.monotonic()
        response = await handler(request)
        if response.status == 200:
            self._heard[resource] = time.monotonic()
            response.content = cast("aiohttp.StreamReader", _Heard(response.content, self._heard, resource))
        return response


class _Heard:
    """A stream that notes when something came of it."""

    def __init__(self, content: aiohttp.StreamReader, heard: dict[str, float], resource: str) -> None:
        self._content = content
        self._heard = heard
        self._resource = resource

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for data in self._content.iter_chunked(size):
            self._heard[self._resource] = time.monotonic()
            yield data

    def __getattr__(self, name: str) -> object:
        return getattr(self._content, name)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nothing is compared with what was handled last: there are no change handlers. Saves a deep copy per event."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: object) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: object) -> None:
        """Nowhere."""


class _NoProgress(kopf.ProgressStorage):
    """Nothing is kept between two events, on no object."""

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        """Nowhere."""

    def purge(self, **_: object) -> None:
        """Nothing is there."""

    def touch(self, **_: object) -> None:
        """Nothing is touched."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


class _ForEver:
    """Pauses between tries of one request: kopf takes them from the start for each."""

    def __iter__(self) -> Iterator[float]:
        return _pauses()


def _pauses() -> Iterator[float]:
    seconds = 0.5
    while True:
        yield seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        seconds = min(10.0, seconds * 2)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = _ForEver()
    settings.watching.label_selectors["batch", "v1", "jobs"] = OWNER_LABEL
    settings.watching.chunk_size = CHUNK
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + 15
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.reconnect_backoff = 0.5
    # A task waits for an object's next event so long: short, or bursts leave thousands of them.
    settings.queueing.idle_timeout = 0.1
    return settings
