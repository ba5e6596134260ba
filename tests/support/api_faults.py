"""A proxy before an API server that makes faults: refused, lost, frozen and cut requests, watches included.

It ends TLS with the API server's own certificate, so that clients need only another address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from support.control_plane import ControlPlane
from support.processes import lasting_port

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "host"}


@dataclass(frozen=True)
class Asked:
    """A request that came by, and the status that the API server answered (0: not asked)."""

    method: str
    path: str
    watch: bool
    status: int = 0

    @property
    def write(self) -> bool:
        return self.method != "GET"


@dataclass
class Fault:
    """What befalls the next `times` requests that fit. `status` is answered instead; `lost`: done, but not answered."""

    method: str
    path: str
    times: int = 1
    status: int = 0
    retry_after: int | None = None
    lost: bool = False
    seconds: float = 0.0
    expired_watch: bool = False

    def fits(self, request: web.BaseRequest) -> bool:
        return (
            self.times > 0
            and re.fullmatch(self.method, request.method) is not None
            and bool(re.search(self.path, request.path))
            and (not self.expired_watch or "watch" in request.query)
        )


@dataclass
class ApiProxy:
    """The running proxy. `asked` is what came by; `on_answer` is called before an answer is passed on, in a thread.
    `chance` may have a fault for a request that no other one meets."""

    endpoint: str
    upstream: str
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    on_answer: Callable[[Asked], None] | None = None
    chance: Callable[[Asked], Fault | None] = lambda _: None
    frozen: threading.Event = field(default_factory=threading.Event)
    freezes: int = 0
    _transports: set[asyncio.Transport] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def refuse(self, method: str, path: str, status: int, *, times: int = 1, retry_after: int | None = None) -> None:
        """Answer so to the next requests whose method is, and whose path has, these regular expressions."""
        self.faults.append(Fault(method, path, times, status=status, retry_after=retry_after))

    def lose(self, method: str, path: str, *, times: int = 1) -> None:
        """Do what is asked, and cut the connection instead of answering."""
        self.faults.append(Fault(method, path, times, lost=True))

    def delay(self, method: str, path: str, seconds: float, *, times: int = 1) -> None:
        self.faults.append(Fault(method, path, times, seconds=seconds))

    def expire_watches(self, *, times: int = 4) -> None:
        """Tell the next watches that what they want to go on from is too old: a new list is needed. There is a watch
        for each of the three kinds and one for Jobs."""
        self.faults.append(Fault("GET", "", times, expired_watch=True))

    def freeze(self) -> None:
        """Pass nothing on any more, in either direction; connections stay open, as behind a dead router."""
        self.freezes += 1
        self.frozen.set()

    def thaw(self) -> None:
        """Answer new requests again. What was frozen stays so: its connections are dead."""
        self.frozen.clear()

    def cut(self) -> None:
        """Close all connections."""

        def close() -> None:
            for transport in list(self._transports):
                transport.abort()

        self._loop.call_soon_threadsafe(close)

    def writes(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.write]

    def kubeconfig(self, original: Path) -> Path:
        """A copy of a kubeconfig that goes through the proxy."""
        config = yaml.safe_load(original.read_text())
        for cluster in config["clusters"]:
            cluster["cluster"]["server"] = self.endpoint
        file = original.with_name(f"{original.name}-by-proxy-{self.endpoint.rpartition(':')[2]}")
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))
        return file


@contextlib.contextmanager
def api_proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    """A proxy before the API server until the end of the block."""
    pki = plane.certificate.parent
    port = lasting_port()
    proxy = ApiProxy(f"https://127.0.0.1:{port}", plane.endpoint)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(plane.certificate, pki / "server.key")
    trusted = ssl.create_default_context(cafile=str(plane.certificate))
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=trusted),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        ) as session:
            server = web.Server(lambda request: _handle(proxy, session, request), handler_cancellation=True)
            runner = web.ServerRunner(server, shutdown_timeout=0)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port, ssl_context=served).start()
            ready.set()
            await stop.wait()
            for transport in list(proxy._transports):
                transport.abort()
            await runner.cleanup()

    thread = threading.Thread(target=lambda: proxy._loop.run_until_complete(run()), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the proxy before the API server did not start")
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        proxy._loop.close()


async def _handle(proxy: ApiProxy, session: aiohttp.ClientSession, request: web.BaseRequest) -> web.StreamResponse:
    transport = request.transport
    assert isinstance(transport, asyncio.Transport)
    proxy._transports.add(transport)
    try:
        return await _answer(proxy, session, request, transport)
    finally:
        if transport.is_closing():
            proxy._transports.discard(transport)


async def _answer(
    proxy: ApiProxy, session: aiohttp.ClientSession, request: web.BaseRequest, transport: asyncio.Transport
) -> web.StreamResponse:
    watch, freezes = "watch" in request.query, proxy.freezes
    body = await request.read()
    if proxy.frozen.is_set():
        await asyncio.Event().wait()
    fault = next((fault for fault in proxy.faults if fault.fits(request)), None)
    fault = fault or proxy.chance(Asked(request.method, request.path, watch))
    if fault is not None:
        fault.times -= 1
        await asyncio.sleep(fault.seconds)
    if fault is not None and fault.status:
        proxy.asked.append(Asked(request.method, request.path, watch))
        return _refusal(fault)
    if fault is not None and fault.expired_watch:
        proxy.asked.append(Asked(request.method, request.path, watch))
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
        return web.json_response({"type": "ERROR", "object": status}, dumps=lambda event: f"{json.dumps(event)}\n")
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
    try:
        async with session.request(
            request.method, f"{proxy.upstream}{request.raw_path}", headers=headers, data=body or None,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as upstream:  # fmt: skip
            asked = Asked(request.method, request.path, watch, upstream.status)
            proxy.asked.append(asked)
            if proxy.on_answer is not None:
                await asyncio.to_thread(proxy.on_answer, asked)
            if fault is not None and fault.lost:
                await upstream.read()
                transport.abort()
                return web.Response()
            passed = {name: value for name, value in upstream.headers.items() if name.lower() not in _HOP_BY_HOP}
            response = web.StreamResponse(status=upstream.status, headers=passed)
            await response.prepare(request)
            async for data in _until_frozen(proxy, upstream, freezes):
                await response.write(data)
            await response.write_eof()
            return response
    except (aiohttp.ClientError, ConnectionError):  # the API server is down, or either side went away
        transport.abort()
        return web.Response()


async def _until_frozen(proxy: ApiProxy, upstream: aiohttp.ClientResponse, freezes: int) -> AsyncIterator[bytes]:
    async for data in upstream.content.iter_any():
        if proxy.freezes != freezes:
            await asyncio.Event().wait()
        yield data


def _refusal(fault: Fault) -> web.Response:
    reasons = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
    body = {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": fault.status,
        "reason": reasons.get(fault.status, ""), "message": "made by the test's proxy",
    }  # fmt: skip
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    return web.json_response(body, status=fault.status, headers=headers)
