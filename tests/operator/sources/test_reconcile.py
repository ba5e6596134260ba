"""A look at a source as a whole, with stores as directories and an API server that holds one source and can refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fineline.errors import StoreDenied
from fineline.sources.walking import Walk
from fineline_operator import metrics
from fineline_operator.api_errors import Conflict
from fineline_operator.queue import Backoff, Key
from fineline_operator.settings import OperatorSettings
from fineline_operator.sources import pace
from fineline_operator.sources.reconcile import SourceReconciler
from fineline_operator.threads import Threads
from fineline_operator.world import SOURCE
from support.evaluations import listed_checkpoint

KEY = Key(SOURCE, "evals", "tiny")


@dataclass
class Server:
    """One CheckpointSource, and what is written of it."""

    spec: dict[str, Any]
    wake: str = ""
    generation: int = 1
    status: dict[str, Any] = field(default_factory=dict)
    refuses_status: bool = False

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        return {
            "apiVersion": "fineline.dev/v1alpha1",
            "kind": "CheckpointSource",
            "metadata": {
                "name": KEY.name,
                "namespace": KEY.namespace,
                "uid": "uid",
                "generation": self.generation,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"fineline.dev/wake": self.wake},
            },
            "spec": self.spec,
            "status": self.status,
        }

    async def list(self, path: str, **_: Any) -> AsyncIterator[dict[str, Any]]:
        none: tuple[dict[str, Any], ...] = ()
        for body in none:
            yield body

    async def create(self, path: str, body: dict[str, Any], **_: Any) -> None: ...

    async def apply(self, path: str, body: dict[str, Any], **_: Any) -> None:
        if self.refuses_status:
            raise Conflict("somebody else wrote", status=409)
        self.status = body["status"]


@dataclass
class Site:
    """An operator that looks at the one source over a folder."""

    folder: Path
    server: Server = field(init=False)
    known: bool = True
    reconciler: SourceReconciler = field(init=False)

    def __post_init__(self) -> None:
        self.server = Server(
            {
                "uri": f"file://{self.folder}/uploads/",
                "complete": {"settleSeconds": 0},
                "template": {"run": {"name": "tiny"}, "suite": {"name": "loss"}, "results": f"file://{self.folder}/r/"},
            }
        )
        settings = OperatorSettings.model_validate({"stores": [{"prefix": "file:///"}], "evaluator": {"image": "any"}})
        world: Any = SimpleNamespace(
            lane_of=lambda _: "lane",
            news_of=lambda _: 0,
            get=lambda _: SimpleNamespace(uid="uid") if self.known else None,
        )
        api: Any = self.server
        self.reconciler = SourceReconciler(api, world, settings, Threads())

    def look(self) -> float | None:
        return asyncio.run(self.reconciler(KEY))

    def ready(self) -> str:
        reasons: dict[str, str] = {item["type"]: item["reason"] for item in self.server.status["conditions"]}
        return reasons["Ready"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    listed_checkpoint(tmp_path / "uploads" / "step1")
    return Site(tmp_path)


def series() -> list[str]:
    """What is told of the source: none is not the same as 0."""
    lines = metrics.exposition().decode().splitlines()
    return [line.partition("{")[0] for line in lines if 'namespace="evals",source="tiny"' in line]


def deny(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nobody may list."""

    def denied(*_: object, **__: object) -> None:
        raise StoreDenied("file:///: HTTP 403")

    monkeypatch.setattr(Walk, "look", denied)


def test_an_event_amid_the_pause_after_a_failure_is_no_failure_of_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny(monkeypatch)
    with pytest.raises(Backoff):
        site.look()
    assert site.ready() == "StoreDenied"
    site.server.wake = "an event"
    pause = site.look()
    assert pause is not None
    assert 0 < pause <= 1
    assert site.ready() == "StoreDenied"


def test_nothing_is_told_to_wait_of_a_source_that_was_suspended_though_its_store_fails(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BREATH_SECONDS", 0.0)
    site.look()
    assert "fineline_source_waiting_since_timestamp_seconds" in series()
    assert site.server.status["waitingSince"]
    deny(monkeypatch)
    site.server.spec["suspend"] = True
    site.server.generation = 2
    with pytest.raises(Backoff):
        site.look()
    assert site.ready() == "StoreDenied"
    assert series() == ["fineline_source_checkpoints"] * 5
    assert "waitingSince" not in site.server.status


def test_a_source_that_goes_while_it_is_looked_at_leaves_nothing_though_its_status_can_not_be_written(
    site: Site,
) -> None:
    site.known = False
    site.server.refuses_status = True
    site.server.status = {"observedGeneration": 1}
    with pytest.raises(Conflict):
        site.look()
    assert series() == []
