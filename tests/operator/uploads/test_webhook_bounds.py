"""Nothing that is posted to the webhook costs much: not long, slow, many or odd requests."""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from fineline_operator.api import Unavailable
from fineline_operator.uploads import arrivals
from fineline_operator.uploads.connections import Connections
from fineline_operator.uploads.messages import MAX_BYTES
from support import bucket_events as events
from support.posting import BODY, amber, running
from support.uploads import TOKEN, counted, soon


def test_a_body_that_is_packed_is_not_unpacked(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            assert await sender.post(gzip.compress(BODY.encode()), headers={"Content-Encoding": "gzip"}) == 400

    asyncio.run(run())


def test_a_body_that_says_that_it_is_too_long_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            reader, writer = await asyncio.open_connection("127.0.0.1", sender.server.port)
            writer.write(f"POST /{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n".encode())
            assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 413")
            writer.close()

    asyncio.run(run())


def test_a_body_without_a_length_is_read_up_to_the_bound_and_no_further(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(4_000):
            sent += 2**16
            yield b" " * 2**16

    async def in_parts() -> AsyncIterator[bytes]:
        for at in range(0, len(BODY), 10):
            yield BODY[at : at + 10].encode()

    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            assert await sender.post(in_parts()) == 202  # type: ignore[arg-type]
            url = f"http://127.0.0.1:{sender.server.port}/{TOKEN}"
            async with aiohttp.ClientSession() as session:
                try:
                    async with session.post(url, data=endless()) as answer:
                        assert answer.status == 413
                except aiohttp.ClientConnectionError:  # cut off while it sent
                    pass
            assert await sender.post() == 202

    before = counted("webhook", "too_large")
    asyncio.run(run())
    assert counted("webhook", "too_large") == before + 1
    assert sent < 200 * 2**20


def test_more_than_so_many_a_second_are_told_to_come_later(tmp_path: Path) -> None:
    async def run() -> None:
        before = counted("webhook", "too_many")
        async with running(amber(), tmp_path, per_second=20) as sender:
            refused = [await sender.post(path="/wrong") for _ in range(50)]
            assert set(refused) == {401}, "and who has no token takes nobody's place"
            statuses = [await sender.post() for _ in range(60)]
            assert statuses[:20] == [202] * 20
            assert statuses.count(429) >= 20
            assert counted("webhook", "too_many") == before + statuses.count(429)
            await asyncio.sleep(0.3)
            assert await sender.post() == 202

    asyncio.run(run())


def test_after_one_was_turned_away_what_was_woken_before_is_woken_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of many files: the last one's event is among those that were too many."""
    monkeypatch.setattr(arrivals, "AGAIN_SECONDS", 0.3)

    async def run() -> None:
        api = amber()
        api.add("other", "s3://a/other/")
        async with running(api, tmp_path, per_second=5) as sender:
            assert [await sender.post() for _ in range(6)] == [202] * 5 + [429]
            refused = asyncio.get_running_loop().time()
            await soon(lambda: api.woken and api.woken[-1][1] > refused + 0.15, "amber woken after it", seconds=5)
            woken = len(api.woken)
            await asyncio.sleep(0.5)
            assert len(api.woken) == woken, "once"
            assert set(api.names) == {"amber"}

    asyncio.run(run())


def test_where_too_much_waits_for_the_api_server_senders_are_told_to_come_again(tmp_path: Path) -> None:
    async def run() -> None:
        api = amber()
        api.error = Unavailable("no answer")
        async with running(api, tmp_path, max_waiting=10) as sender:
            statuses = [await sender.post(events.event_bridge("a", f"amber/{at}")) for at in range(30)]
            assert statuses == [202] * 10 + [429] * 20
            api.error = None
            await soon(lambda: api.woken, "amber woken")
            assert await sender.post() == 202

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /",
        b"POST /a-token-that-nobody-guesses HTTP/1.1\r\nHost: x\r\nX: ",
        b"POST /a-token-that-nobody-guesses HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /a-token-that-nobody-guesses HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"POST /wrong HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_who_sends_a_byte_now_and_then_is_cut_off(sent: bytes, tmp_path: Path) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path, request_seconds=0.3) as sender:
            reader, writer = await asyncio.open_connection("127.0.0.1", sender.server.port)
            writer.write(sent)
            loop = asyncio.get_running_loop()
            began = loop.time()

            async def drip() -> None:
                while True:
                    await asyncio.sleep(0.1)
                    writer.write(b" ")
                    await writer.drain()

            dripping = asyncio.create_task(drip())
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 5)
            assert loop.time() - began < 3
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)
            writer.close()
            assert await sender.post() == 202

    asyncio.run(run())


