"""Pods and Kueue's Workloads of a namespace, read when somebody asks and shared for a moment.

They are not watched: most evaluations never need them, and one list serves all evaluations of a namespace that do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Grouped = dict[str, tuple[Item, ...]]

MAX_AGE_SECONDS = 10.0
MAX_NAMESPACES = 256


@dataclass(frozen=True)
class _Taken(Generic[Item]):
    at: float
    items: Grouped[Item]


class Snapshots(Generic[Item]):
    """What `read` gives for a namespace, grouped by the owner that asks for it; one read at a time for each."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[Grouped[Item]]],
        *,
        max_age: float = MAX_AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._max_age = max_age
        self._clock = clock
        self._taken: dict[str, _Taken[Item]] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def of(self, namespace: str, owner: str, *, max_age: float | None = None) -> tuple[Item, ...]:
        """The items of one owner, not older than `max_age` seconds. Raises what `read` raises."""
        age = self._max_age if max_age is None else min(max_age, self._max_age)
        async with self._reading.setdefault(namespace, asyncio.Lock()):
            taken = self._taken.get(namespace)
            if taken is None or self._clock() - taken.at > age:
                began = self._clock()
                taken = _Taken(began, await self._read(namespace))
                self._taken[namespace] = taken
                self._forget_old()
        return taken.items.get(owner, ())

    async def put(self, namespace: str, owner: str, items: tuple[Item, ...]) -> None:
        """What a write made of one owner's items: a snapshot from before it must not say otherwise."""
        async with self._reading.setdefault(namespace, asyncio.Lock()):
            taken = self._taken.get(namespace)
            if taken is not None:
                taken.items[owner] = items

    def _forget_old(self) -> None:
        """Nothing is kept longer than it may be used, so that quiet namespaces take no memory."""
        now = self._clock()
        for namespace in [name for name, taken in self._taken.items() if now - taken.at > self._max_age]:
            del self._taken[namespace]
        for namespace in [name for name in self._reading if name not in self._taken]:
            if not self._reading[namespace].locked() and len(self._reading) > MAX_NAMESPACES:
                del self._reading[namespace]
