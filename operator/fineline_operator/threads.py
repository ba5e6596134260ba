"""Threads for calls that block, a few for each lane, so that a slow store holds up nobody else.

A lane is a namespace and the buckets of an evaluation: what waits for the same stores on behalf of the same people.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

THREADS = 4
IDLE_SECONDS = 60.0


@dataclass(slots=True)
class _Lane:
    executor: ThreadPoolExecutor
    calls: int = 0
    closing: asyncio.TimerHandle | None = None


class Threads:
    """At most `threads` threads a lane; none where nothing was asked for `idle_seconds`."""

    def __init__(self, threads: int = THREADS, idle_seconds: float = IDLE_SECONDS) -> None:
        self._threads = threads
        self._idle_seconds = idle_seconds
        self._lanes: dict[str, _Lane] = {}

    async def run(
        self, lane: str, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """What `function` gives, from a thread of the lane, with the caller's context. Waits for its turn.

        A cancelled wait leaves the call itself running: a thread can't be stopped.
        """
        entry = self._lanes.get(lane)
        if entry is None:
            entry = self._lanes[lane] = _Lane(ThreadPoolExecutor(self._threads, thread_name_prefix=lane))
        if entry.closing is not None:
            entry.closing.cancel()
            entry.closing = None
        entry.calls += 1
        context = contextvars.copy_context()
        call = asyncio.wrap_future(entry.executor.submit(lambda: context.run(function, *args, **kwargs)))
        call.add_done_callback(lambda _: self._done(lane, entry))
        return await call

    @property
    def lanes(self) -> int:
        """How many lanes have threads now."""
        return len(self._lanes)

    def close(self) -> None:
        """Start nothing more. What runs is left to end, or to end with the process."""
        for entry in self._lanes.values():
            if entry.closing is not None:
                entry.closing.cancel()
            entry.executor.shutdown(wait=False, cancel_futures=True)
        self._lanes.clear()

    def _done(self, lane: str, entry: _Lane) -> None:
        entry.calls -= 1
        if entry.calls == 0 and self._lanes.get(lane) is entry:
            entry.closing = asyncio.get_running_loop().call_later(self._idle_seconds, self._drop, lane, entry)

    def _drop(self, lane: str, entry: _Lane) -> None:
        del self._lanes[lane]
        entry.executor.shutdown(wait=False)
