"""What has ended stays so, whatever happens around it, until the retry annotation opens it: once for each value."""

from __future__ import annotations

import pytest

from fineline.store import open_store
from support import pods
from support.control_plane import wait_for
from support.lab import TASKS, Lab
from support.operator import Operator

STEP_2 = {(2, task) for task in TASKS}


@pytest.fixture
def failed(lab: Lab, operator: Operator) -> Lab:
    """An evaluation of which one checkpoint failed, whose records lie in the store."""
    lab.add_checkpoints(1, 2)
    lab.apply()
    lab.work(fail=STEP_2)
    lab.wait("Succeeded", "False", "SomeUnitsFailed")
    return lab


def test_nothing_starts_again_after_the_jobs_time_to_live(failed: Lab) -> None:
    lab = failed
    job = lab.status()["jobName"]
    lab.api.patch(lab.job_path(job), {"spec": {"ttlSecondsAfterFinished": 1}})
    wait_for(lambda: not lab.jobs(), "Kubernetes to clear the Job away")
    before = lab.status()
    lab.edit_and_be_seen(pods__parallelism=2)
    assert lab.jobs() == []
    assert lab.status() | {"conditions": []} == before | {"conditions": [], "observedGeneration": 2}


def test_a_restarted_operator_writes_nothing_about_what_has_ended(failed: Lab, operator: Operator) -> None:
    lab = failed
    lab.wait_for_event("Failed")
    version, writes = lab.get()["metadata"]["resourceVersion"], lab.writes()
    assert operator.stop() == 0
    operator.start()
    operator.wait_until_acting()
    lab.apply("another", checkpoints__select={"steps": [1]})
    lab.wait("Succeeded", "True", "AllReused", name="another")
    assert lab.get()["metadata"]["resourceVersion"] == version
    own = ["create configmaps", "patch checkpointevals/status", "create events", "create events"]
    assert sorted(lab.writes()) == sorted([*writes, *own])


def test_a_retry_does_what_failed_once_more_and_nothing_else(failed: Lab) -> None:
    lab = failed
    first, before = lab.status(), lab.committed()
    lab.retry("1")
    lab.wait_until(lambda: lab.status().get("jobName") not in (None, first["jobName"]), "another Job")
    assert {(address.step, address.task) for address in lab.addresses()} == STEP_2
    assert "completionTime" not in lab.status()
    lab.work()
    lab.wait("Succeeded", "True", "Succeeded")
    status = lab.status()
    assert (status["retry"], status["progress"]["text"]) == ("1", "2/2")
    assert status["plan"]["reused"] == 2
    assert "failures" not in status or status["failures"] == []
    assert before.items() < lab.committed().items()
    assert status["completionTime"] >= first["completionTime"]
    assert "Its value: 1" in lab.wait_for_event("Retried")


def test_failures_of_before_are_not_told_as_the_retrys_own(failed: Lab) -> None:
    lab = failed
    job = lab.status()["jobName"]
    lab.retry("1")
    lab.wait_until(lambda: lab.status().get("jobName") not in (None, job), "another Job")
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, lab.status()["jobName"], 1)
    pods.schedule(lab.api, pod)
    pods.run(lab.api, pod)
    lab.wait("Succeeded", "Unknown", "Running")
    assert lab.status()["progress"] == {"published": 0, "failed": 0, "of": 2, "text": "0/2"}
    assert lab.status().get("failures", []) == []


def test_the_same_value_opens_it_only_once(failed: Lab) -> None:
    lab = failed
    job = lab.status()["jobName"]
    lab.retry("1")
    lab.wait_until(lambda: lab.status().get("jobName") not in (None, job), "another Job")
    lab.work(fail=STEP_2)
    lab.wait("Succeeded", "False", "SomeUnitsFailed")
    jobs = [item["metadata"]["uid"] for item in lab.jobs()]
    lab.retry("1")
    lab.edit_and_be_seen(pods__parallelism=2)
    assert [item["metadata"]["uid"] for item in lab.jobs()] == jobs
    lab.retry("2")
    lab.wait_until(lambda: len(lab.jobs()) == 3, "a third Job")
    lab.work()
    lab.wait("Succeeded", "True")


def test_a_retry_of_what_succeeded_finds_nothing_to_do(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    lab.work()
    lab.wait("Succeeded", "True")
    lab.retry("again")
    lab.wait_until(
        lambda: lab.status()["retry"] == "again" and lab.condition("Succeeded")["status"] == "True", "an end"
    )
    assert len(lab.jobs()) == 1
    assert lab.status()["plan"]["reused"] == 2


def test_a_retry_sees_checkpoints_that_came_since(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    lab.work()
    lab.wait("Succeeded", "True")
    lab.add_checkpoints(2)
    lab.retry("again")
    lab.wait_until(lambda: lab.status()["retry"] == "again" and len(lab.jobs()) == 2, "a second Job")
    lab.work()
    lab.wait("Succeeded", "True")
    assert lab.status()["plan"]["checkpoints"] == 2


def test_a_checkpoint_that_was_mended_is_evaluated_by_a_retry(lab: Lab, operator: Operator) -> None:
    """A pickle among good ones is told, fails the evaluation, and keeps no other checkpoint from its results."""
    lab.add_checkpoints(1, 2)
    broken = open_store(f"{lab.uri}checkpoints/tiny/step3/")
    broken.put("pytorch_model.bin", b"\x80\x02}q\x00.")
    broken.put("config.json", b'{"vocab_size": 8}')
    broken.put("tokenizer.json", b"{}")
    lab.apply()
    lab.work()
    told = lab.wait("Succeeded", "False", "SomeUnitsFailed")
    assert told["message"].startswith(
        "4 of 4 units have a result, 1 checkpoint can't be evaluated. The first: step3: PickleRefused: "
    )
    status = lab.status()
    assert [(item["checkpoint"], item["reason"]) for item in status["failures"]] == [("step3", "PickleRefused")]
    assert status["plan"]["putAside"] == 1
    broken.delete("pytorch_model.bin")
    lab.add_checkpoints(3)
    lab.retry("mended")
    lab.wait_until(lambda: len(lab.jobs()) == 2, "a second Job")
    lab.work()
    lab.wait("Succeeded", "True")
    assert lab.status()["plan"]["checkpoints"] == 3