def test_a_connection_may_lie_idle_between_two_requests_for_a_while(tmp_path: Path) -> None:
    request = f"POST /{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()

    async def run() -> None:
        async with running(amber(), tmp_path, request_seconds=0.2, idle_seconds=1) as sender:
            reader, writer = await asyncio.open_connection("127.0.0.1", sender.server.port)
            for _ in range(3):
                writer.write(request)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202")
                await asyncio.sleep(0.4)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

            reader, writer = await asyncio.open_connection("127.0.0.1", sender.server.port)
            writer.write(request + request[:20])
            loop = asyncio.get_running_loop()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202")
            began = loop.time()
            writer.write(request[20:30])
            with suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 5)
            assert loop.time() - began < 0.8, "a second request is no slower than a first"
            writer.close()

    asyncio.run(run())


def test_what_is_no_http_is_refused_without_a_word_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            for sent in (
                b"\x16\x03\x01\x02\x00\x01",
                b"GET / HTTP/9.9\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"POST /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
                b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", sender.server.port)
                writer.write(sent + b"\r\n\r\n")
                try:
                    answer = await asyncio.wait_for(reader.read(), 5)
                    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.1 401"))
                except ConnectionError:
                    pass
                writer.close()
            assert await sender.post() == 202

    asyncio.run(run())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_full_room_gives_the_place_of_who_waits_longest_to_who_comes(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            connections = sender.server._connections
            assert isinstance(connections, Connections)
            connections._max_open = 20
            idle = [await asyncio.open_connection("127.0.0.1", sender.server.port) for _ in range(30)]
            await soon(lambda: len(connections) == 20, "20 are open")
            assert await sender.post() == 202
            assert len(connections) <= 20
            assert await asyncio.wait_for(idle[0][0].read(), 5) == b""
            for _, writer in idle:
                writer.close()

    asyncio.run(run())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_ten_thousand_posts_of_every_kind_take_bounded_memory(tmp_path: Path) -> None:
    bombs = ["[" * 100_000, '{"Records":[' + "[]," * 60_000 + "[]]}", " " * MAX_BYTES, "{" * 1_000]
    long = "x" * 1_000

    async def run() -> None:
        api = amber()
        async with running(api, tmp_path) as sender:

            async def post(number: int) -> int:
                match number % 10:
                    case 0:
                        return await sender.post(path="/wrong")
                    case 1:
                        return await sender.post(bombs[number // 10 % len(bombs)] if number % 100 == 1 else "{")
                    case 2 | 3 | 4:
                        return await sender.post(events.aws("foreign", f"{number}/{long}"))
                    case 5:
                        return await sender.post(events.minio("a", f"../amber/{number}"))
                    case _:
                        return await sender.post(events.versitygw("a", f"amber/{number}/x"))

            async def some(begin: int, end: int, statuses: list[int]) -> None:
                statuses.extend([await post(number) for number in range(begin, end)])

            async def posts(begin: int, end: int) -> list[int]:
                statuses: list[int] = []
                step = (end - begin) // 50
                await asyncio.gather(*(some(at, at + step, statuses) for at in range(begin, end, step)))
                return statuses

            await posts(0, 1_000)
            gc.collect()
            before = _resident()
            statuses = await posts(1_000, 11_000)
            grown = _resident() - before
            assert len(statuses) == 10_000
            assert statuses.count(401) == 1_000
            assert statuses.count(400) == 1_000
            assert set(statuses) <= {202, 400, 401, 429}
            assert grown < 48 * 2**20, f"grown by {grown / 2**20:.0f} MiB"
            await soon(lambda: set(api.names) == {"amber"}, "amber woken")

    asyncio.run(run())
