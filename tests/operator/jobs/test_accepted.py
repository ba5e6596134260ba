"""A real API server takes the Job, under the strictest Pod Security, and its Job controller makes the pods."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from fineline.plan import PlanFacts
from fineline_operator.evaluations.observed import EvaluationSeen, JobSeen, PodsSeen
from fineline_operator.jobs import OWNER_LABEL, job_body, job_seen, pod_projection, pods_seen
from fineline_operator.settings import OperatorSettings
from support.control_plane import ControlPlane, wait_for
from support.kube_api import ApiError
from support.pods import evicted, play, pods_of, wait_for_pods

Created = Callable[..., dict[str, Any]]

EVERYTHING = {
    "pods": {
        "parallelism": 2,
        "secretName": "s3-credentials",
        "deadlineSeconds": 3600,
        "template": {
            "metadata": {"labels": {"team": "evals"}},
            "spec": {
                "nodeSelector": {"gpu": "h100"},
                "containers": [{"name": "evaluator", "resources": {"limits": {"memory": "64Gi"}}}],
            },
        },
    },
    "engine": {"tensorParallelSize": 2},
    "queueName": "research",
    "priorityClassName": "high",
    "ttlSecondsAfterFinished": 0,
}


@pytest.fixture
def restricted(cluster: ControlPlane, namespace: str) -> str:
    """A fresh namespace that refuses every pod that Pod Security `restricted` does not allow."""
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.admin.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": enforce}})
    return namespace


@pytest.fixture
def created(
    cluster: ControlPlane,
    restricted: str,
    evaluation: Callable[..., EvaluationSeen],
    facts: Callable[..., PlanFacts],
    settings: Callable[..., OperatorSettings],
) -> Created:
    """Makes a Job on the API server, with any word in it that the API does not know refused."""

    def create(slices: int = 3, *, suspended: bool = False, **spec: Any) -> dict[str, Any]:
        seen = evaluation(namespace=restricted, **spec)
        body = job_body(seen, facts(slices), settings(), suspended=suspended)
        # The CheckpointEval is not there, so the garbage collector would take the Job away.
        del body["metadata"]["ownerReferences"]
        return cluster.admin.create(jobs(restricted), body, fieldValidation="Strict")

    return create


def jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


@pytest.mark.parametrize("spec", [{}, EVERYTHING], ids=["usual", "everything"])
def test_nothing_is_added_to_the_job_but_what_the_api_server_sets_by_default(
    created: Created,
    spec: dict[str, Any],
    restricted: str,
    evaluation: Callable[..., EvaluationSeen],
    facts: Callable[..., PlanFacts],
    settings: Callable[..., OperatorSettings],
) -> None:
    wanted = job_body(evaluation(namespace=restricted, **spec), facts(3), settings(), suspended=True)
    there = created(3, suspended=True, **spec)
    assert differences(wanted["spec"], there["spec"]) == []
    assert there["metadata"]["labels"].items() >= wanted["metadata"]["labels"].items()


def test_pods_are_made_where_only_restricted_ones_may_run(
    cluster: ControlPlane, created: Created, restricted: str
) -> None:
    job = created(2, pods={"parallelism": 2})
    wait_for(lambda: len(cluster.admin.items(pods(restricted))) == 2, "the Job's two pods")
    found = [pod_projection(body) for body in cluster.admin.items(pods(restricted))]
    assert sorted((pod.job, pod.index) for pod in found) == [(job["metadata"]["name"], 0), (job["metadata"]["name"], 1)]
    assert {pod.owner for pod in found} == {job["metadata"]["labels"][OWNER_LABEL]}


def test_pods_may_use_several_gpus(cluster: ControlPlane, created: Created, restricted: str) -> None:
    created(1, engine={"tensorParallelSize": 4})
    wait_for(lambda: len(cluster.admin.items(pods(restricted))) == 1, "the Job's pod")


def test_a_jobs_name_is_not_cut_in_its_pods_names(cluster: ControlPlane, created: Created, restricted: str) -> None:
    job = created(1001, name="amber." * 42, pods={"parallelism": 1})["metadata"]["name"]
    wait_for(lambda: len(cluster.admin.items(pods(restricted))) == 1, "the first pod")
    (pod,) = cluster.admin.items(pods(restricted))
    assert pod["metadata"]["name"].startswith(f"{job}-0-")
    assert len(f"{job}-1000-x9k2p") == 63


def test_a_job_is_seen_as_it_was_made(cluster: ControlPlane, created: Created, restricted: str) -> None:
    made = created(3, suspended=True, **EVERYTHING)
    job = job_seen(cluster.admin.get(f"{jobs(restricted)}/{made['metadata']['name']}"))
    assert (job.completions, job.parallelism, job.suspended, job.finished) == (3, 2, True, "")
    assert (job.queue_name, job.ttl_seconds, job.completed_indexes) == ("research", 300, 0)


def test_only_the_index_whose_failures_are_recorded_ends(
    cluster: ControlPlane, created: Created, restricted: str
) -> None:
    name = created(2, pods={"parallelism": 2})["metadata"]["name"]
    first, second = wait_for_pods(cluster.admin, restricted, name, 2)
    play(cluster.admin, first, 3, message="1 unit failed for good")
    wait_for(lambda: seen(cluster, restricted, name).failed_indexes == 1, "index 0 to have failed")
    assert seen(cluster, restricted, name).finished == ""
    play(cluster.admin, second)
    wait_for(lambda: seen(cluster, restricted, name).finished, "the Job's end")
    ended = seen(cluster, restricted, name)
    assert (ended.finished, ended.finished_reason, ended.completed_indexes) == ("Failed", "FailedIndexes", 1)


def test_a_pod_that_is_moved_away_or_stopped_is_replaced_and_not_counted(
    cluster: ControlPlane, created: Created, restricted: str
) -> None:
    name = created(2, pods={"parallelism": 2})["metadata"]["name"]
    first, second = wait_for_pods(cluster.admin, restricted, name, 2)
    evicted(cluster.admin, first)
    play(cluster.admin, second, 143)
    wait_for_pods(cluster.admin, restricted, name, 2)
    found = [pod_projection(body) for body in pods_of(cluster.admin, restricted, name)]
    assert pods_seen(found, datetime.now(UTC)) == PodsSeen(troubles=(), restarts=2, made=True)
    assert seen(cluster, restricted, name).failed_pods == 0


def test_a_word_that_pods_do_not_know_is_refused(created: Created) -> None:
    with pytest.raises(ApiError, match="nodeSelektor"):
        created(pods={"template": {"spec": {"nodeSelektor": {}}}})


def seen(cluster: ControlPlane, namespace: str, job: str) -> JobSeen:
    return job_seen(cluster.admin.get(f"{jobs(namespace)}/{job}"))


def differences(wanted: Any, there: Any, path: str = "spec") -> list[str]:
    """What of `wanted` is not there as it was wanted; more may be there."""
    if isinstance(wanted, dict):
        return [
            line for name, value in wanted.items() for line in differences(value, there.get(name), f"{path}.{name}")
        ]
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        pairs = enumerate(zip(wanted, there, strict=True))
        return [line for number, (one, other) in pairs for line in differences(one, other, f"{path}[{number}]")]
    return [] if wanted == there else [f"{path}: {wanted!r} became {there!r}"]
