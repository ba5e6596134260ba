"""Evaluations with a `queueName`, under a real Kueue: who admits them, what it says, and who may stop them.

One file, for one control plane with Kueue: it takes half a minute to start.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import pods
from support.control_plane import REPOSITORY, ControlPlane
from support.kube_api import ApiError
from support.kueue import GROUP, make_priority, make_queue, workload_of
from support.lab import BUCKET, TASKS, Lab, operator_settings
from support.operator import IMAGE, Operator, install_operator, start_operator
from support.versitygw import S3Server

QUICK = {"progressSeconds": 2.0, "troubleSeconds": 1.0, "resyncSeconds": 30.0}
QUOTA = {"nvidia.com/gpu": 1, "ephemeral-storage": "1Ti"}
"""For one pod at once: each wants a GPU, and disk for its checkpoints."""

PREEMPTION = {"withinClusterQueue": "LowerPriority"}


@pytest.fixture(scope="module")
def queued_operator(
    queued_cluster: ControlPlane, versitygw: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator of the cluster with Kueue, whose evaluators ask for GPUs."""
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig = install_operator(queued_cluster, queued_cluster.make_namespace())
    evaluator = {"image": IMAGE, "gpuResource": "nvidia.com/gpu"}
    settings = operator_settings(versitygw, f"s3://{BUCKET}/", folder, evaluator=evaluator, **QUICK)
    with start_operator(folder, kubeconfig, settings=settings) as running:
        yield running


@pytest.fixture
def lab(queued_cluster: ControlPlane, queued_operator: Operator, s3_prefix: str, tmp_path: Path) -> Iterator[Lab]:
    """A fresh namespace in that cluster."""
    namespace = queued_cluster.make_namespace("team")
    yield Lab(queued_cluster, namespace, s3_prefix, tmp_path / "lab")
    queued_cluster.delete_namespace(namespace)


def apply(lab: Lab, name: str = "tiny", queue: str | None = "evaluations", *, pods: int = 1, **spec: Any) -> None:
    """An evaluation with a checkpoint for each of its pods, and results of its own."""
    lab.add_checkpoints(*range(1, pods + 1), run=name)
    lab.apply(name, run=name, queueName=queue, pods__parallelism=pods, **spec)


def start_pod(lab: Lab, name: str = "tiny") -> dict[str, Any]:
    """Its one pod, at work."""
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, lab.wait_for_job(name)["metadata"]["name"], 1)
    pods.schedule(lab.api, pod)
    pods.run(lab.api, pod)
    return pod


def let_go(lab: Lab, pod: dict[str, Any]) -> None:
    """The pod is asked to end, and does."""
    lab.wait_until(lambda: "deletionTimestamp" in lab.api.get(pods.path_of(pod))["metadata"], "the pod to be deleted")
    pods.end(lab.api, pod, 143)
    pods.forget(lab.api, pod)


