"""A CheckpointEval on a real API server, from `kubectl apply` to its end: pods are played, results are committed."""

from __future__ import annotations

from collections.abc import Callable

from support.lab import Lab
from support.operator import Operator


def test_an_evaluation_is_planned_run_and_succeeds(lab: Lab, operator: Operator, kubectl: Callable[..., str]) -> None:
    lab.add_checkpoints(1, 2, 3)
    lab.apply(pods__parallelism=2)
    lab.work()
    kubectl("wait", "--for=condition=Succeeded", "ckeval/tiny", "--timeout=30s")
    status = lab.status()
    assert {key: status["plan"][key] for key in ("checkpoints", "units", "reused")} == {
        "checkpoints": 3,
        "units": 6,
        "reused": 0,
    }
    assert status["progress"] == {"published": 6, "failed": 0, "of": 6, "text": "6/6"}
    assert [job["metadata"]["name"] for job in lab.jobs()] == [status["jobName"]]
