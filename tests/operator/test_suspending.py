"""`spec.suspend`, which a person may turn at any time."""

from __future__ import annotations

from support import pods
from support.lab import TASKS, Lab
from support.operator import Operator


def test_one_that_is_suspended_from_the_start_is_planned_and_has_no_job(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(suspend=True)
    told = lab.wait("Admitted", "False", "Suspended")
    assert told["message"] == "spec.suspend is true: no Job is made until it is false."
    assert lab.condition("Planned")["status"] == "True"
    assert lab.condition("Succeeded") | {"lastTransitionTime": ""} == {
        "type": "Succeeded",
        "status": "Unknown",
        "reason": "Suspended",
        "message": told["message"],
        "lastTransitionTime": "",
        "observedGeneration": 1,
    }
    assert lab.status()["plan"]["units"] == 2
    assert lab.jobs() == []


def test_one_that_is_resumed_before_its_job_starts_then(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(suspend=True)
    lab.wait("Admitted", "False", "Suspended")
    lab.edit(suspend=False)
    lab.work()
    lab.wait("Succeeded", "True")


def test_suspending_takes_the_pods_and_resuming_does_only_what_is_left(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    lab.apply(pods__parallelism=1)
    job = lab.wait_for_job()
    name = job["metadata"]["name"]
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, name, 1)
    pods.schedule(lab.api, pod)
    pods.run(lab.api, pod)
    lab.commit(*((1, task) for task in TASKS))

    lab.edit(suspend=True)
    lab.wait_until(lambda: lab.api.get(lab.job_path(name))["spec"]["suspend"], "the Job to be suspended")
    lab.wait_until(lambda: "deletionTimestamp" in lab.pods()[0]["metadata"], "its pod to be deleted")
    pods.end(lab.api, pod, 143)
    pods.forget(lab.api, pod)
    lab.wait("Admitted", "False", "Suspended")
    assert lab.pods() == []
    lab.wait_for_event("Suspended")

    before = lab.committed()
    lab.edit(suspend=False)
    lab.work()
    lab.wait("Succeeded", "True")
    assert [item["metadata"]["uid"] for item in lab.jobs()] == [job["metadata"]["uid"]]
    assert before.items() < lab.committed().items()
    lab.wait_for_event("Resumed")


def test_suspending_what_has_ended_changes_nothing(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    lab.work()
    lab.wait("Succeeded", "True")
    lab.edit_and_be_seen(suspend=True)
    assert lab.condition("Succeeded")["status"] == "True"
    assert "changes nothing" in lab.wait_for_event("NotApplied")