def workload(lab: Lab, name: str = "tiny") -> dict[str, Any]:
    """Kueue's Workload of its newest Job, as soon as it is there."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        jobs = lab.jobs(name)
        kept = workload_of(lab.plane, jobs[-1]) if jobs else None
        found[:] = [kept] if kept is not None else []
        return bool(found)

    lab.wait_until(there, f"a Workload of {name}")
    return found[0]


def workload_path(lab: Lab, body: dict[str, Any]) -> str:
    return f"{GROUP}/namespaces/{lab.namespace}/workloads/{body['metadata']['name']}"


def cluster_queue(lab: Lab, name: str = "evaluations") -> str:
    return f"{GROUP}/clusterqueues/{lab.namespace}-{name}"


def wait_for_words(lab: Lab, reason: str, words: str, name: str = "tiny") -> str:
    """The message of `Admitted=False` under this reason, as soon as it has these words."""

    def told() -> bool:
        found = lab.condition("Admitted", name)
        return (found["status"], found["reason"]) == ("False", reason) and words in found["message"]

    try:
        lab.wait_until(told, f"{name} to say {reason}: {words}", seconds=60)
    except TimeoutError as error:
        raise AssertionError(f"{error}; it says {lab.condition('Admitted', name)}") from None
    message: str = lab.condition("Admitted", name)["message"]
    return message


def test_an_evaluation_is_admitted_with_its_priority_runs_and_succeeds(lab: Lab) -> None:
    """Through the queue of the examples."""
    lab.plane.kubectl("apply", "-n", lab.namespace, "-f", str(REPOSITORY / "examples" / "operator" / "queue.yaml"))
    priority = make_priority(lab.plane, f"{lab.namespace}-usual", 100)
    apply(lab, queue="research", priorityClassName=priority)
    told = lab.wait("Admitted", "True", "Admitted")
    assert told["message"].endswith("through the queue research.")
    assert workload(lab)["spec"]["priority"] == 100
    lab.work()
    lab.wait("Succeeded", "True")
    assert len(lab.jobs()) == 1


def test_one_that_finds_the_quota_full_waits_and_starts_when_there_is_room(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab, "first")
    lab.wait("Admitted", "True", name="first")
    apply(lab, "second")
    wait_for_words(
        lab, "Queued", "insufficient unused quota for nvidia.com/gpu in flavor tests, 1 more needed", "second"
    )
    assert lab.condition("Succeeded", "second")["reason"] == "Queued"
    assert lab.condition("Reconciling", "second")["status"] == "True"
    assert lab.pods("second") == []
    lab.work("first")
    lab.wait("Succeeded", "True", name="first")
    lab.wait("Admitted", "True", name="second", seconds=10)
    lab.work("second")
    lab.wait("Succeeded", "True", name="second")


def test_a_higher_priority_preempts_one_that_runs_which_loses_no_result(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA, preemption=PREEMPTION)
    urgent = make_priority(lab.plane, f"{lab.namespace}-urgent", 1000)
    apply(lab, "usual")
    pod = start_pod(lab, "usual")
    lab.commit((1, TASKS[0]), name="usual")
    before = lab.committed()

    apply(lab, "pressing", priorityClassName=urgent)
    let_go(lab, pod)
    message = wait_for_words(lab, "Preempted", "Preempted to accommodate a workload", "usual")
    assert workload(lab, "pressing")["metadata"]["uid"] in message
    assert lab.jobs("pressing")[0]["metadata"]["uid"] in message
    assert lab.pods("usual") == []
    assert lab.condition("Stalled", "usual")["status"] == "False"

    lab.work("pressing")
    lab.wait("Succeeded", "True", name="pressing")
    lab.work("usual")
    lab.wait("Succeeded", "True", name="usual")
    assert before.items() < lab.committed().items()
    assert len(lab.jobs("usual")) == 1


def test_an_unknown_queue_needs_a_person_and_all_goes_on_once_it_is_there(lab: Lab) -> None:
    apply(lab)
    told = lab.wait("Stalled", "True", "QueueNotFound")
    assert f"there is no LocalQueue evaluations in the namespace {lab.namespace}" in told["message"]
    assert lab.condition("Admitted")["status"] == "False"
    assert lab.condition("Reconciling")["status"] == "False"
    make_queue(lab.plane, lab.namespace, QUOTA)
    lab.wait("Admitted", "True", seconds=10)
    lab.wait("Stalled", "False")
    lab.work()
    lab.wait("Succeeded", "True")


def test_suspending_is_kueues_switch_and_resuming_does_only_what_is_left(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab)
    pod = start_pod(lab)
    lab.commit((1, TASKS[0]))
    before = lab.committed()

    lab.edit(suspend=True)
    let_go(lab, pod)
    lab.wait("Admitted", "False", "Suspended")
    assert workload(lab)["spec"]["active"] is False
    lab.wait_until(lambda: lab.pods() == [], "its pods to be gone")

    lab.edit(suspend=False)
    lab.wait("Admitted", "True", seconds=15)
    lab.work()
    lab.wait("Succeeded", "True")
    assert before.items() < lab.committed().items()
    assert len(lab.jobs()) == 1


def test_suspend_may_be_turned_on_and_off_faster_than_kueue_is_asked(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab)
    lab.wait("Admitted", "True")
    for _ in range(3):
        lab.edit_and_be_seen(suspend=True)
        lab.edit_and_be_seen(suspend=False)
    lab.wait_until(lambda: workload(lab)["spec"]["active"], "its Workload to be switched on")
    lab.wait("Admitted", "True")
    lab.work()
    lab.wait("Succeeded", "True")


def test_one_that_is_suspended_from_the_start_takes_no_place_in_the_queue(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab, suspend=True)
    lab.wait("Admitted", "False", "Suspended")
    assert lab.jobs() == []
    lab.edit(suspend=False)
    lab.work()
    lab.wait("Succeeded", "True")


def test_one_that_is_suspended_while_it_waits_is_not_admitted(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab, "first")
    lab.wait("Admitted", "True", name="first")
    apply(lab, "second")
    lab.wait("Admitted", "False", "Queued", name="second")
    lab.edit("second", suspend=True)
    lab.wait_until(lambda: workload(lab, "second")["spec"]["active"] is False, "its Workload to be switched off")
    apply(lab, "third")
    lab.work("first")
    lab.wait("Admitted", "True", name="third")
    lab.wait("Admitted", "False", "Suspended", name="second")
    lab.work("third")
    lab.edit("second", suspend=False)
    lab.work("second")
    lab.wait("Succeeded", "True", name="second")


def test_what_kueue_itself_switched_off_is_told_with_the_mend_and_left_alone(lab: Lab) -> None:
    """An admission check that says no: the shortest way to what the limit of re-queuing ends in too."""
    make_queue(lab.plane, lab.namespace, QUOTA)
    check = f"{lab.namespace}-check"
    kind = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "AdmissionCheck"}
    body = {**kind, "metadata": {"name": check}, "spec": {"controllerName": "fineline.dev/tests"}}
    lab.api.create(f"{GROUP}/admissionchecks", body)
    active = {"type": "Active", "status": "True", "reason": "Active", "message": "", "lastTransitionTime": NOW}
    lab.api.patch(f"{GROUP}/admissionchecks/{check}/status", {"status": {"conditions": [active]}})
    checks = {"admissionChecksStrategy": {"admissionChecks": [{"name": check}]}}
    lab.api.patch(cluster_queue(lab), {"spec": checks})

    apply(lab)
    wait_for_words(lab, "Queued", f"admission check {check}")
    state = {"name": check, "state": "Rejected", "message": "no spot capacity this week", "lastTransitionTime": NOW}
    path = workload_path(lab, workload(lab))
    lab.api.patch(f"{path}/status", {"status": {"admissionChecks": [state]}})

    message = wait_for_words(lab, "Evicted", "no spot capacity this week")
    assert f"kubectl delete workload {path.rpartition('/')[2]} -n {lab.namespace}" in message
    off = workload(lab)
    assert off["spec"]["active"] is False
    assert not any("workloads" in write for write in lab.writes())

    lab.api.delete(path)
    lab.wait_until(lambda: workload(lab)["metadata"]["uid"] != off["metadata"]["uid"], "another Workload")
    wait_for_words(lab, "Queued", f"admission check {check}")
    lab.api.patch(f"{path}/status", {"status": {"admissionChecks": [state | {"state": "Ready"}]}})
    lab.wait("Admitted", "True")
    lab.work()
    lab.wait("Succeeded", "True")


def test_a_workload_that_a_person_switched_off_stays_off_until_they_switch_it_on(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab)
    lab.wait("Admitted", "True")
    path = workload_path(lab, workload(lab))
    lab.api.patch(path, {"spec": {"active": False}})
    message = wait_for_words(lab, "Evicted", "was switched off")
    assert f"kubectl patch workload {path.rpartition('/')[2]} -n {lab.namespace}" in message
    lab.api.patch(path, {"spec": {"active": True}})
    lab.wait("Admitted", "True", seconds=15)
    lab.work()
    lab.wait("Succeeded", "True")


def test_a_queue_that_is_edited_while_it_waits_is_changed(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    make_queue(lab.plane, lab.namespace, QUOTA, name="others")
    apply(lab, "first")
    lab.wait("Admitted", "True", name="first")
    apply(lab, "second")
    lab.wait("Admitted", "False", "Queued", name="second")
    old = lab.wait_for_job("second")
    lab.edit("second", queueName="others")
    told = lab.wait("Admitted", "True", name="second")
    assert "through the queue others" in told["message"]
    assert lab.wait_for_job("second")["metadata"]["uid"] != old["metadata"]["uid"]
    lab.wait_for_event("JobReplaced", "second")
    lab.work("second")
    lab.wait("Succeeded", "True", name="second")
    assert "JobGone" not in dict(lab.events("second"))


def test_a_queue_that_is_taken_away_while_it_waits_lets_it_run(lab: Lab) -> None:
    apply(lab)
    lab.wait("Stalled", "True", "QueueNotFound")
    lab.edit(queueName=None)
    lab.wait("Admitted", "True")
    lab.work()
    lab.wait("Succeeded", "True")


@pytest.mark.parametrize("edited", [{"queueName": "others"}, {"pods__parallelism": 1}])
def test_what_is_edited_while_it_runs_is_not_applied_and_stops_no_pod(lab: Lab, edited: dict[str, Any]) -> None:
    """Kueue stops a Job whose parallelism changes, to queue it again."""
    make_queue(lab.plane, lab.namespace, {**QUOTA, "nvidia.com/gpu": 2})
    apply(lab, pods=2)
    lab.wait("Admitted", "True")
    job = lab.wait_for_job()
    running = pods.wait_for_pods(lab.api, lab.namespace, job["metadata"]["name"], 2)
    lab.edit_and_be_seen(**edited)
    assert f"The Job {job['metadata']['name']} runs as it was made" in lab.wait_for_event("NotApplied")
    lab.work()
    lab.wait("Succeeded", "True")
    assert [pod["metadata"]["uid"] for pod in lab.pods()] == [pod["metadata"]["uid"] for pod in running]


def test_parallelism_that_is_edited_while_it_waits_is_what_kueue_counts(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab, pods=2)
    wait_for_words(lab, "Queued", "nvidia.com/gpu")
    lab.edit(pods__parallelism=1)
    lab.wait("Admitted", "True")
    assert workload(lab)["spec"]["podSets"][0]["count"] == 1
    lab.work()
    lab.wait("Succeeded", "True")


def test_a_job_that_somebody_deletes_is_made_again_and_queued_again(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab)
    pod = start_pod(lab)
    lab.commit((1, TASKS[0]))
    before = lab.committed()
    job = lab.wait_for_job()
    lab.api.delete(lab.job_path(job["metadata"]["name"]), propagationPolicy="Background")
    let_go(lab, pod)
    lab.wait_until(lambda: lab.wait_for_job()["metadata"]["uid"] != job["metadata"]["uid"], "another Job")
    lab.wait("Admitted", "True")
    lab.work()
    lab.wait("Succeeded", "True")
    assert before.items() < lab.committed().items()


def test_a_deleted_evaluation_leaves_nothing_in_the_queue(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab, "first")
    pod = start_pod(lab, "first")
    apply(lab, "second")
    lab.wait("Admitted", "False", "Queued", name="second")
    lab.api.delete(lab.path("first"))
    let_go(lab, pod)
    lab.wait("Admitted", "True", name="second")
    lab.api.delete(lab.path("second"))
    workloads = f"{GROUP}/namespaces/{lab.namespace}/workloads"
    lab.wait_until(lambda: not lab.api.items(workloads), "both Workloads to be gone")
    lab.wait_until(lambda: not lab.jobs(), "both Jobs to be gone")


def test_a_stopped_cluster_queue_is_told_whether_it_drains_or_only_holds(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    lab.api.patch(cluster_queue(lab), {"spec": {"stopPolicy": "Hold"}})
    apply(lab)
    wait_for_words(lab, "Queued", f"ClusterQueue {lab.namespace}-evaluations is ")  # inactive, or stopped
    lab.api.patch(cluster_queue(lab), {"spec": {"stopPolicy": "None"}})
    lab.wait("Admitted", "True", seconds=15)
    pod = start_pod(lab)

    lab.api.patch(cluster_queue(lab), {"spec": {"stopPolicy": "HoldAndDrain"}})
    let_go(lab, pod)
    wait_for_words(lab, "Evicted", "The ClusterQueue is stopped")
    lab.api.patch(cluster_queue(lab), {"spec": {"stopPolicy": "None"}})
    lab.work()
    lab.wait("Succeeded", "True")


def test_a_restart_of_the_operator_changes_nothing_for_one_that_waits(lab: Lab, queued_operator: Operator) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab, "first")
    lab.wait("Admitted", "True", name="first")
    apply(lab, "second")
    wait_for_words(lab, "Queued", "insufficient unused quota", "second")
    before, job = lab.status("second"), lab.wait_for_job("second")
    looks = queued_operator.metric("fineline_reconcile_seconds_count")
    queued_operator.stop()
    queued_operator.start()
    queued_operator.wait_until_acting()
    lab.wait_until(lambda: queued_operator.metric("fineline_reconcile_seconds_count") >= 2, "both to be looked at")
    assert looks
    assert lab.status("second") == before
    assert lab.wait_for_job("second")["metadata"]["uid"] == job["metadata"]["uid"]
    lab.work("first")
    lab.wait("Admitted", "True", name="second", seconds=10)


def test_an_evaluation_without_a_queue_is_kueues_where_the_namespace_has_a_default_one(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA, name="default")
    apply(lab, "first", queue=None)
    told = lab.wait("Admitted", "True", name="first")
    assert "through the queue default" in told["message"]
    apply(lab, "second", queue=None)
    wait_for_words(lab, "Queued", "insufficient unused quota", "second")
    lab.work("first")
    lab.work("second")
    lab.wait("Succeeded", "True", name="second")


def test_a_resource_that_the_quota_does_not_name_is_told_with_the_mend(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, {"nvidia.com/gpu": 1})
    apply(lab)
    message = wait_for_words(lab, "Queued", "resource ephemeral-storage unavailable in ClusterQueue")
    assert "coveredResources" in message
    assert "excludeResourcePrefixes" in message


def test_while_kueues_webhook_does_not_answer_it_says_so_and_then_goes_on_by_itself(lab: Lab) -> None:
    """The webhook is asked about every Job, also where Kueue has nothing to do with it."""
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/kueue-mutating-webhook-configuration"
    webhooks = lab.api.get(path)["webhooks"]
    number = next(number for number, webhook in enumerate(webhooks) if webhook["name"] == "mjob.kb.io")
    service = f"/webhooks/{number}/clientConfig/service/name"
    lab.api.patch(path, [{"op": "replace", "path": service, "value": "nowhere"}], kind="json")
    try:
        apply(lab, queue=None)
        told = lab.wait("Succeeded", "Unknown", "ClusterUnavailable")
        assert 'failed calling webhook "mjob.kb.io"' in told["message"]
        assert lab.condition("Planned")["status"] == "True"
        assert lab.condition("Stalled")["status"] == "False"
    finally:
        value = webhooks[number]["clientConfig"]["service"]["name"]
        lab.api.patch(path, [{"op": "replace", "path": service, "value": value}], kind="json")
    lab.work()
    lab.wait("Succeeded", "True")


def test_a_priority_class_that_is_missing_is_told(lab: Lab) -> None:
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab, priorityClassName="nowhere")
    wait_for_words(lab, "Queued", "nowhere")
    make_priority(lab.plane, "nowhere", 1)
    lab.wait("Admitted", "True")


def test_kueues_webhooks_are_asked(lab: Lab) -> None:
    """Of the tests' own cluster: a queue's name can't be changed while a Job runs, which only Kueue's webhook knows."""
    make_queue(lab.plane, lab.namespace, QUOTA)
    apply(lab)
    lab.wait("Admitted", "True")
    with pytest.raises(ApiError, match="kueue"):
        lab.api.patch(
            lab.job_path(lab.wait_for_job()["metadata"]["name"]),
            {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "another"}}},
        )


NOW = "2025-03-01T12:00:00Z"
