"""Bounds the connections of a server: how many are open, how long a request may take, how long one may lie idle.

A client that sends its request a byte at a time, or nothing, is cut off; where there is no room, the one that has lain
or waited longest makes place, so that nobody can fill the room by only being there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

MAX_OPEN = 512
REQUEST_SECONDS = 10.0
IDLE_SECONDS = 75.0
"""Longer than reverse proxies keep one: they would send into a connection that ends."""


class Connections:
    """Makes the protocols of a server (for `loop.create_server`), each that of `protocol` with a guard before it."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        *,
        max_open: int = MAX_OPEN,
        request_seconds: float = REQUEST_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._protocol = protocol
        self._max_open = max_open
        self._asking = _Timed(request_seconds)
        self._idle = _Timed(idle_seconds)

    def __call__(self) -> asyncio.Protocol:
        return _Guard(self, self._protocol())

    def __len__(self) -> int:
        return len(self._asking.since) + len(self._idle.since)

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """It counts from now on, and is to ask something soon."""
        if len(self) >= self._max_open:
            (self._idle if self._idle.since else self._asking).cut_oldest()
        self._asking.add(transport)

    def asked(self, transport: asyncio.BaseTransport) -> None:
        """Something came of it: where it lay idle, a request begins."""
        if self._idle.drop(transport):
            self._asking.add(transport)

    def answered(self, transport: asyncio.BaseTransport | None) -> None:
        """Its request was answered: it lies idle."""
        if transport is not None and self._asking.drop(transport):
            self._idle.add(transport)

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """It no longer counts."""
        self._asking.drop(transport)
        self._idle.drop(transport)

    def close(self) -> None:
        """Cut all of them off."""
        self._asking.close()
        self._idle.close()


class _Timed:
    """Transports, each with the time since when it is here, the oldest first; cut off after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.since: dict[asyncio.BaseTransport, float] = {}
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.BaseTransport) -> None:
        self.since[transport] = asyncio.get_running_loop().time()
        self._watch()

    def drop(self, transport: asyncio.BaseTransport) -> bool:
        """Whether it was here."""
        return self.since.pop(transport, None) is not None

    def cut_oldest(self) -> None:
        transport = next(iter(self.since))
        del self.since[transport]
        cast("asyncio.Transport", transport).abort()

    def close(self) -> None:
        while self.since:
            self.cut_oldest()
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        """One timer for all: for the one whose time is up first."""
        if self._timer is None and self.since:
            due = next(iter(self.since.values())) + self._seconds
            self._timer = asyncio.get_running_loop().call_at(due, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        before = asyncio.get_running_loop().time() - self._seconds
        while self.since and next(iter(self.since.values())) <= before:
            self.cut_oldest()
        self._watch()


class _Guard(asyncio.Protocol):
    """Passes all on, and tells when the connection comes, asks and goes."""

    def __init__(self, connections: Connections, protocol: asyncio.Protocol) -> None:
        self._connections = connections
        self._protocol = protocol
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.opened(transport)
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.closed(self._transport)
        self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._connections.asked(self._transport)
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
