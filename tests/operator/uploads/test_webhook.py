"""The webhook as a real server: who may post, and what is answered."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from urllib.parse import quote

import pytest

from fineline.errors import SpecError
from fineline_operator.settings import WebhookSettings
from fineline_operator.uploads.messages import MAX_BYTES
from fineline_operator.uploads.webhook import Webhook
from support import bucket_events as events
from support.posting import BEARER, amber, running
from support.uploads import TOKEN, counted, soon, uploads, webhook


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/{TOKEN}", {}),
        (f"/events/of/store-1/{TOKEN}", {}),
        (f"//{TOKEN}?x=y/z", {}),
        ("/", BEARER),
        ("/any/path", {"authorization": f"bearer  {TOKEN} "}),
    ],
)
def test_who_has_the_token_wakes_sources_by_any_path(path: str, headers: dict[str, str], tmp_path: Path) -> None:
    async def run() -> None:
        api = amber()
        async with running(api, tmp_path) as sender:
            assert await sender.post(path=path, headers=headers) == 202
            await soon(lambda: api.woken, "amber woken")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/wrong", {}),
        (f"/{TOKEN}/", {}),
        (f"/{TOKEN}/x", {}),
        (f"/{TOKEN}x", {}),
        (f"/{TOKEN[:-1]}", {}),
        (f"/?{TOKEN}", {}),
        (f"/x?token=/{TOKEN}", {}),
        ("/", {"Authorization": TOKEN}),
        ("/", {"Authorization": f"Basic {TOKEN}"}),
        ("/", {"Authorization": "Bearer"}),
        ("/", {"Authorization": "Bearer "}),
        ("/", {"Authorization": f"Bearer {TOKEN}x"}),
        ("/", {"Authorization": f"Bearer {TOKEN} {TOKEN}"}),
        ("/", {"X-Token": TOKEN}),
    ],
)
def test_who_has_not_is_refused_and_nothing_is_read(path: str, headers: dict[str, str], tmp_path: Path) -> None:
    async def run() -> None:
        api = amber()
        before = counted("webhook", "refused")
        async with running(api, tmp_path) as sender:
            assert await sender.post(path=path, headers=headers) == 401
            assert await sender.post(b"x" * (2 * MAX_BYTES), path=path, headers=headers) == 401
            assert await sender.ask("GET", path, headers=headers) == 401
        assert counted("webhook", "refused") == before + 3
        assert not api.lists

    asyncio.run(run())


def test_a_load_balancer_that_has_no_token_sees_that_it_listens_and_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        api = amber()
        before = counted("webhook", "refused")
        async with running(api, tmp_path) as sender:
            assert await sender.ask("GET", "/healthz") == 200
            (tmp_path / "token").unlink()
            assert await sender.ask("GET", "/healthz") == 200
            assert counted("webhook", "refused") == before
            for method, path in (
                ("POST", "/healthz"),
                ("GET", "/healthz/"),
                ("GET", "/healthz/x"),
                ("GET", "/x/healthz"),
            ):
                assert await sender.ask(method, path) == 401
        assert not api.lists

    asyncio.run(run())


def test_a_token_of_odd_characters_is_taken_written_either_way(tmp_path: Path) -> None:
    async def run() -> None:
        token = "ä/b c%2F+=="
        async with running(amber(), tmp_path, token=f"\n{token}\n") as sender:
            assert await sender.post(path=f"/x/{quote(token, safe='')}") == 202
            assert await sender.post(headers={"Authorization": f"Bearer {token}"}, path="/") == 202

    asyncio.run(run())


def test_a_new_token_holds_at_once_and_without_one_nobody_is_let_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            file = tmp_path / "token"
            assert await sender.post() == 202
            file.write_text("another-token")
            assert await sender.post() == 401
            assert await sender.post(path="/another-token") == 202
            for spoil in (lambda: file.write_text(" \n"), file.unlink, file.mkdir):
                spoil()
                for path in ("/another-token", f"/{TOKEN}", "/", "/%20", "/%0A"):
                    assert await sender.post(path=path, headers={"Authorization": "Bearer "}) == 401
            file.rmdir()
            file.write_bytes(b"\xff\xfe")
            assert await sender.post(path="/%FF%FE") == 401

    asyncio.run(run())
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    reasons = ("empty", "No such file", "Is a directory", "not text")
    assert all(why in line for why, line in zip(reasons, told, strict=True)), "once for the same words"
    assert all(word not in record.message for record in caplog.records for word in (TOKEN, "another-token"))


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        (events.aws_test(), 202, "test"),
        (events.versitygw_test(), 202, "test"),
        (events.minio("a", "amber/x", "s3:ObjectAccessed:Get"), 202, "unchanged"),
        (events.sns_question(), 202, "confirmation"),
        ("", 400, "unknown"),
        ("{}", 400, "unknown"),
        ("[" * 100_000, 400, "unknown"),
        ("9" * 200_000, 400, "unknown"),
        (b"\xff" * 100, 400, "unknown"),
        (b" " * (MAX_BYTES + 1), 413, "too_large"),
        (b" " * (32 * MAX_BYTES), 413, "too_large"),
        (events.aws("a", *("k" * 500,) * 999)[:MAX_BYTES], 400, "unknown"),
    ],
)  # fmt: skip
def test_each_body_has_its_answer_and_is_counted(body: str | bytes, status: int, outcome: str, tmp_path: Path) -> None:
    async def run() -> None:
        api = amber()
        before = counted("webhook", outcome)
        async with running(api, tmp_path) as sender:
            assert await sender.post(body) == status
            assert counted("webhook", outcome) == before + 1
            assert await sender.post() == 202, "the next one is taken as ever"
            await soon(lambda: api.woken, "amber woken")
            assert len(api.woken) == 1

    asyncio.run(run())


def test_a_question_of_sns_is_told_with_the_command_that_answers_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            assert await sender.post(events.sns_question()) == 202

    asyncio.run(run())
    (told,) = [record.message for record in caplog.records if "SNS" in record.message]
    assert f"aws sns confirm-subscription --topic-arn {events.TOPIC} --token {events.TOKEN}" in told
    assert "evil.example" not in told


def test_only_posts_are_taken(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(amber(), tmp_path) as sender:
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
                assert await sender.ask(method, f"/{TOKEN}") == 405

    asyncio.run(run())


def test_a_port_that_is_taken_is_told_by_its_setting(tmp_path: Path) -> None:
    async def run() -> None:
        async with uploads(amber()) as parts, webhook(parts.arrivals, tmp_path) as first:
            settings = WebhookSettings.model_validate({"port": first.port, "tokenFile": str(tmp_path / "token")})
            with pytest.raises(SpecError, match=rf"^webhook\.port: {first.port} can't be listened at: Address already"):
                await Webhook(settings, parts.arrivals).start()

    asyncio.run(run())
