"""Kueue on the tests' control plane does what it does in a cluster; the operator's tests build on that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support import pods
from support.control_plane import ControlPlane, wait_for
from support.kube_api import ApiError
from support.kueue import condition_of, make_priority, make_queue, workload_of


@pytest.fixture
def team(queued_cluster: ControlPlane) -> Iterator[str]:
    name = queued_cluster.make_namespace("team")
    yield name
    queued_cluster.delete_namespace(name)


def make_job(
    plane: ControlPlane, namespace: str, name: str, queue: str, *, priority: str = "", disk: str = ""
) -> dict[str, Any]:
    """A suspended Job of one pod that wants one GPU."""
    labels = {"kueue.x-k8s.io/queue-name": queue}
    if priority:
        labels["kueue.x-k8s.io/priority-class"] = priority
    wanted = {"nvidia.com/gpu": "1", **({"ephemeral-storage": disk} if disk else {})}
    resources = {"limits": wanted, "requests": wanted}
    pod = {"restartPolicy": "Never", "containers": [{"name": "evaluator", "image": "none", "resources": resources}]}
    spec = {"suspend": True, "completionMode": "Indexed", "completions": 1, "parallelism": 1, "template": {"spec": pod}}
    return plane.admin.create(
        f"/apis/batch/v1/namespaces/{namespace}/jobs", {"metadata": {"name": name, "labels": labels}, "spec": spec}
    )


def is_suspended(plane: ControlPlane, job: dict[str, Any]) -> bool:
    found = plane.admin.get(f"/apis/batch/v1/namespaces/{job['metadata']['namespace']}/jobs/{job['metadata']['name']}")
    return bool(found["spec"]["suspend"])


def test_kueue_admits_as_much_as_the_quota_holds(queued_cluster: ControlPlane, team: str) -> None:
    plane = queued_cluster
    queue = make_queue(plane, team, {"nvidia.com/gpu": 1})

    first = make_job(plane, team, "first", queue)
    wait_for(lambda: condition_of(workload_of(plane, first), "Admitted") == "True", "the first Job to be admitted")
    second = make_job(plane, team, "second", queue)
    wait_for(
        lambda: condition_of(workload_of(plane, second), "QuotaReserved") == "False", "the second Job to be looked at"
    )
    assert not is_suspended(plane, first)
    assert is_suspended(plane, second)

    (pod,) = pods.wait_for_pods(plane.admin, team, "first", 1)
    pods.play(plane.admin, pod)
    wait_for(lambda: not is_suspended(plane, second), "the second Job to take the first one's place")


def test_kueue_preempts_for_a_higher_priority(queued_cluster: ControlPlane, team: str) -> None:
    plane = queued_cluster
    queue = make_queue(plane, team, {"nvidia.com/gpu": 1}, preemption={"withinClusterQueue": "LowerPriority"})
    urgent = make_priority(plane, f"{team}-urgent", 1000)

    usual = make_job(plane, team, "usual", queue)
    wait_for(lambda: not is_suspended(plane, usual), "the usual Job to start")
    pressing = make_job(plane, team, "pressing", queue, priority=urgent)

    wait_for(lambda: not is_suspended(plane, pressing), "the pressing Job to start")
    assert is_suspended(plane, usual)
    assert condition_of(workload_of(plane, usual), "Preempted") == "True"


def test_a_resource_that_the_quota_does_not_name_keeps_a_job_waiting(queued_cluster: ControlPlane, team: str) -> None:
    """Evaluators ask for disk: a ClusterQueue for them names ephemeral-storage."""
    plane = queued_cluster
    without = make_queue(plane, team, {"nvidia.com/gpu": 1}, name="without-disk")
    enough = make_queue(plane, team, {"nvidia.com/gpu": 1, "ephemeral-storage": "10Gi"}, name="with-disk")

    waiting = make_job(plane, team, "waiting", without, disk="1Gi")
    admitted = make_job(plane, team, "admitted", enough, disk="1Gi")

    wait_for(lambda: condition_of(workload_of(plane, admitted), "Admitted") == "True", "the one Job to be admitted")
    wait_for(lambda: condition_of(workload_of(plane, waiting), "QuotaReserved") == "False", "the other to be looked at")
    assert "ephemeral-storage" in json.dumps((workload_of(plane, waiting) or {}).get("status"))
    assert is_suspended(plane, waiting)


def test_kueues_webhooks_are_asked(queued_cluster: ControlPlane, team: str) -> None:
    """A queue's name can't be changed while a Job runs, which only its webhook knows."""
    plane = queued_cluster
    queue = make_queue(plane, team, {"nvidia.com/gpu": 1})
    job = make_job(plane, team, "settled", queue)
    wait_for(lambda: not is_suspended(plane, job), "the Job to start")

    with pytest.raises(ApiError, match="kueue"):
        plane.admin.patch(
            f"/apis/batch/v1/namespaces/{team}/jobs/settled",
            {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "another"}}},
        )
