"""A CheckpointEval on a real API server, from `kubectl apply` to its end: pods are played, results are committed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from fineline.results import read_metrics
from support import pods
from support.lab import TASKS, Lab
from support.operator import Operator

Kubectl = Callable[..., str]


def test_an_evaluation_is_planned_run_and_succeeds(lab: Lab, operator: Operator, kubectl: Kubectl) -> None:
    lab.add_checkpoints(1, 2, 3)
    kubectl("apply", "-f", "-", given=json.dumps(lab.values(pods__parallelism=2)))
    lab.work()
    kubectl("wait", "--for=condition=Succeeded", "ckeval/tiny", "--timeout=30s")
    status = lab.status()
    assert {key: status["plan"][key] for key in ("checkpoints", "units", "reused", "putAside", "slices")} == {
        "checkpoints": 3,
        "units": 6,
        "reused": 0,
        "putAside": 0,
        "slices": 2,
    }
    assert status["progress"] == {"published": 6, "failed": 0, "of": 6, "text": "6/6"}
    assert [job["metadata"]["name"] for job in lab.jobs()] == [status["jobName"]]
    assert {item["type"]: item["status"] for item in status["conditions"]} == {
        "Planned": "True",
        "Admitted": "True",
        "Succeeded": "True",
        "Reconciling": "False",
        "Stalled": "False",
    }
    assert status["startTime"] <= status["completionTime"]
    assert set(read_metrics(lab.results).frame["step"]) == {1, 2, 3}


def test_a_short_evaluation_takes_few_writes_and_tells_each_event_once(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2, 3)
    lab.apply()
    lab.work()
    lab.wait("Succeeded", "True")
    lab.wait_for_event("Succeeded")
    assert [reason for reason, _ in lab.events()] == ["Planned", "JobCreated", "Succeeded"]
    writes = lab.writes()
    assert len(writes) <= 12, writes
    assert set(writes) == {"create configmaps", "create jobs", "create events", "patch checkpointevals/status"}


def test_the_log_tells_what_was_done_for_which_evaluation(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    lab.work()
    lab.wait("Succeeded", "True")

    def told() -> list[dict[str, Any]]:
        return [line for line in operator.lines() if line.get("namespace") == lab.namespace]

    lab.wait_until(lambda: len(told()) == 3, "a line for each event")
    assert [line["message"] for line in told()] == [f"{reason}: {message}" for reason, message in lab.events()]
    assert {(line["kind"], line["name"], line["level"]) for line in told()} == {("CheckpointEval", "tiny", "info")}


def test_a_plan_that_was_just_written_is_not_read_back(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2, 3)
    lab.apply()
    lab.work()
    lab.wait("Succeeded", "True")
    assert "create configmaps" in lab.writes()
    assert "get configmaps" not in lab.reads()


def test_kubectl_shows_how_it_stands(lab: Lab, operator: Operator, kubectl: Kubectl) -> None:
    lab.add_checkpoints(1, 2)
    lab.apply(suite={"name": "fine-line"})
    lab.work()
    lab.wait("Succeeded", "True")
    headings, values = kubectl("get", "ckeval", "-o", "wide").splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", headings)]
    shown = {
        headings[start:end].strip(): values[start:end].strip()
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    }
    del shown["AGE"]
    units = lab.status()["plan"]["units"]
    assert shown == {
        "NAME": "tiny",
        "RUN": "tiny",
        "CHECKPOINTS": "2",
        "PROGRESS": f"{units}/{units}",
        "SUCCEEDED": "True",
        "REASON": "Succeeded",
        "QUEUE": "",
        "SUITE": "fine-line",
        "RESULTS": f"{lab.uri}results/units/run=tiny/",
    }


def test_kubectl_explains_every_part_of_the_checkpoints(lab: Lab, operator: Operator, kubectl: Kubectl) -> None:
    told = kubectl("explain", "ckeval.spec.checkpoints")
    for field in ("uri", "select", "pinned", "positions", "positionsFrom", "tokenizer", "config", "allowPickle"):
        assert re.search(rf"^  {field}\s", told, re.MULTILINE), told
    assert "-required-" in told


def test_progress_is_told_while_it_runs(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    lab.apply(pods__parallelism=1)
    job = lab.wait_for_job()
    for pod in pods.wait_for_pods(lab.api, lab.namespace, job["metadata"]["name"], 1):
        pods.schedule(lab.api, pod)
        pods.run(lab.api, pod)
    lab.commit((1, TASKS[0]))
    lab.wait_until(lambda: lab.status()["progress"]["text"] == "1/4", "progress of 1/4")
    assert lab.wait("Succeeded", "Unknown", "Running")["message"].startswith(f"The Job {job['metadata']['name']} does ")
    assert lab.condition("Reconciling")["status"] == "True"


def test_units_that_failed_for_good_are_told_and_the_others_have_their_results(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2, 3)
    lab.apply(pods__parallelism=3)
    lab.work(fail={(2, task) for task in TASKS} | {(3, TASKS[1])})
    told = lab.wait("Succeeded", "False", "SomeUnitsFailed")
    status = lab.status()
    assert status["progress"] == {"published": 3, "failed": 3, "of": 6, "text": "6/6"}
    assert [(item["checkpoint"], item.get("task", ""), item["reason"]) for item in status["failures"]] == [
        ("step 2", "", "TensorMissing"),
        ("step 3", TASKS[1], "TensorMissing"),
    ]
    assert "step 2: no lm_head in it" in told["message"]
    assert "kubectl annotate" in told["message"]
    assert lab.condition("Stalled")["status"] == "True"
    lab.wait_for_event("Failed")
    assert [reason for reason, _ in lab.events()].count("CheckpointFailed") == 2


def test_a_job_that_gives_up_is_told_in_its_pods_own_words(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, lab.wait_for_job()["metadata"]["name"], 1)
    pods.play(lab.api, pod, 4, reason="Error", message="slice-00000.json: not a slice of a plan")
    told = lab.wait("Succeeded", "False", "PodsFailed")
    assert "slice-00000.json: not a slice of a plan" in told["message"]
    assert lab.status()["progress"] == {"published": 0, "failed": 0, "of": 2, "text": "0/2"}


def test_a_job_past_its_deadline_ends_the_evaluation_and_what_is_published_counts(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(pods__deadlineSeconds=60)
    job = lab.wait_for_job()
    lab.commit((1, TASKS[0]))
    lab.api.patch(lab.job_path(job["metadata"]["name"]), {"spec": {"activeDeadlineSeconds": 1}})
    told = lab.wait("Succeeded", "False", "DeadlineExceeded")
    assert "spec.pods.deadlineSeconds" in told["message"]
    assert lab.status()["progress"]["text"] == "1/2"


def test_pods_that_end_well_and_leave_no_result_are_told(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply()
    lab.end_pods(lab.wait_for_job())
    assert "the operator does not see" in lab.wait("Succeeded", "False", "ResultsMissing")["message"]


def test_a_plan_larger_than_one_config_map_is_done_as_any_other(lab: Lab, operator: Operator) -> None:
    noise = random.Random(1).randbytes(300_000).hex()  # a text that does not compress to less than half
    task = f"task: noisy\ndataset_path: tiny/noisy\noutput_type: multiple_choice\ntest_split: test\n# {noise}\n"
    data = {"suite.yaml": "tasks: [{task: noisy, domain: reasoning}]", "noisy.yaml": task}
    lab.add_config_map("large", data)
    lab.add_checkpoints(1, 2, 3)
    lab.apply(suite={"configMap": "large"}, pods__parallelism=3)
    lab.work()
    lab.wait("Succeeded", "True")
    config_maps = lab.plan_config_maps()
    assert len(config_maps) > 1
    assert all(item["immutable"] for item in config_maps)
    (plan,) = (item for item in lab.jobs()[0]["spec"]["template"]["spec"]["volumes"] if item["name"] == "plan")
    mounted = {source["configMap"]["name"] for source in plan["projected"]["sources"]}
    assert mounted == {item["metadata"]["name"] for item in config_maps}
