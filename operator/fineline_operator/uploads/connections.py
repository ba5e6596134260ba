"""Bounds the connections of a server: how many are open, and how long one may be without an answer.

A client that sends its request a byte at a time, or nothing, is cut off; where there is no room, the one that has
waited longest makes place, so that nobody can fill the room by only being there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

MAX_OPEN = 512
SECONDS = 10.0


class Connections:
    """Makes the protocols of a server (for `loop.create_server`), each that of `protocol` with a guard before it."""

    def __init__(
        self, protocol: Callable[[], asyncio.Protocol], *, max_open: int = MAX_OPEN, seconds: float = SECONDS
    ) -> None:
        self._protocol = protocol
        self._max_open = max_open
        self._seconds = seconds
        self._open: dict[asyncio.BaseTransport, float] = {}  # since when without an answer; the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.Protocol:
        return _Guard(self, self._protocol())

    def __len__(self) -> int:
        return len(self._open)

    def answered(self, transport: asyncio.BaseTransport | None) -> None:
        """A request on it was answered: its time starts anew."""
        if transport is not None and self._open.pop(transport, None) is not None:
            self._open[transport] = asyncio.get_running_loop().time()

    def opened(self, transport: asyncio.Transport) -> None:
        """It counts from now on."""
        if len(self._open) >= self._max_open:
            self._cut(next(iter(self._open)))
        self._open[transport] = asyncio.get_running_loop().time()
        self._watch()

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """It no longer counts."""
        self._open.pop(transport, None)

    def close(self) -> None:
        """Cut all of them off."""
        for transport in list(self._open):
            self._cut(transport)
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self, transport: asyncio.BaseTransport) -> None:
        del self._open[transport]
        cast("asyncio.Transport", transport).abort()

    def _watch(self) -> None:
        """One timer for all: for the one whose time is up first."""
        if self._timer is None and self._open:
            due = next(iter(self._open.values())) + self._seconds
            self._timer = asyncio.get_running_loop().call_at(due, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        before = asyncio.get_running_loop().time() - self._seconds
        for transport, since in list(self._open.items()):
            if since > before:
                break
            self._cut(transport)
        self._watch()


class _Guard(asyncio.Protocol):
    """Passes all on, and tells when the connection comes and goes."""

    def __init__(self, connections: Connections, protocol: asyncio.Protocol) -> None:
        self._connections = connections
        self._protocol = protocol
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.opened(cast("asyncio.Transport", transport))
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.closed(self._transport)
        self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
