"""A prefix between two looks: what is listed of a large one when an event tells of it, and what a fault leaves."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fineline.errors import StoreDenied
from fineline.resources.checkpoint_source import CheckpointSource
from fineline.resources.reading import validated
from fineline.resources.source_status import CheckpointSourceStatus
from fineline.sources.listing import Listing
from fineline.sources.walking import Walk
from fineline.store import StoreTable
from fineline_operator.settings import OperatorSettings
from fineline_operator.sources.observed import Source, SourceSeen
from fineline_operator.sources.prefix import Prefix, Unlisted, basis_of
from fineline_operator.sources.reading import Files, meant
from fineline_operator.telling.problems import Problem
from fineline_operator.threads import Threads
from support.evaluations import listed_checkpoint

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LANE = "lane"
MANY = 400
"""Checkpoints of three files each: more than one page, so that a usual look does not list all of them."""


@dataclass
class Looked:
    """A prefix, on a clock of the test's own."""

    folder: Path
    spec: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    stepped: float = 0.0
    """How far somebody has set the wall clock forward."""
    threads: Threads = field(default_factory=Threads)
    prefix: Prefix = field(init=False)

    def __post_init__(self) -> None:
        self.prefix = Prefix(
            basis_of(self.source(), Files()),
            self.threads,
            StoreTable(),
            clock=lambda: self.seconds,
            now=lambda: NOW + timedelta(seconds=self.seconds + self.stepped),
        )

    def source(self, wake: str = "") -> Source:
        seen = SourceSeen("evals", "tiny", "uid", 1, NOW, False, wake, CheckpointSourceStatus())
        body = {
            "apiVersion": "fineline.dev/v1alpha1",
            "kind": "CheckpointSource",
            "metadata": {"name": "tiny"},
            "spec": {
                "uri": f"file://{self.folder}/",
                "complete": {"settleSeconds": 0},
                "template": {"run": {"name": "tiny"}, "suite": {"name": "loss"}, "results": "file:///results/"},
                **self.spec,
            },
        }
        settings = OperatorSettings.model_validate({"stores": [{"prefix": "file:///"}], "evaluator": {"image": "any"}})
        source = meant(seen, validated(CheckpointSource, body, "test").spec, settings)
        assert isinstance(source, Source)
        return source

    def look(self, wake: str = "") -> Listing | Unlisted:
        return asyncio.run(self.prefix.look(self.source(wake), LANE))

    def wait(self, wake: str = "") -> float:
        """Until the next look that is due; how long."""
        seconds = self.prefix.seconds_to_next(self.source(wake))
        self.seconds += seconds
        return seconds

    def digest(self, step: int, wake: str = "") -> str:
        listing = self.look(wake)
        assert isinstance(listing, Listing)
        return next(one.digest for one in listing.checkpoints if one.position.step == step)


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    made = listed_checkpoint(folder / "step1")
    for step in range(2, MANY + 1):
        shutil.copytree(made, folder / f"step{step}")
    return folder


def test_an_overwrite_in_a_large_source_is_seen_within_seconds_of_its_event(uploads: Path) -> None:
    looked = Looked(uploads)
    before = looked.digest(5)
    assert looked.wait() == 60
    weights = uploads / "step5" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert looked.digest(5) == before, "a usual look of a large prefix does not list what has settled"
    looked.seconds += 5
    assert looked.digest(5, "event") == before
    assert looked.wait("event") <= 1
    assert looked.digest(5, "event") != before


def test_a_fault_leaves_what_is_known_and_is_told_until_a_look_succeeds(
    uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = Looked(uploads)
    known = looked.look()
    assert isinstance(known, Listing)
    looked.wait()

    def denied(*_: object, **__: object) -> Listing:
        raise StoreDenied("s3://b/: HTTP 403")

    with monkeypatch.context() as broken:
        broken.setattr(Walk, "look", denied)
        told = looked.look()
        assert told == Unlisted(Problem("StoreDenied", "s3://b/: HTTP 403"), tried=True)
        assert looked.prefix.listed
    again = looked.look("event")
    assert again == replace(told, tried=False), "not listed again within the same second"
    looked.wait()
    again = looked.look()
    assert isinstance(again, Listing)
    assert again.checkpoints == known.checkpoints


def test_a_look_that_waits_for_a_thread_is_of_the_moment_in_which_it_lists(tmp_path: Path) -> None:
    """Files come while it waits: with the time of its asking, what was written last would count as older than it is."""
    looked = Looked(tmp_path, {"complete": {"settleSeconds": 60}}, threads=Threads(threads=1))
    free = threading.Event()

    async def look_behind_another() -> Listing | Unlisted:
        other = asyncio.ensure_future(looked.threads.run(LANE, free.wait, 60))
        await asyncio.sleep(0)
        look = asyncio.ensure_future(looked.prefix.look(looked.source(), LANE))
        await asyncio.sleep(0)
        looked.seconds += 120
        written(listed_checkpoint(tmp_path / "step1"), looked.seconds - 6)
        free.set()
        assert await other
        return await look

    looked.look()
    looked.wait()
    listing = asyncio.run(look_behind_another())
    assert isinstance(listing, Listing)
    (one,) = listing.checkpoints
    assert not one.complete
    assert listing.listed_at == NOW + timedelta(seconds=180)
    assert listing.settles_at == NOW + timedelta(seconds=180 - 6 + 60)
    assert looked.wait() == 54, "the wait for the thread is no part of how long a look takes"


def test_a_clock_that_is_set_forward_makes_what_settles_be_listed_at_once_and_then_no_more(tmp_path: Path) -> None:
    looked = Looked(tmp_path, {"complete": {"settleSeconds": 60}})
    written(listed_checkpoint(tmp_path / "step1"), 0)
    listing = looked.look()
    assert isinstance(listing, Listing)
    assert listing.settles_at == NOW + timedelta(seconds=60)
    looked.seconds += 5
    looked.stepped = 120
    assert looked.wait() == 0
    listing = looked.look()
    assert isinstance(listing, Listing)
    assert [one.complete for one in listing.checkpoints] == [True]
    assert looked.wait() == 60


def written(folder: Path, seconds: float) -> None:
    """Its files bear this time."""
    moment = (NOW + timedelta(seconds=seconds)).timestamp()
    for file in folder.iterdir():
        os.utime(file, (moment, moment))
