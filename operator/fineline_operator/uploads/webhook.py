"""The webhook: object stores post here what was uploaded. Runs in every replica; TLS is the ingress's.

    202  understood; its sources are woken, now or after the next listing
    400  not understood                     413  too large
    401  no token, or a wrong one           429  too many, or too many wait
    405  with the token, but no POST
    200  GET /healthz, by whoever: what a load balancer asks, which can't give a token

No answer has a body, and no path is ever logged: its last part may be the token.
"""

from __future__ import annotations

import asyncio
import logging
import socket

import aiohttp
from aiohttp import web

from fineline.errors import SpecError
from fineline_operator import metrics
from fineline_operator.settings import WebhookSettings
from fineline_operator.uploads import messages
from fineline_operator.uploads.arrivals import Arrivals
from fineline_operator.uploads.connections import IDLE_SECONDS, REQUEST_SECONDS, Connections
from fineline_operator.uploads.messages import Meaning, Message
from fineline_operator.uploads.token_file import Token

logger = logging.getLogger(__name__)

_QUIET = logging.getLogger(f"{__name__}.http")
_QUIET.setLevel(logging.CRITICAL)  # aiohttp tells of each request that is no HTTP, with a traceback

HEALTH_PATH = "/healthz"

TELL_SECONDS = 60.0
"""What is refused is told in the log so often."""

STOP_SECONDS = 2.0
_BACKLOG = 256
_OUTCOMES = {401: "refused", 405: "refused", 413: "too_large", 429: "too_many"}


class Webhook:
    """A server at the settings' port. All in the loop's own thread."""

    def __init__(
        self,
        settings: WebhookSettings,
        arrivals: Arrivals,
        *,
        request_seconds: float = REQUEST_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._settings = settings
        self._arrivals = arrivals
        self._request_seconds = request_seconds
        self._idle_seconds = idle_seconds
        self._token = Token(settings.token_file)
        self._allowance = _Allowance(settings.per_second)
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._connections: Connections | None = None
        self._refused = 0
        self._told_refused = -TELL_SECONDS
        self.port = settings.port

    async def start(self) -> None:
        """Listens from now on. `SpecError` where the port can't be had."""
        self._server = web.Server(
            self._answer,
            access_log=None,
            logger=_QUIET,
            auto_decompress=False,  # what unpacks to gigabytes is not unpacked
            keepalive_timeout=self._idle_seconds,
            lingering_time=1.0,
            read_bufsize=2**14,
        )
        self._connections = Connections(
            self._server, request_seconds=self._request_seconds, idle_seconds=self._idle_seconds
        )
        try:
            listening = _listen(self.port)
        except OSError as error:
            raise SpecError(f"webhook.port: {self.port} can't be listened at: {error.strerror}") from None
        self.port = listening.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connections, sock=listening, backlog=_BACKLOG)
        self._token.check()
        logger.info("the webhook takes notices at port %d", self.port)

    async def stop(self) -> None:
        """Takes nothing more; what is being answered is answered first."""
        if self._listener is None or self._server is None or self._connections is None:
            return
        self._listener.close()
        await self._server.shutdown(STOP_SECONDS)
        self._connections.close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            status = await self._status(request)
        except (ConnectionError, aiohttp.ClientError, web.RequestPayloadError):  # cut, or no HTTP
            status = 400
        except Exception:
            logger.exception("a post to the webhook failed")
            status = 500
        if self._connections is not None:
            self._connections.answered(request.transport)
        if status in _OUTCOMES:
            self._count(_OUTCOMES[status])
        answer = web.Response(status=status, headers={"Server": "fineline"})
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
            self._tell_refused()
        elif status == 429:
            self._arrivals.refused()
            answer.headers["Retry-After"] = "1"
        if not request.content.at_eof():
            answer.force_close()
        return answer

    async def _status(self, request: web.BaseRequest) -> int:
        """Nothing is kept of who has no token, and nothing beyond the bound of who has."""
        if request.method == "GET" and request.raw_path == HEALTH_PATH:
            return 200
        if not self._token.admits(request.headers.get("Authorization", ""), request.raw_path):
            return 401
        if request.method != "POST":
            return 405
        if not self._allowance.take():
            return 429
        body = await _body(request)
        message = messages.read_message(body) if body is not None else Message(Meaning.TOO_LARGE)
        return self._take(message)

    def _take(self, message: Message) -> int:
        match message.meaning:
            case Meaning.CHANGED:  # counted when its sources are known
                return 202 if self._arrivals.take(message.objects) else 429
            case Meaning.TOO_LARGE:
                return 413
            case Meaning.UNKNOWN:
                self._count("unknown")
                return 400
            case Meaning.CONFIRMATION:
                logger.warning("the webhook was posted a question of SNS; nothing was done: %s", message.remedy)
                self._count("confirmation")
            case Meaning.TEST:
                logger.info("a store's test event reached the webhook")
                self._count("test")
            case Meaning.UNCHANGED:
                self._count("unchanged")
        return 202

    def _count(self, outcome: str) -> None:
        metrics.EVENTS.labels("webhook", outcome).inc()

    def _tell_refused(self) -> None:
        """A line a minute: whoever tries tokens must not fill the log."""
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now >= self._told_refused + TELL_SECONDS:
            logger.warning("posts to the webhook refused for want of the right token: %d", self._refused)
            self._told_refused, self._refused = now, 0


class _Allowance:
    """So many a second, and as many at once after a quiet second."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._then = -1e9

    def take(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._left = min(float(self._per_second), self._left + (now - self._then) * self._per_second)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def _body(request: web.BaseRequest) -> bytes | None:
    """The body; None where it is too long, of which no more is read than shows it."""
    if (request.content_length or 0) > messages.MAX_BYTES:
        return None
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > messages.MAX_BYTES:
            return None
    return bytes(body)


def _listen(port: int) -> socket.socket:
    """At all addresses, IPv6 and IPv4 alike where the machine has both."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=_BACKLOG)
