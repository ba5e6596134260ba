"""A running webhook and who posts to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from fineline_operator.uploads.webhook import Webhook
from support import bucket_events as events
from support.uploads import TOKEN, PlayedApi, uploads, webhook

BODY = events.aws("a", "amber/step1/model.safetensors")
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Sender:
    """Posts to a running webhook."""

    def __init__(self, server: Webhook, session: aiohttp.ClientSession) -> None:
        self.server = server
        self._session = session

    async def post(
        self, body: str | bytes = BODY, path: str = f"/{TOKEN}", headers: Mapping[str, str] | None = None
    ) -> int:
        """The status. No answer ever says more than that."""
        return await self.ask("POST", path, body, headers)

    async def ask(
        self, method: str, path: str, body: str | bytes = b"", headers: Mapping[str, str] | None = None
    ) -> int:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
            assert await answer.read() == b""
            assert answer.headers["Server"] == "fineline"
            return answer.status


@asynccontextmanager
async def running(
    api: PlayedApi,
    folder: Path,
    *,
    per_second: int = 10_000,
    request_seconds: float = 10,
    idle_seconds: float = 75,
    token: str = TOKEN,
    **room: int,
) -> AsyncIterator[Sender]:
    times = {"request_seconds": request_seconds, "idle_seconds": idle_seconds}
    async with (
        uploads(api, every=0.02, **room) as parts,
        webhook(parts.arrivals, folder, per_second=per_second, token=token, **times) as server,
        aiohttp.ClientSession() as session,
    ):
        yield Sender(server, session)


def amber() -> PlayedApi:
    """A source over what `BODY` tells of."""
    api = PlayedApi()
    api.add("amber", "s3://a/amber/")
    return api
