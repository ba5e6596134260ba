"""Watches our kinds and their Jobs, and tells `World`. This module alone knows kopf.

kopf runs in the operator's own loop and does one thing: list and watch, calling `on.event`. No timers, daemons, change
handlers or indices: those write finalizers and annotations, and a barrier of indices would keep every body of the first
list in memory. Nothing of kopf's is written to any object.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import aiohttp
import kopf

from fineline.resources.fields import GROUP, VERSION
from fineline_operator import metrics
from fineline_operator.api import Api, ApiError, Configuration, open_session, path_of
from fineline_operator.jobs.ownership import OURS
from fineline_operator.lists import CHUNK, KIND_OF, Lists
from fineline_operator.paths import Resource, resource_of
from fineline_operator.world import World, job_known, key_of

logger = logging.getLogger(__name__)

_IDENTITY: Any = "fineline-operator"  # for kopf's peering, which is not used: there is a Lease

WATCH_SECONDS = 30
"""The API server ends each watch after so long, with a bookmark before; it goes on where it was."""

SILENCE_SECONDS = 35.0
"""A watch of which nothing comes for so long was cut silently."""

BEGIN_SECONDS = 15
CRD_SECONDS = 5.0


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
        self._lists = Lists(api, world, namespaces)
        self._world = world
        self._namespaces = tuple(namespaces)
        self._check_seconds = check_seconds
        self._after_start = after_start
        self._resources: tuple[Resource, ...] = ()
        self._heard: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._listed_again = asyncio.Event()
        for resource, kind in {**KIND_OF, "jobs": "Job"}.items():
            metrics.OBJECTS.labels(resource).set_function(partial(world.count, kind))

    async def run(self, ready: asyncio.Event) -> None:
        """Watch until cancelled. `ready` is set once all that exists is known.

        Whatever ends kopf, such as a CRD that was taken away, is told and tried again.
        """
        pause = _pauses()
        while True:
            try:
                self._resources = await self._kinds_to_watch()
                await self._lists.read_all(self._resources)
                ready.set()
                logger.info("watching %s", ", ".join(self._namespaces) if self._namespaces else "all namespaces")
                await self._watch()
            except ApiError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001 - kopf ends with many kinds, and none must end the operator
                problem = f"{type(error).__name__}: {error}"
            else:
                continue  # a kind has come that was missing
            seconds = next(pause)
            logger.error("watching ended, and starts anew in %.0f s: %s", seconds, problem)
            await asyncio.sleep(seconds)

    async def _kinds_to_watch(self) -> tuple[Resource, ...]:
        """Those that the API server knows: kopf asks for them once, at its start.

        Without any there is nothing to do but wait. Where only some are missing, the others are served meanwhile: Helm
        does not upgrade CRDs, and an operator that is newer than they are must not stop the evaluations that run.
        """
        while True:
            there = await self._lists.served()
            missing = [kind for resource, kind in KIND_OF.items() if resource not in there]
            if missing:
                logger.error(
                    "the API server knows no %s of %s/%s: install Fineline's CRDs (looked for again every %.0f s%s)",
                    " and no ".join(missing), GROUP, VERSION, CRD_SECONDS,
                    "; the other kinds are served meanwhile" if there else "",
                )  # fmt: skip
            if there:
                return there
            await asyncio.sleep(CRD_SECONDS)

    async def _missing_kinds_come(self) -> None:
        """Ends when the API server knows another kind than at the start; never where it knew all."""
        while len(self._resources) < len(KIND_OF):
            await asyncio.sleep(CRD_SECONDS)
            try:
                if set(await self._lists.served()) - set(self._resources):
                    return
            except ApiError as error:
                logger.warning("could not look for missing kinds: %s", error)
        await asyncio.Event().wait()

    def _measure(self, watched: Collection[str]) -> None:
        """Watch ages of what is watched, and of nothing else."""
        now = time.monotonic()
        self._heard = {resource: self._heard.get(resource, now) for resource in watched}
        for resource in (*KIND_OF, "jobs"):
            if resource in watched:
                metrics.WATCH_AGE.labels(resource).set_function(partial(self._age, resource))
            else:
                metrics.WATCH_AGE.remove(resource)

    def _age(self, resource: str) -> float:
        return time.monotonic() - self._heard.get(resource, time.monotonic())

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
                await self._lists.drop_what_is_gone(self._resources)
            except ApiError as error:
                logger.warning("could not compare with what is there: %s", error)

    async def _all_kinds_are_watched(self) -> None:
        """Kopf asks once what kinds there are. An API server that has just started may not know all of them yet, and
        kopf would then watch nothing for ever."""
        resources: tuple[Resource, ...] = (*self._resources, "jobs")
        expected = {path_of(resource, namespace) for resource in resources for namespace in self._namespaces or ("",)}
        for _ in range(BEGIN_SECONDS * 10):
            if expected <= self._asked.keys():
                await asyncio.Event().wait()
            await asyncio.sleep(0.1)
        missing = ", ".join(sorted(expected - self._asked.keys()))
        raise RuntimeError(f"within {BEGIN_SECONDS} s nothing was asked for at {missing}")

    async def _watch(self) -> None:
        """Returns where a kind has come that was missing; raises whatever else ends it."""
        self._asked.clear()
        self._measure((*self._resources, "jobs"))
        watching = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=_settings(),
            # Else kopf asks for the user's name, and in a pod that has none ends with an error.
            identity=_IDENTITY,
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
        )
        missing = asyncio.create_task(self._missing_kinds_come())
        tasks = [
            *watching,
            missing,
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
        if missing in done:
            return
        raise RuntimeError("kopf ended without saying why")

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: object) -> kopf.AiohttpSession:
            session = open_session(self._configuration, middlewares=(self._listen,))
            return kopf.AiohttpSession(server=self._configuration.host, aiohttp_session=session)

        async def object_event(event: kopf.RawEvent, resource: kopf.Resource, **_: object) -> None:
            metrics.WATCH_EVENTS.labels(resource.plural).inc()
            kind, body = KIND_OF[cast("Resource", resource.plural)], cast("Mapping[str, Any]", event["object"])
            if event["type"] == "DELETED":
                self._world.drop(key_of(kind, body), body["metadata"]["uid"])
            else:
                self._world.read(kind, body)

        for watched in self._resources:
            kopf.on.event(GROUP, VERSION, watched, registry=registry)(object_event)

        @kopf.on.event("batch", "v1", "jobs", registry=registry)
        async def job_event(event: kopf.RawEvent, **_: object) -> None:
            metrics.WATCH_EVENTS.labels("jobs").inc()
            body = cast("Mapping[str, Any]", event["object"])
            if event["type"] == "DELETED":
                metadata = body["metadata"]
                self._world.drop_job(metadata.get("namespace", ""), metadata["name"], metadata["uid"])
                return
            job = job_known(body)
            if job is not None:
                self._world.put_job(job)

        return registry

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
    settings.watching.label_selectors["batch", "v1", "jobs"] = OURS
    settings.watching.chunk_size = CHUNK
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + 15
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.reconnect_backoff = 0.5
    # A task waits for an object's next event so long: short, or bursts leave thousands of them.
    settings.queueing.idle_timeout = 0.1
    return settings
