"""The Kubernetes API as load tests speak it: many requests at once from one thread, which spends little on each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import aiohttp

from support.control_plane import ControlPlane

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Objects are asked for without spec and status."""


@contextlib.asynccontextmanager
async def open_session(plane: ControlPlane) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to the API server of somebody who may do everything."""
    async with aiohttp.ClientSession(
        plane.endpoint,
        connector=aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=str(plane.certificate))),
        headers={"Authorization": f"Bearer {plane.token}"},
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=2**20,
    ) as session:
        yield session


async def created(session: aiohttp.ClientSession, path: str, body: Mapping[str, Any]) -> None:
    """Raises RuntimeError where the API server does not take it."""
    async with session.post(path, json=body) as answer:
        if answer.status != 201:
            raise RuntimeError(f"POST {path}: {answer.status}: {await answer.text()}")
        await answer.read()


async def watch(
    session: aiohttp.ClientSession,
    path: str,
    seen: Callable[[Mapping[str, Any]], None],
    *,
    accept: str = "application/json",
) -> None:
    """Calls `seen` with each event, for ever: the API server ends a watch that it finds too slow, which then goes on
    where it was."""
    query = {"watch": "true", "timeoutSeconds": "7200"}
    while True:
        async with session.get(path, params=query, headers={"Accept": accept}) as answer:
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"watch of {path}: {event['object']}")
                query["resourceVersion"] = event["object"]["metadata"]["resourceVersion"]
                seen(event)


async def at_once(calls: Iterable[Awaitable[None]], most: int) -> None:
    """Awaits them all, `most` at a time."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await call

    await asyncio.gather(*(work() for _ in range(most)))
