"""What follows from a listing, with stores as directories and an API server that only writes down what it is asked."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fineline.plan import read_recipe
from fineline.resources.checkpoint_source import CheckpointSource
from fineline.resources.reading import validated
from fineline.resources.source_status import CheckpointSourceStatus
from fineline.results import UnitAddress
from fineline.sources.deciding import MadeEvaluation, NewEvaluation
from fineline.sources.listing import Listing
from fineline.store import StoreTable, open_store
from fineline_operator.settings import OperatorSettings
from fineline_operator.sources.acting import Created
from fineline_operator.sources.observed import Source, SourceSeen
from fineline_operator.sources.prefix import Prefix, basis_of
from fineline_operator.sources.reading import Files, Made, meant
from fineline_operator.sources.work import Done, Site, Work
from fineline_operator.threads import Threads
from support.evaluations import listed_checkpoint
from support.publishing import commit


@dataclass
class Cluster:
    """In the place of the reader, the actor and the teller."""

    evaluations: dict[str, MadeEvaluation] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def made(self, _: SourceSeen) -> Made:
        return Made(tuple(self.evaluations.values()), frozenset())

    async def create(self, _: Source, template: str, new: NewEvaluation) -> Created:
        self.asked.append("create")
        self.evaluations[new.name] = MadeEvaluation(
            new.name,
            new.name,
            frozenset(new.members),
            template,
            finished=False,
            succeeded=False,
            created=datetime.now(UTC),
        )
        return Created.NOW

    async def delete(self, _: SourceSeen, evaluations: Iterable[MadeEvaluation]) -> None:
        self.asked += ["delete" for _ in evaluations]

    async def tell(self, _: object, event: Any, __: datetime) -> None:
        self.asked.append(event.reason)


@dataclass
class Worked:
    """Looks at one source over `uploads` in a folder, with its results beside."""

    folder: Path
    spec: dict[str, Any] = field(default_factory=dict)
    cluster: Cluster = field(default_factory=Cluster)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    work: Work = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "uploads").mkdir()
        self.restart()

    def restart(self) -> None:
        cluster: Any = self.cluster
        self.work = Work(Site(cluster, cluster, cluster, Threads(), StoreTable()), self.created)

    @property
    def source(self) -> Source:
        results = f"file://{self.folder}/results/"
        spec = {
            "uri": f"file://{self.folder}/uploads/",
            "complete": {"settleSeconds": 0},
            "template": {"run": {"name": "tiny"}, "suite": {"name": "loss"}, "results": results},
        }
        kind = {"apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointSource", "metadata": {"name": "tiny"}}
        seen = SourceSeen("evals", "tiny", "uid", 1, self.created, False, "", CheckpointSourceStatus())
        settings = OperatorSettings.model_validate({"stores": [{"prefix": "file:///"}], "evaluator": {"image": "any"}})
        source = meant(seen, validated(CheckpointSource, kind | {"spec": spec | self.spec}, "test").spec, settings)
        assert isinstance(source, Source)
        return source

    async def _listing(self) -> Listing:
        listing = await Prefix(basis_of(self.source, Files()), Threads(), StoreTable()).look(self.source, "lane")
        assert isinstance(listing, Listing)
        return listing

    def look(self) -> Done:
        """A look at what lies there now."""

        async def done() -> Done:
            what = await self.work.done(
                self.source, Files(), await self._listing(), "lane", news=len(self.cluster.asked)
            )
            assert isinstance(what, Done)
            return what

        self.cluster.asked.clear()
        return asyncio.run(done())

    def end_all(self) -> None:
        """All CheckpointEvals succeed: each unit of what lies there has a result."""
        recipe = read_recipe(self.source.spec.template, self.source.spec.checkpoints)
        results = open_store(self.source.results_uri)
        for item in asyncio.run(self._listing()).checkpoints:
            at = item.position
            for unit in recipe.addresses(at.branch, at.step, item.digest, item.tokenizer_digest):
                commit(results, UnitAddress(unit.run, unit.branch, unit.step, unit.task, unit.key))
        self.cluster.evaluations = {
            name: replace(one, finished=True, succeeded=True) for name, one in self.cluster.evaluations.items()
        }


def upload(worked: Worked, *steps: int, content: str = "{}") -> None:
    for step in steps:
        folder = worked.folder / "uploads" / f"step{step}"
        shutil.rmtree(folder, ignore_errors=True)
        listed_checkpoint(folder)
        (folder / "config.json").write_text(content)


def test_what_is_evaluated_again_is_told_after_all_of_it_is_made(tmp_path: Path) -> None:
    worked = Worked(tmp_path, {"batch": 2})
    upload(worked, 1, 2, 3, 4)
    worked.look()
    assert worked.cluster.asked == ["create", "EvaluationCreated"] * 2
    worked.end_all()
    worked.look()
    upload(worked, 1, 2, 3, 4, content='{"other": 1}')
    worked.spec["suspend"] = True
    worked.look()
    assert worked.cluster.asked == ["EvaluationCreated"] * 2, "made lately, so told again; nothing of other bytes"
    worked.spec["suspend"] = False
    worked.look()
    assert worked.cluster.asked == [
        *["EvaluationCreated"] * 2,
        *["create", "EvaluationCreated"] * 2,
        *["CheckpointChanged"] * 2,
    ]
    worked.restart()
    worked.look()
    assert worked.cluster.asked == [*["EvaluationCreated"] * 4, *["CheckpointChanged"] * 2], "should it have died"


def test_what_lost_its_results_is_evaluated_once_more_when_the_operator_starts_anew(tmp_path: Path) -> None:
    worked = Worked(tmp_path)
    upload(worked, 1)
    worked.look()
    worked.end_all()
    assert worked.look().decision.counts.evaluated == 1
    shutil.rmtree(tmp_path / "results")
    worked.restart()
    assert len(worked.look().decision.create) == 1
    assert len(worked.cluster.evaluations) == 2
    again = worked.look().decision
    assert (again.create, again.counts.waiting) == ((), 1)


def test_the_oldest_says_since_when_it_waits_until_it_is_evaluated_or_suspended(tmp_path: Path) -> None:
    worked = Worked(tmp_path)
    upload(worked, 1)
    waits = worked.look().waiting_since
    assert waits is not None
    assert abs((waits - datetime.now(UTC)).total_seconds()) < 60
    worked.spec["suspend"] = True
    assert worked.look().waiting_since is None
    worked.spec["suspend"] = False
    assert worked.look().waiting_since is not None
    worked.end_all()
    assert worked.look().waiting_since is None
