"""What is read of Kueue where a moment matters. The API server is played: a real one can't be made to be late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from fineline_operator.api import Api
from fineline_operator.evaluations.reading import Reader
from fineline_operator.jobs.kueue import WORKLOAD_JOB_LABEL
from fineline_operator.settings import EvaluatorSettings, OperatorSettings
from support.deciding import World, job


@dataclass
class PlayedApi:
    """The Workloads of a namespace, and how often they were listed."""

    workloads: list[dict[str, Any]] = field(default_factory=list)
    lists: int = 0

    async def list(self, _: str, *, label_selector: str) -> AsyncIterator[dict[str, Any]]:
        assert label_selector == WORKLOAD_JOB_LABEL
        self.lists += 1
        for body in self.workloads:
            yield body

    async def get(self, path: str) -> dict[str, Any]:
        assert "/localqueues/" in path
        return {}


def workload(job_uid: str) -> dict[str, Any]:
    labels = {WORKLOAD_JOB_LABEL: job_uid}
    return {"metadata": {"name": "job-tiny", "labels": labels}, "spec": {"active": True}}


@pytest.mark.parametrize(("suspended", "name", "lists"), [(False, "job-tiny", 2), (True, "", 1)])
def test_the_workload_of_a_job_that_runs_is_not_missed_for_a_list_from_before(
    *, suspended: bool, name: str, lists: int
) -> None:
    """That of one that waits may be: it is looked at again soon."""
    seen, made = World().evaluation, job(queue_name="research", suspended=suspended)

    async def look() -> str:
        api = PlayedApi()
        reader = Reader(cast("Api", api), OperatorSettings(evaluator=EvaluatorSettings(image="evaluator")))
        assert (await reader.workload(seen, job(queue_name="research", suspended=True))).name == ""
        api.workloads.append(workload(made.uid))
        found = await reader.workload(seen, made)
        assert api.lists == lists
        return found.name

    assert asyncio.run(look()) == name
