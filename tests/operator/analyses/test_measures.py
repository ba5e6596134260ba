"""What Prometheus is told of verdicts: as long as the status has some, and the analysis is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from fineline.resources.analysis_status import LastRun, RunVerdict, TrajectoryAnalysisStatus
from fineline_operator import metrics
from fineline_operator.analyses.observed import AnalysisJob, AnalysisSeen, Asked, Listed
from fineline_operator.analyses.reconcile import AnalysisReconciler
from fineline_operator.queue import Backoff, Key
from fineline_operator.settings import OperatorSettings
from fineline_operator.telling.problems import Problem
from fineline_operator.threads import Threads
from fineline_operator.world import ANALYSIS
from support.analysing import SUBJECT, asked, job, listed, manifest, seen

VERDICTS = (RunVerdict(run="a", state="regressing"), RunVerdict(run="b", state="regressing"))
TOLD = TrajectoryAnalysisStatus(verdicts=VERDICTS, inputs_digest="c1-s1", last_run=LastRun(job_name="earlier"))
DOWN = Problem("StoreUnavailable", "no answer", lasting=False)


def gauge(state: str) -> float | None:
    labels = {"namespace": SUBJECT.namespace, "analysis": SUBJECT.name, "state": state}
    return metrics.REGISTRY.get_sample_value("fineline_verdicts", labels)


class Fake:
    """Stands in for the API server's side, the store's, and the writing."""

    def __init__(self, there: AnalysisSeen, found: Listed | Problem, jobs: tuple[AnalysisJob, ...] = ()) -> None:
        self.there, self.found, self.there_jobs = there, found, jobs

    async def analysis(self, namespace: str, name: str) -> tuple[AnalysisSeen, Asked]:
        return self.there, asked()

    async def jobs(self, there: AnalysisSeen) -> tuple[AnalysisJob, ...]:
        return self.there_jobs

    async def listed(self, *_: object) -> Listed | Problem:
        return self.found

    async def carry_out(self, *_: object) -> bool:
        return True

    def lane_of(self, key: Key) -> str:
        return "lane"


@pytest.fixture
def reconciler() -> Iterator[AnalysisReconciler]:
    settings = OperatorSettings.model_validate({"evaluator": {"image": "evaluator:1"}})
    threads = Threads()
    nobody: Any = None
    made = AnalysisReconciler(nobody, nobody, settings, threads)
    yield made
    made.forget(SUBJECT.uid)
    threads.close()


def look(reconciler: AnalysisReconciler, fake: Any) -> None:
    reconciler.reader = reconciler.listing = reconciler.actor = reconciler.world = fake
    asyncio.run(_look(reconciler))


async def _look(reconciler: AnalysisReconciler) -> None:
    try:
        await reconciler(Key(ANALYSIS, SUBJECT.namespace, SUBJECT.name))
    except Backoff:
        return


@pytest.mark.parametrize(
    "fake",
    [
        Fake(seen(TOLD, suspend=True), DOWN),
        Fake(seen(TOLD), DOWN),
        Fake(seen(TOLD), DOWN, jobs=(job(),)),
    ],
    ids=["suspended", "the store is down", "a Job runs"],
)
def test_after_a_start_the_verdicts_of_the_status_are_told_until_the_newest_analysis_is_read(
    reconciler: AnalysisReconciler, fake: Fake
) -> None:
    assert gauge("regressing") is None
    look(reconciler, fake)
    assert (gauge("regressing"), gauge("improving")) == (2, 0)
    newest = manifest(states={"a": "improving", "b": "improving", "c": "improving"})
    look(reconciler, Fake(seen(TOLD), listed(latest=newest)))
    assert (gauge("regressing"), gauge("improving")) == (0, 3)
    look(reconciler, fake)
    assert (gauge("regressing"), gauge("improving")) == (0, 3), "what was read counts more than the first fifty"
    reconciler.forget(SUBJECT.uid)
    assert gauge("regressing") is None


def test_of_an_analysis_that_never_was_nothing_is_told(reconciler: AnalysisReconciler) -> None:
    look(reconciler, Fake(seen(suspend=True), DOWN))
    assert gauge("regressing") is None
