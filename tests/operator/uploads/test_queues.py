"""SQS: every message wakes its sources before it is deleted, whatever is sent, sent twice or killed between."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fineline_operator.settings import QueueSettings
from fineline_operator.uploads.queues import Queues
from support import bucket_events as events
from support.sqs import SqsServer
from support.uploads import PlayedApi, counted, soon, uploads
from support.versitygw import free_port


@pytest.fixture
def queue(sqs: SqsServer) -> str:
    """A fresh queue's URL."""
    return sqs.make_queue(f"q-{secrets.token_hex(6)}", visible_again_after=1)


@asynccontextmanager
async def reading(
    api: PlayedApi, *settings: dict[str, Any], every: float = 0.02, look: float = 0.1
) -> AsyncIterator[Queues]:
    """Queues that are read until the end of the block; then nothing more is done, as after a kill."""
    async with uploads(api, every=every) as parts:
        models = [QueueSettings.model_validate(item) for item in settings]
        queues = Queues(models, parts.sources, parts.waker, wait_seconds=1, look_seconds=look)
        queues.start()
        try:
            yield queues
        finally:
            await queues.stop()


async def empty(sqs: SqsServer, url: str, left: int = 0) -> None:
    """Returns when so many messages are left."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 15
    while (found := await asyncio.to_thread(sqs.left, url)) != left:
        assert loop.time() < end, f"{found} messages are left"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", ["raw", "sns", "sns-raw", "event-bridge"])
def test_what_a_bucket_sends_wakes_the_source_and_is_deleted(
    way: str, sqs: SqsServer, queue: str, tmp_path: Path
) -> None:
    bucket = f"bucket-{secrets.token_hex(6)}"
    sqs.notify(bucket, way, queue)

    async def run() -> None:
        api = PlayedApi()
        api.add("amber", f"s3://{bucket}/amber 7b+x/", queue)
        api.add("other", f"s3://{bucket}/amber/", queue)
        before = counted("sqs", "woken")
        async with reading(api, sqs.settings(queue, tmp_path)):
            key = "amber 7b+x/step1/model.safetensors"
            await asyncio.to_thread(sqs.client("s3").put_object, Bucket=bucket, Key=key, Body=b"x")
            await soon(lambda: api.woken, "amber woken", seconds=3)
            await empty(sqs, queue)
        assert set(api.names) == {"amber"}
        assert counted("sqs", "woken") == before + 1

    asyncio.run(run())


def test_vendors_own_bodies_duplicated_and_reordered_wake_each_source_and_nothing_is_left(
    sqs: SqsServer, tmp_path: Path
) -> None:
    queue = sqs.make_queue(f"q-{secrets.token_hex(6)}")
    names = [f"run-{at}" for at in range(6)]
    ways: list[Callable[[str, str], str]] = [
        events.aws,
        events.event_bridge,
        events.minio,
        lambda bucket, key: events.sns(events.aws(bucket, key)),
        lambda bucket, key: events.sns(events.event_bridge(bucket, key)),
    ]
    bodies = [ways[at % len(ways)]("a", f"{name}/step 1/x") for at, name in enumerate(names)] * 10
    random.Random(7).shuffle(bodies)

    async def run() -> None:
        api = PlayedApi()
        for name in names:
            api.add(name, f"s3://a/{name}", queue)
        before = counted("sqs", "woken")
        await asyncio.to_thread(sqs.send, queue, *bodies)
        async with reading(api, sqs.settings(queue, tmp_path), every=1):
            await empty(sqs, queue)
            await soon(lambda: counted("sqs", "woken") == before + 60, "all of them counted")
        assert set(api.names) == set(names)
        assert len(api.woken) < 45, "they are coalesced"

    asyncio.run(run())


def test_nothing_is_deleted_before_its_source_was_woken(sqs: SqsServer, queue: str, tmp_path: Path) -> None:
    """An API server that does not answer, and then the operator is killed: whoever reads next has it all."""

    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/", queue)
        await asyncio.to_thread(sqs.send, queue, *[events.aws("a", f"amber/{at}") for at in range(25)])
        api.open.clear()
        async with reading(api, sqs.settings(queue, tmp_path)):
            await soon(lambda: api.under_way, "a patch under way")
            await asyncio.sleep(1.2)  # long enough for messages to come again
            assert not api.woken
            assert await asyncio.to_thread(sqs.left, queue) == 25
        api.open.set()
        async with reading(api, sqs.settings(queue, tmp_path)):
            await empty(sqs, queue)
        assert set(api.names) == {"amber"}

    asyncio.run(run())


def test_killed_between_waking_and_deleting_the_message_comes_again_and_wakes_again(
    sqs: SqsServer, queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fineline_operator.uploads.sqs_client import SqsQueue

    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/", queue)
        with monkeypatch.context() as killed:
            killed.setattr(SqsQueue, "delete", lambda *_: None)  # the process is no more by then
            async with reading(api, sqs.settings(queue, tmp_path)):
                await asyncio.to_thread(sqs.send, queue, events.aws("a", "amber/x"))
                await soon(lambda: api.woken, "amber woken")
        woken = len(api.woken)
        assert await asyncio.to_thread(sqs.left, queue) == 1
        async with reading(api, sqs.settings(queue, tmp_path)):
            await empty(sqs, queue)
        assert len(api.woken) > woken

    asyncio.run(run())


def test_what_is_not_understood_is_left_and_counted_once_and_read_ever_more_seldom(
    sqs: SqsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fineline_operator.uploads.sqs_client import SqsQueue

    queue = sqs.make_queue(f"q-{secrets.token_hex(6)}", visible_again_after=0)

    received: list[int] = []
    receive = SqsQueue.receive

    def counting(queue: SqsQueue, wait_seconds: int) -> list[Any]:
        found = receive(queue, wait_seconds)
        received.append(len(found))
        return found

    monkeypatch.setattr(SqsQueue, "receive", counting)
    unknown = ["not JSON", "[" * 1_000, '{"hello": "world"}', events.sns_question()]

    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/", queue)
        before = {outcome: counted("sqs", outcome) for outcome in ("unknown", "confirmation")}
        await asyncio.to_thread(sqs.send, queue, *unknown)
        async with reading(api, sqs.settings(queue, tmp_path)):
            await soon(lambda: sum(received) >= 8, "they have come again", seconds=10)
            await asyncio.sleep(1)
            assert len(received) <= 6, "after 1, 2, 4 … seconds"
            assert counted("sqs", "unknown") == before["unknown"] + 3
            assert counted("sqs", "confirmation") == before["confirmation"] + 1
            await asyncio.to_thread(sqs.send, queue, events.aws("a", "amber/x"))
            await soon(lambda: api.woken, "amber woken all the same", seconds=10)
            await empty(sqs, queue, left=4)

    asyncio.run(run())
    told = [record.message for record in caplog.records if "left in it" in record.message]
    assert len(told) == 1
    assert "dead-letter queue" in told[0]
    assert sum("confirm-subscription" in record.message for record in caplog.records) == 1


def test_a_source_that_is_younger_than_the_list_of_sources_is_woken(sqs: SqsServer, queue: str, tmp_path: Path) -> None:
    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/", queue)
        async with reading(api, sqs.settings(queue, tmp_path), look=30) as queues:
            await soon(lambda: queues._readers, "the queue is read")
            api.add("young", "s3://a/young/", queue)
            await asyncio.to_thread(sqs.send, queue, events.aws("a", "young/x"))
            await soon(lambda: api.woken, "the young one woken")
            assert set(api.names) == {"young"}

    asyncio.run(run())


def test_test_events_and_foreign_objects_are_deleted_for_they_would_come_for_ever(
    sqs: SqsServer, queue: str, tmp_path: Path
) -> None:
    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/", queue)
        outcomes = ("test", "unchanged", "no_source")
        before = {outcome: counted("sqs", outcome) for outcome in outcomes}
        async with reading(api, sqs.settings(queue, tmp_path)):
            bodies = (
                events.aws_test(),
                events.minio("a", "amber/x", "s3:ObjectAccessed:Get"),
                events.aws("a", "results/x"),
                events.aws("foreign", "amber/x"),
                events.event_bridge("a", "../a/amber/x"),
            )
            await asyncio.to_thread(sqs.send, queue, *bodies)
            await empty(sqs, queue)
        assert not api.woken
        assert [counted("sqs", outcome) - before[outcome] for outcome in outcomes] == [1, 1, 3]

    asyncio.run(run())


def test_only_sources_that_name_the_queue_and_may_are_woken_and_only_named_queues_are_read(
    sqs: SqsServer, queue: str, tmp_path: Path
) -> None:
    other = sqs.make_queue(f"q-{secrets.token_hex(6)}")

    async def run() -> None:
        api = PlayedApi()
        api.add("named", "s3://a/amber/", queue)
        api.add("unnamed", "s3://a/amber/")
        api.add("of-another", "s3://a/amber/", "https://sqs.us-east-1.amazonaws.com/1/x")
        api.add("may-not", "s3://a/amber/", queue, namespace="strangers")
        settings = sqs.settings(queue, tmp_path, namespaces=["evals"]), sqs.settings(other, tmp_path)
        await asyncio.to_thread(sqs.send, queue, events.aws("a", "amber/x"))
        await asyncio.to_thread(sqs.send, other, events.aws("a", "amber/x"))
        async with reading(api, *settings) as queues:
            await empty(sqs, queue)
            assert set(api.names) == {"named"}
            assert await asyncio.to_thread(sqs.left, other) == 1
            api.add("late", "s3://a/amber/", other)
            await empty(sqs, other)
            assert set(api.names) == {"named", "late"}
            del api.sources[next(source for source in api.sources if source.name == "late")]
            await soon(lambda: set(queues._readers) == {queue}, "the other is read no more")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"endpoint": f"http://127.0.0.1:{free_port()}"}, "it can't be read now .*The prefix is listed"),
        ({"url": "http://127.0.0.1/123456789012/missing"}, "there is no such queue.*Create it"),
        ({"credentials": "/nowhere"}, "no credentials in /nowhere: AWS_ACCESS_KEY_ID can't be read"),
    ],
)
def test_a_queue_that_can_t_be_read_says_why_holds_up_no_other_and_recovers(
    spoil: dict[str, str], words: str, sqs: SqsServer, queue: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import re

    broken = sqs.settings(f"{queue}-2", tmp_path / "keys") | spoil

    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/", queue)
        api.add("other", "s3://b/amber/", broken["url"])
        async with reading(api, sqs.settings(queue, tmp_path / "keys"), broken) as queues:
            await soon(lambda: queues.problem(broken["url"]), "the problem is told")
            problem = queues.problem(broken["url"])
            assert problem is not None
            assert re.search(words, problem.message)
            assert problem.message.startswith(f"queue {broken['url']}: ")
            assert problem.message.endswith("The prefix is listed all the same.")
            await asyncio.to_thread(sqs.send, queue, events.aws("a", "amber/x"))
            await empty(sqs, queue)
            assert queues.problem(queue) is None
            assert queues.problem("https://sqs.example/unknown") is None
            if "url" in spoil:
                await asyncio.to_thread(sqs.make_queue, "missing")
                await soon(lambda: queues.problem(broken["url"]) is None, "it recovers")

    asyncio.run(run())
    assert (
        sum("other" not in record.message and bool(re.search(words, record.message)) for record in caplog.records) == 1
    )


def test_without_queues_nothing_is_listed() -> None:
    async def run() -> None:
        api = PlayedApi()
        async with reading(api):
            await asyncio.sleep(0.3)
        assert not api.lists

    asyncio.run(run())
