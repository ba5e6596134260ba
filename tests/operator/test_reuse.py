"""What has a result is never done again, whoever asks for it."""

from __future__ import annotations

from support.lab import TASKS, Lab
from support.operator import Operator


def test_a_second_identical_evaluation_reuses_everything_and_makes_no_job(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    lab.apply()
    lab.work()
    lab.wait("Succeeded", "True")
    before = lab.committed()
    lab.apply("again")
    told = lab.wait("Succeeded", "True", "AllReused", name="again")
    assert told["message"] == "Every unit had a result before, 4 in all: there was nothing to do."
    status = lab.status("again")
    assert (status["plan"]["units"], status["plan"]["reused"]) == (4, 4)
    assert status["progress"] == {"published": 0, "failed": 0, "of": 0, "text": "0/0"}
    assert "jobName" not in status
    assert lab.condition("Admitted", "again")["reason"] == "NotNeeded"
    assert lab.jobs("again") == []
    assert lab.committed() == before


def test_one_that_overlaps_does_only_the_rest(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2, 3)
    lab.apply("first", checkpoints__select={"steps": [1, 2]})
    lab.work("first")
    lab.wait("Succeeded", "True", name="first")
    before = lab.committed()
    lab.apply("second", checkpoints__select={"steps": [2, 3]})
    lab.wait_for_job("second")
    assert {(address.step, address.task) for address in lab.addresses("second")} == {(3, task) for task in TASKS}
    lab.work("second")
    lab.wait("Succeeded", "True", "Succeeded", name="second")
    status = lab.status("second")
    assert (status["plan"]["units"], status["plan"]["reused"]) == (4, 2)
    assert status["progress"]["text"] == "2/2"
    assert before.items() < lab.committed().items()


def test_a_failure_of_before_is_told_and_not_tried_again(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    lab.apply("first")
    lab.work("first", fail={(2, task) for task in TASKS})
    lab.wait("Succeeded", "False", "SomeUnitsFailed", name="first")
    lab.apply("second")
    told = lab.wait("Succeeded", "False", "SomeUnitsFailed", name="second")
    assert lab.jobs("second") == []
    assert lab.status("second")["progress"] == {"published": 0, "failed": 2, "of": 2, "text": "2/2"}
    failures = lab.status("second")["failures"]
    assert [(item["checkpoint"], item["reason"]) for item in failures] == [("step 2", "TensorMissing")]
    assert "no lm_head" in told["message"]


def test_a_checkpoint_that_was_overwritten_is_evaluated_again(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    lab.apply("first")
    lab.work("first")
    lab.wait("Succeeded", "True", name="first")
    lab.overwrite_checkpoint(2)
    lab.apply("second")
    lab.work("second")
    lab.wait("Succeeded", "True", name="second")
    assert lab.status("second")["plan"]["reused"] == 2
    assert {address.step for address in lab.addresses("second")} == {2}


def test_two_identical_evaluations_at_once_have_each_unit_once(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    for name in ("one", "two"):
        lab.apply(name)
    lab.work("one")
    lab.work("two")
    for name in ("one", "two"):
        lab.wait("Succeeded", "True", name=name)
        assert lab.status(name)["progress"]["text"] == "4/4"
    assert len(lab.committed()) == 4
