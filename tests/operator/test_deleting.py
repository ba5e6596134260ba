"""What is deleted leaves its results and nothing else, and nothing waits for the operator."""

from __future__ import annotations

import pytest

from support import pods
from support.control_plane import wait_for
from support.lab import TASKS, Lab
from support.operator import Operator


@pytest.fixture
def running(lab: Lab, operator: Operator) -> Lab:
    """An evaluation with a pod that runs and half of its results."""
    lab.add_checkpoints(1, 2)
    lab.apply(pods__parallelism=1)
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, lab.wait_for_job()["metadata"]["name"], 1)
    pods.schedule(lab.api, pod)
    pods.run(lab.api, pod)
    lab.commit(*((1, task) for task in TASKS))
    return lab


def test_one_that_is_made_anew_under_the_same_name_is_another(running: Lab) -> None:
    lab = running
    (pod,) = lab.pods()
    lab.api.delete(lab.path("tiny"))
    lab.apply()
    pods.forget(lab.api, pod)
    lab.work()
    lab.wait("Succeeded", "True")
    assert lab.status()["plan"]["reused"] == 2


def test_nothing_has_a_finalizer_of_ours(running: Lab) -> None:
    lab = running
    job = lab.jobs()[0]
    for found in (lab.get(), job, *lab.plan_config_maps()):
        # The Job controller has one of its own on pods, and none but the garbage collector's on Jobs.
        assert [name for name in found["metadata"].get("finalizers", []) if "kubernetes.io/" not in name] == []
    assert lab.get()["metadata"].get("finalizers", []) == []


def test_nothing_but_the_status_of_a_resource_is_written(running: Lab) -> None:
    metadata = running.get()["metadata"]
    assert metadata.get("annotations", {}) == {}
    assert metadata.get("labels", {}) == {}
    managers = {(entry["manager"], entry.get("subresource", "")) for entry in metadata["managedFields"]}
    assert managers == {("fineline-tests", ""), ("fineline-operator", "status")}


def test_the_deletion_of_a_namespace_is_not_blocked_while_an_evaluation_runs(running: Lab) -> None:
    """Kubernetes takes pods before Jobs, and its Job controller keeps a failed pod until the next one is made."""
    lab = running
    path = f"/api/v1/namespaces/{lab.namespace}"
    (pod,) = lab.pods()
    lab.api.delete(path)
    wait_for(lambda: "deletionTimestamp" in _found(lab, pod)["metadata"], "its pod to be deleted")
    pods.end(lab.api, pod, 143)
    pods.forget(lab.api, pod)
    wait_for(lambda: lab.api.find(path) is None, "the namespace to be gone", seconds=60)


def test_a_job_that_somebody_deleted_is_made_again_and_does_what_is_left(running: Lab) -> None:
    lab = running
    (job,), (pod,), before = lab.jobs(), lab.pods(), lab.committed()
    lab.api.delete(lab.job_path(job["metadata"]["name"]), propagationPolicy="Background")
    lab.wait_until(lambda: [item["metadata"]["uid"] for item in lab.jobs()] != [job["metadata"]["uid"]], "a new Job")
    pods.end(lab.api, pod, 143)
    pods.forget(lab.api, pod)
    lab.work()
    lab.wait("Succeeded", "True", "Succeeded")
    assert before.items() < lab.committed().items()
    assert "is not done again" in lab.wait_for_event("JobGone")


def test_a_job_deleted_after_its_last_unit_is_not_made_again(running: Lab) -> None:
    lab = running
    (job,) = lab.jobs()
    lab.commit(*((2, task) for task in TASKS))
    lab.api.delete(lab.job_path(job["metadata"]["name"]), propagationPolicy="Background")
    lab.wait("Succeeded", "True", "Succeeded")
    assert [item for item in lab.jobs() if item["metadata"]["uid"] != job["metadata"]["uid"]] == []


