"""Edits of the spec while an evaluation waits or runs: what is passed on, what makes another Job, what is only told."""

from __future__ import annotations

from typing import Any

from support import pods
from support.lab import Lab
from support.operator import Operator


def template(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def test_parallelism_is_passed_on_to_the_job_up_to_its_slices(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2, 3)
    lab.apply(pods__parallelism=3)
    job = lab.job_path(lab.wait_for_job()["metadata"]["name"])
    for wanted, passed_on in ((1, 1), (50, 3)):
        lab.edit(pods__parallelism=wanted)
        lab.wait_until(lambda n=passed_on: lab.api.get(job)["spec"]["parallelism"] == n, f"parallelism {passed_on}")


def test_a_longer_time_to_live_is_passed_on_to_the_job(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(ttlSecondsAfterFinished=600)
    job = lab.job_path(lab.wait_for_job()["metadata"]["name"])
    lab.edit(ttlSecondsAfterFinished=1200)
    lab.wait_until(lambda: lab.api.get(job)["spec"]["ttlSecondsAfterFinished"] == 1200, "the Job's time to live")


def test_a_template_edited_while_it_runs_is_told_as_not_applied(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    job = lab.wait_for_job()
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, job["metadata"]["name"], 1)
    pods.schedule(lab.api, pod)
    pods.run(lab.api, pod)
    lab.edit_and_be_seen(pods__template=template(nodeSelector={"gpu": "h200"}))
    assert "runs as it was made" in lab.wait_for_event("NotApplied")
    (now,) = lab.jobs()
    assert now["metadata"]["uid"] == job["metadata"]["uid"]
    assert "nodeSelector" not in now["spec"]["template"]["spec"]
    assert lab.condition("Stalled")["status"] == "False"


def test_a_template_edited_while_it_is_suspended_makes_another_job(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    job = lab.wait_for_job()
    lab.edit(suspend=True)
    lab.wait("Admitted", "False", "Suspended")
    lab.wait_until(lambda: not lab.pods(), "its pods to go")
    lab.edit(pods__template=template(nodeSelector={"gpu": "h200"}))
    lab.wait_until(lambda: not lab.jobs(), "the older Job to go")
    lab.wait_for_event("JobReplaced")
    lab.edit(suspend=False)
    lab.work()
    lab.wait("Succeeded", "True")
    (now,) = lab.jobs()
    assert now["metadata"]["uid"] != job["metadata"]["uid"]
    assert now["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "h200"}


def test_a_template_edited_before_the_job_is_what_it_is_made_from(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(suspend=True)
    lab.wait("Admitted", "False", "Suspended")
    lab.edit(suspend=False, pods__template=template(nodeSelector={"gpu": "h200"}))
    assert lab.wait_for_job()["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "h200"}


def test_a_template_that_takes_the_evaluator_away_is_told_until_it_is_mended(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(pods__template=template(containers=[{"name": "evaluator", "command": ["sleep"]}]))
    told = lab.wait("Stalled", "True", "TemplateInvalid")
    assert told["message"].startswith("spec.pods.template.spec.containers[evaluator].command: can't be set")
    assert lab.condition("Admitted")["status"] == "False"
    assert lab.condition("Planned")["status"] == "True"
    lab.edit(pods__template=None)
    lab.work()
    lab.wait("Succeeded", "True")
    assert lab.condition("Stalled")["status"] == "False"


def test_a_template_that_the_api_server_refuses_is_told_in_its_words_until_it_is_mended(
    lab: Lab, operator: Operator
) -> None:
    lab.add_checkpoints(1)
    lab.apply(pods__template=template(nodeSelector={"not a label": "x"}))
    told = lab.wait("Stalled", "True", "TemplateInvalid")
    assert "spec.template.spec.nodeSelector" in told["message"]
    lab.edit(pods__template=None)
    lab.wait_for_job()
    lab.wait("Stalled", "False")


def test_a_misspelt_field_of_a_template_is_refused_and_not_dropped(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(pods__template=template(nodeSelectors={"gpu": "h200"}))
    assert "nodeSelectors" in lab.wait("Stalled", "True", "TemplateInvalid")["message"]


def test_a_queue_without_kueue_is_told_until_it_is_taken_away(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(queueName="research")
    told = lab.wait("Stalled", "True", "KueueNotInstalled")
    assert told["message"].startswith("spec.queueName is research, and this cluster has no Kueue")
    assert lab.condition("Admitted")["status"] == "False"
    (job,) = lab.jobs()
    assert job["spec"]["suspend"]
    lab.edit(queueName=None)
    lab.work()
    lab.wait("Succeeded", "True")
    assert lab.condition("Stalled")["status"] == "False"
