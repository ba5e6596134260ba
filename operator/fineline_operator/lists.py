"""Reads what there is of our kinds and of their Jobs, all at once, and compares with what is known.

The watch tells what changes; these lists come before it, and say what it can't: what went while nobody watched.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import cast

from fineline.resources.fields import GROUP, VERSION
from fineline.resources.kinds import KINDS
from fineline_operator.api import Api, Forbidden, NotFound, path_of
from fineline_operator.jobs.ownership import OURS
from fineline_operator.paths import Resource
from fineline_operator.world import World, job_known

logger = logging.getLogger(__name__)

CHUNK = 500

KIND_OF: Mapping[Resource, str] = {cast("Resource", kind.plural): kind.name for kind in KINDS}
"""In the order in which they are read: CheckpointEvals first, so that reading them wakes no source or analysis."""


class Lists:
    """Lists for a `World`, in all namespaces or in some."""

    def __init__(self, api: Api, world: World, namespaces: Sequence[str]) -> None:
        self._api = api
        self._world = world
        self._namespaces = tuple(namespaces) or ("",)

    async def served(self) -> tuple[Resource, ...]:
        """Those of our kinds that the API server knows now."""
        try:
            found = await self._api.get(f"/apis/{GROUP}/{VERSION}")
        except NotFound:
            return ()
        names = {item.get("name") for item in found.get("resources") or ()}
        return tuple(resource for resource in KIND_OF if resource in names)

    async def read_all(self, resources: Collection[Resource]) -> None:
        """All that exists of these kinds, and our Jobs, before anything is decided: whose turn it is depends on the
        others. What was known before and is no more, kinds included, is known as gone after."""
        began_empty = not len(self._world)

        async def read(namespace: str) -> None:
            for resource in resources:
                async for body in self._api.list(path_of(resource, namespace), limit=CHUNK):
                    self._world.read(KIND_OF[resource], body)
            async for body in self._api.list(path_of("jobs", namespace), label_selector=OURS, limit=CHUNK):
                job = job_known(body)
                if job is not None:
                    self._world.put_job(job)

        await self._in_each_namespace(read)
        if not began_empty:
            await self.drop_what_is_gone(resources)

    async def drop_what_is_gone(self, resources: Collection[Resource]) -> None:
        """A watch that starts from a new list says nothing of what was deleted before it: compare with what is there.

        Only what was known before the list began may be missing from it.
        """
        objects = {resource: self._world.objects(kind) for resource, kind in KIND_OF.items()}
        jobs = self._world.jobs()

        async def compare(namespace: str) -> None:
            for resource, known in objects.items():
                found = await self._uids(resource, namespace) if resource in resources else set()
                for key, one in known.items():
                    if namespace in ("", key.namespace) and one.uid not in found:
                        self._world.drop(key, one.uid)
            found = await self._uids("jobs", namespace, OURS)
            for place, job in jobs.items():
                if namespace in ("", place[0]) and job.seen.uid not in found:
                    self._world.drop_job(*place, job.seen.uid)

        await self._in_each_namespace(compare)

    async def _uids(self, resource: Resource, namespace: str, label_selector: str = "") -> set[str]:
        bodies = self._api.list(
            path_of(resource, namespace), label_selector=label_selector, limit=CHUNK, metadata_only=True
        )
        return {body["metadata"]["uid"] async for body in bodies}

    async def _in_each_namespace(self, do: Callable[[str], Awaitable[None]]) -> None:
        """A namespace that is gone took the operator's rights in it along: that must not keep it from the others."""
        refusals: list[Forbidden] = []
        for namespace in self._namespaces:
            try:
                await do(namespace)
            except Forbidden as error:
                refusals.append(error)
                logger.error("the namespace %s is left out: %s", namespace or "*", error)  # noqa: TRY400 - it names all
        if len(refusals) == len(self._namespaces):
            raise refusals[0]
