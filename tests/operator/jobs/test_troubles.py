"""What keeps pods from working, out of their bodies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fineline_operator.evaluations.observed import PodsSeen, PodTrouble
from fineline_operator.jobs import pod_projection, pods_seen

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def told(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def pod(
    name: str = "amber-0-aaaaa",
    *,
    phase: str = "Pending",
    index: int = 0,
    created: float = 0,
    job: str = "amber",
    restarts: int = 0,
    deleted: float | None = None,
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    if restarts:
        annotations["batch.kubernetes.io/job-index-ignored-failure-count"] = str(restarts)
    metadata: dict[str, Any] = {
        "name": name,
        "creationTimestamp": told(at(created)),
        "labels": {"batch.kubernetes.io/job-name": job, "fineline.dev/checkpointeval": "u"},
        "annotations": annotations,
    }
    if deleted is not None:
        metadata["deletionTimestamp"] = told(at(deleted))
    return {"metadata": metadata, "spec": {"nodeName": "n1", **(spec or {})}, "status": {"phase": phase, **status}}


def condition(kind: str, status: str, seconds: float = 1, **more: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "lastTransitionTime": told(at(seconds)), **more}


def scheduled(**status: Any) -> dict[str, Any]:
    """A pod on a node, whose containers wait."""
    conditions = [condition("PodScheduled", "True"), *status.pop("conditions", ())]
    return pod(conditions=conditions, **status)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"name": "evaluator", "state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, message: str = "", *, reason: str = "Error", name: str = "evaluator", at_: float = 60) -> Any:
    terminated = {"exitCode": code, "reason": reason, "message": message, "finishedAt": told(at(at_))}
    return {"name": name, "state": {"terminated": terminated}}


def failed(code: int, message: str = "", *, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return pod(phase="Failed", containerStatuses=[ended(code, message, reason=reason)], **more)


def running(**more: Any) -> dict[str, Any]:
    containers = [{"name": "evaluator", "ready": True, "state": {"running": {}}}]
    conditions = [condition("Ready", "True"), condition("ContainersReady", "True"), condition("PodScheduled", "True")]
    return pod(phase="Running", **{"containerStatuses": containers, "conditions": conditions, **more})


def seen(*bodies: dict[str, Any], after: float = 3600, job: str | None = None) -> PodsSeen:
    return pods_seen([pod_projection(body) for body in bodies], at(after), job=job)


def trouble(*bodies: dict[str, Any], after: float = 3600) -> PodTrouble:
    (one,) = seen(*bodies, after=after).troubles
    return one


@pytest.mark.parametrize(
    "body",
    [
        pod(),
        running(),
        pod(phase="Succeeded"),
        pod(conditions=[condition("PodScheduled", "False", reason="SchedulingGated", message="Scheduling is blocked")]),
        scheduled(initContainerStatuses=[{"name": "mine", "state": {"running": {}}}]),
    ],
    ids=["just made", "running", "done", "held back by a gate", "initializing"],
)
def test_pods_that_get_ahead_have_no_trouble(body: dict[str, Any]) -> None:
    assert seen(body).troubles == ()


def test_a_pod_that_no_node_takes_has_the_schedulers_words() -> None:
    words = "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."
    body = pod(conditions=[condition("PodScheduled", "False", 7, reason="Unschedulable", message=words)])
    assert trouble(body) == PodTrouble("amber-0-aaaaa", "Unschedulable", words, at(7))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("ImagePullBackOff", 'Back-off pulling image "x"'),
        ("ErrImagePull", "not found"),
        ("InvalidImageName", "couldn't parse image name"),
        ("ErrImageNeverPull", "image is not present with pull policy of Never"),
        ("CreateContainerConfigError", 'secret "s3-credentials" not found'),
        ("CreateContainerError", "no such device"),
        ("RunContainerError", "exec failed"),
    ],
)
def test_a_container_that_can_not_start_is_told_in_the_kubelets_words(reason: str, words: str) -> None:
    body = scheduled(containerStatuses=[waiting(reason, words)])
    assert trouble(body) == PodTrouble("amber-0-aaaaa", reason, f"container evaluator: {words}", at(1))


def test_an_init_container_that_can_not_start_is_told_by_its_name() -> None:
    statuses = [{"name": "mine", "state": {"waiting": {"reason": "ErrImagePull", "message": "denied"}}}]
    body = scheduled(initContainerStatuses=statuses, containerStatuses=[waiting("PodInitializing")])
    assert trouble(body).message == "container mine: denied"


def test_what_the_kubelet_says_in_other_words_is_told_too() -> None:
    body = scheduled(containerStatuses=[waiting("CrashLoopBackOff", "back-off 5m0s restarting")])
    assert trouble(body).reason == "PodFailed"
    assert trouble(body).message == "container evaluator: back-off 5m0s restarting (CrashLoopBackOff)"


def test_volumes_that_do_not_come_are_told_with_what_they_need() -> None:
    volumes = [
        {"name": "plan", "projected": {"sources": [{"configMap": {"name": "amber-plan"}}]}},
        {"name": "certificates", "secret": {"secretName": "store-ca"}},
        {"name": "maybe", "secret": {"secretName": "not-needed", "optional": True}},
        {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    body = scheduled(
        spec={"volumes": volumes},
        containerStatuses=[waiting("ContainerCreating")],
        conditions=[condition("PodReadyToStartContainers", "False", 2)],
    )
    assert trouble(body, after=60) == PodTrouble(
        "amber-0-aaaaa",
        "FailedMount",
        "its volumes are not mounted, or its network is not ready; it needs Secret store-ca, "
        "PersistentVolumeClaim cache, ConfigMap amber-plan",
        at(2),
    )


def test_a_large_image_may_take_five_minutes_to_come() -> None:
    body = scheduled(
        containerStatuses=[waiting("ContainerCreating")],
        conditions=[condition("PodReadyToStartContainers", "True", 2)],
    )
    assert seen(body, after=300).troubles == ()
    assert trouble(body, after=302).reason == "ContainerCreating"


def test_a_container_out_of_memory_is_told_with_its_limit() -> None:
    spec = {"containers": [{"name": "evaluator", "resources": {"limits": {"memory": "32Gi"}}}]}
    assert trouble(failed(137, reason="OOMKilled", spec=spec)) == PodTrouble(
        "amber-0-aaaaa",
        "OOMKilled",
        "container evaluator used more memory than its limit of 32Gi and was killed",
        at(60),
    )


def test_a_wrong_slice_is_told_in_the_evaluators_last_words() -> None:
    body = failed(4, "s3://pretrain/amber/: access denied\n  with these credentials")
    assert trouble(body).reason == "PodFailed"
    assert trouble(body).message == (
        "container evaluator ended with 4: s3://pretrain/amber/: access denied with these credentials"
    )


def test_a_container_that_the_runtime_could_not_start_is_told() -> None:
    body = failed(128, "exec: fineline-evaluator: not found", reason="StartError")
    assert trouble(body).reason == "RunContainerError"
    assert trouble(body).message == "container evaluator: exec: fineline-evaluator: not found"


def test_a_kill_without_a_word_is_told_as_such() -> None:
    assert "killed from outside" in trouble(failed(137)).message


def test_the_container_that_ended_first_is_to_blame() -> None:
    statuses = [ended(143, name="a-proxy", at_=70), ended(75, "the store does not answer", at_=60)]
    assert "the store does not answer" in trouble(pod(phase="Failed", containerStatuses=statuses)).message


def test_a_pod_that_filled_its_own_disk_is_told_in_the_kubelets_words() -> None:
    words = 'Usage of EmptyDir volume "scratch" exceeds the limit "29Gi".'
    body = failed(137) | {"status": {"phase": "Failed", "reason": "Evicted", "message": words}}
    assert trouble(body).reason == "PodEvicted"
    assert trouble(body).message == f"Evicted: {words}"


@pytest.mark.parametrize(
    "body",
    [
        failed(3, "2 units failed for good"),
        failed(143, "stopped in order"),
        failed(137, conditions=[condition("DisruptionTarget", "True", reason="PreemptionByScheduler")]),
    ],
    ids=["failures are recorded", "stopped in order", "moved away on purpose"],
)
def test_ends_that_are_in_order_are_no_trouble(body: dict[str, Any]) -> None:
    assert seen(body).troubles == ()


def test_a_pod_whose_node_stopped_to_answer_is_told() -> None:
    conditions = [condition("Ready", "False", 40), condition("ContainersReady", "True")]
    assert trouble(running(conditions=conditions)) == PodTrouble(
        "amber-0-aaaaa", "NodeLost", "the node n1 does not answer", at(40)
    )


def test_a_pod_that_waits_for_a_readiness_gate_has_its_node() -> None:
    conditions = [condition("Ready", "False", reason="ReadinessGatesNotReady"), condition("ContainersReady", "True")]
    assert seen(running(conditions=conditions)).troubles == ()


def test_a_pod_that_outlives_its_grace_time_hangs_on_a_lost_node() -> None:
    body = running(deleted=100)
    assert seen(body, after=129).troubles == ()
    assert trouble(body, after=130).reason == "NodeLost"


def test_the_worst_comes_first_and_among_equals_the_one_that_lasts_longest() -> None:
    def pending(name: str, index: int, since: float) -> dict[str, Any]:
        conditions = [condition("PodScheduled", "False", since, reason="Unschedulable", message="no room")]
        return pod(name, index=index, conditions=conditions)

    secret = scheduled(name="d", index=3, containerStatuses=[waiting("CreateContainerConfigError", "no secret")])
    memory = failed(137, reason="OOMKilled", name="c", index=2)
    found = seen(pending("b", 1, 5), memory, pending("a", 0, 9), secret)
    assert [item.pod for item in found.troubles] == ["d", "c", "b", "a"]


def test_a_failure_is_told_for_a_while_after_another_pod_took_over() -> None:
    first = failed(137, reason="OOMKilled")
    second = running(name="amber-0-bbbbb", created=70)
    assert trouble(first, second, after=120).reason == "OOMKilled"
    assert seen(first, second, after=60 + 15 * 60).troubles == ()


def test_a_failure_is_over_when_the_slice_has_ended() -> None:
    assert seen(failed(75), pod("amber-0-bbbbb", phase="Succeeded", created=70), after=120).troubles == ()
    assert seen(failed(75), failed(3, name="amber-0-bbbbb", created=70), after=120).troubles == ()


def test_a_failure_that_nobody_took_over_stays_told() -> None:
    assert trouble(failed(4, "the spec is wrong"), after=24 * 3600).reason == "PodFailed"


def test_the_new_pods_own_trouble_comes_before_the_failure_of_the_one_before() -> None:
    second = scheduled(name="amber-0-bbbbb", created=70, containerStatuses=[waiting("ErrImagePull", "gone")])
    assert trouble(failed(75), second, after=120).reason == "ErrImagePull"


def test_each_slice_has_at_most_one_trouble() -> None:
    tries = [failed(75, name=f"amber-0-{number}", created=number) for number in range(5)]
    assert len(seen(*tries, after=120).troubles) == 1


def test_restarts_that_count_for_no_attempt_are_added_up_over_the_slices() -> None:
    bodies = [running(restarts=3), pod(phase="Failed", restarts=2, created=-9), running(index=1, restarts=4)]
    assert seen(*bodies).restarts == 7


def test_pods_of_another_job_can_be_left_out() -> None:
    old = failed(4, "wrong", job="amber-old", restarts=5)
    assert seen(old, running(), job="amber") == PodsSeen((), 0, made=True)
    assert seen(old, job="amber") == PodsSeen((), 0)


def test_a_long_message_is_cut_and_stands_on_one_line() -> None:
    message = trouble(failed(75, "no\nanswer " * 1000)).message
    assert len(message) == 800
    assert "\n" not in message


def test_numbers_that_are_none_are_let_go() -> None:
    body = running()
    body["metadata"]["annotations"] = {
        "batch.kubernetes.io/job-completion-index": "x",
        "batch.kubernetes.io/job-index-ignored-failure-count": "9" * 40,
    }
    kept = pod_projection(body)
    assert (kept.index, kept.restarts) == (-1, 0)
