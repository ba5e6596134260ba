"""A real proxy in front of a real server that makes the faults of networks and stores, on demand.

Requests pass unchanged, the `Host` header included, so that signatures stay valid. A fault is asked for with the number
of requests that it meets; faults of one kind are used up in order.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_CHUNK = 16 << 10
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade"}


@dataclass
class _Fault:
    kind: str
    times: int
    method: str | None
    status: int = 500
    code: str = "InternalError"
    body: bytes | None = None
    after: int = 0
    seconds: float = 0.0
    then: Callable[[], object] | None = None


@dataclass(frozen=True)
class Seen:
    """A request that came; the names of its headers in small letters."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class FaultProxy:
    """What the proxy does to requests. `requests` records all that came."""

    upstream_port: int
    port: int = 0
    requests: list[Seen] = field(default_factory=list)
    bytes_per_second: float | None = None
    _faults: list[_Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(
        self,
        status: int,
        code: str = "InternalError",
        *,
        times: int,
        method: str | None = None,
        body: bytes | None = None,
    ) -> None:
        """The next requests are answered with this error, or this body, and not passed on."""
        self._add(_Fault("answer", times, method, status=status, code=code, body=body))

    def lose_answers(self, status: int = 500, *, times: int, method: str | None = None) -> None:
        """The next requests are passed on and carried out, but answered with an error."""
        self._add(_Fault("lose", times, method, status=status))

    def cut(self, after: int, *, times: int, method: str = "GET", then: Callable[[], object] | None = None) -> None:
        """The next answers' bodies end after so many bytes, with the connection; `then` is called at that moment."""
        self._add(_Fault("cut", times, method, after=after, then=then))

    def delay(self, seconds: float, *, times: int, method: str | None = None) -> None:
        self._add(_Fault("delay", times, method, seconds=seconds))

    def refuse(self, *, times: int, method: str | None = None) -> None:
        """The next requests' connections are closed without an answer."""
        self._add(_Fault("refuse", times, method))

    def heal(self) -> None:
        """No faults from now on."""
        with self._lock:
            self._faults.clear()
            self.bytes_per_second = None

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def _met(self, request: Seen) -> dict[str, _Fault]:
        """The faults that this request meets, by kind, each counted down."""
        met: dict[str, _Fault] = {}
        with self._lock:
            self.requests.append(request)
            for fault in self._faults:
                if fault.times > 0 and fault.method in (None, request.method) and fault.kind not in met:
                    fault.times -= 1
                    met[fault.kind] = fault
        return met


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _pass(self) -> None:
        body = self._body()
        faults = self.proxy._met(Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if "delay" in faults:
            time.sleep(faults["delay"].seconds)
        if "refuse" in faults:
            self.close_connection = True
            return
        if "answer" in faults:
            self._error(faults["answer"])
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream_port, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    upstream.putheader(name, value)
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                upstream.putheader("Transfer-Encoding", "chunked")
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            upstream.endheaders(body)
            answer = upstream.getresponse()
            if "lose" in faults:
                answer.read()
                self._error(faults["lose"])
            else:
                self._relay(answer, faults.get("cut"))
        except ConnectionRefusedError:
            self.close_connection = True
        finally:
            upstream.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass  # noqa: N815 - the names that the base class calls

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _error(self, fault: _Fault) -> None:
        said = f"<Error><Code>{fault.code}</Code><Message>as the test asked for</Message></Error>".encode()
        body = said if fault.body is None else fault.body
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _relay(self, answer: http.client.HTTPResponse, cut: _Fault | None) -> None:
        length = answer.getheader("Content-Length")
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if length is None and self.command != "HEAD" and answer.status not in (204, 304):
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        left = cut.after if cut else None
        while chunk := answer.read(_CHUNK if left is None else min(_CHUNK, left)):
            self.wfile.write(chunk)
            if left is not None:
                left -= len(chunk)
            if self.proxy.bytes_per_second:
                time.sleep(len(chunk) / self.proxy.bytes_per_second)
        if cut:
            self.close_connection = True
            if cut.then:
                cut.then()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing: `requests` records what came."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news here."""


@contextlib.contextmanager
def proxy_to(upstream_port: int) -> Iterator[FaultProxy]:
    """A proxy in front of a server on this machine, until the end of the block."""
    proxy = FaultProxy(upstream_port)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
