"""Answers the kubelet and Prometheus, from a thread of its own: /healthz and /metrics.

/healthz tells of the process alone. An API server or a store that does not answer is no reason to restart the operator.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from fineline_operator import metrics

logger = logging.getLogger(__name__)

SILENT_SECONDS = 60.0


class _Server(ThreadingHTTPServer):
    """At all addresses, IPv6 and IPv4 alike where the machine has both: the kubelet asks at the pod's own."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Health:
    """A server at a port (0 takes a free one). `beats` are times (`time.monotonic`) of what must not stand still."""

    def __init__(
        self, port: int, beats: Mapping[str, Callable[[], float]], *, silent_seconds: float = SILENT_SECONDS
    ) -> None:
        self._beats = dict(beats)
        self._silent_seconds = silent_seconds
        self._server = _Server(("", port), self._handler())

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        logger.info("/healthz and /metrics are served at port %d", self.port)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def verdict(self) -> tuple[bool, str]:
        """Whether all is well, and one line that says so or what stands still."""
        now = time.monotonic()
        late = [
            f"{what} did nothing for {now - beat():.0f} s"
            for what, beat in self._beats.items()
            if now - beat() > self._silent_seconds
        ]
        return (False, "; ".join(late)) if late else (True, "ok")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                path = self.path.split("?", 1)[0]
                if path == "/healthz":
                    well, line = health.verdict()
                    self._answer(200 if well else 503, f"{line}\n".encode(), "text/plain; charset=utf-8")
                elif path == "/metrics":
                    self._answer(200, metrics.exposition(), CONTENT_TYPE_LATEST)
                else:
                    self._answer(404, b"/healthz or /metrics\n", "text/plain; charset=utf-8")

            def _answer(self, status: int, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """A line per probe would bury the others."""

        return Handler