def test_a_plan_that_somebody_deleted_is_made_again_for_what_is_left(running: Lab, operator: Operator) -> None:
    """A restart, because an operator that has just read a plan does not look for it again within a minute."""
    lab = running
    (job,), (pod,), before = lab.jobs(), lab.pods(), lab.committed()
    for found in lab.plan_config_maps():
        lab.api.delete(f"/api/v1/namespaces/{lab.namespace}/configmaps/{found['metadata']['name']}")
    operator.stop()
    operator.start()
    lab.wait_until(lambda: lab.status()["plan"]["reused"] == 2, "a plan of what is left", seconds=90)
    lab.wait_until(lambda: "deletionTimestamp" in _found(lab, pod)["metadata"], "the older Job's pod to be ended")
    pods.end(lab.api, pod, 143)
    pods.forget(lab.api, pod)
    lab.wait_until(lambda: lab.status().get("jobName") not in (None, job["metadata"]["name"]), "another Job")
    assert {address.step for address in lab.addresses()} == {2}
    lab.work()
    lab.wait("Succeeded", "True", "Succeeded")
    assert before.items() < lab.committed().items()


def test_a_status_that_somebody_wiped_is_told_again(running: Lab) -> None:
    lab = running
    (job,) = lab.jobs()
    lab.wipe_status()
    lab.wait_until(lambda: lab.status()["jobName"] == job["metadata"]["name"], "the status")
    lab.wait("Planned", "True")
    lab.commit(*((2, task) for task in TASKS))
    pods.end(lab.api, lab.pods()[0], 0)
    lab.wait("Succeeded", "True", "Succeeded")
    lab.wipe_status()
    lab.wait("Succeeded", "True")
    assert lab.status()["progress"]["text"] == "4/4"
    assert [item["metadata"]["uid"] for item in lab.jobs()] == [job["metadata"]["uid"]]


def test_where_all_is_wiped_the_results_are_found_again(running: Lab, operator: Operator) -> None:
    lab = running
    lab.commit(*((2, task) for task in TASKS))
    pods.end(lab.api, lab.pods()[0], 0)
    lab.wait("Succeeded", "True", "Succeeded")
    before = lab.committed()
    with operator.frozen():
        for found in lab.plan_config_maps():
            lab.api.delete(f"/api/v1/namespaces/{lab.namespace}/configmaps/{found['metadata']['name']}")
        lab.api.delete(lab.job_path(lab.status()["jobName"]), propagationPolicy="Background")
        lab.wait_until(lambda: not lab.jobs(), "the Job to be gone", seconds=8)
        lab.wipe_status()
    lab.wait("Succeeded", "True", seconds=20)
    assert lab.jobs() == []
    assert lab.committed() == before


def test_a_deleted_evaluation_leaves_its_results_and_nothing_else(running: Lab) -> None:
    """The last one here: the garbage collector learns of a new kind within half a minute."""
    lab = running
    (pod,) = lab.pods()
    before = lab.committed()
    lab.api.delete(lab.path("tiny"))
    wait_for(lambda: lab.api.find(lab.path("tiny")) is None, "the CheckpointEval to be gone", seconds=5)
    wait_for(lambda: not lab.jobs(), "its Job to be gone")
    wait_for(lambda: "deletionTimestamp" in _found(lab, pod).get("metadata", {}), "its pod to be ended")
    pods.end(lab.api, pod, 143)
    pods.forget(lab.api, pod)
    config_maps = f"/api/v1/namespaces/{lab.namespace}/configmaps"
    wait_for(
        lambda: [item["metadata"]["name"] for item in lab.api.items(config_maps)] == ["kube-root-ca.crt"],
        "its plan to be gone",
    )
    assert lab.committed() == before != {}


def _found(lab: Lab, pod: dict[str, object]) -> dict[str, dict[str, object]]:
    return lab.api.find(pods.path_of(pod)) or {}
