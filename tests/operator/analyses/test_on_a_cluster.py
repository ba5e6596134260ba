"""A TrajectoryAnalysis on a real API server, from results in a bucket to its report: the pod is the real program."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fineline.results import UnitAddress
from fineline.results.analyses import read_latest
from fineline_operator.analyses.waiting import LIST_SECONDS
from support import pods
from support.kubelet import Kubelet, kubelet
from support.lab import BUCKET, Lab
from support.operator import Operator
from support.publishing import commit

CREDENTIALS = "s3-credentials"
PROGRAM_SECONDS = 240
"""The real program takes some seconds of a processor, which on a machine that others use are many of the clock's."""

AFTER_A_PAUSE = PROGRAM_SECONDS + LIST_SECONDS
"""Where a listing took many seconds, as on such a machine it may, the next is made after minutes."""

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture
def restricted(lab: Lab, operator: Operator, s3_environment: dict[str, str]) -> Lab:
    """The lab, whose namespace takes only pods that Pod Security `restricted` allows, with credentials for them."""
    lab.api.patch(f"/api/v1/namespaces/{lab.namespace}", {"metadata": {"labels": RESTRICTED}})
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    data = {name: base64.b64encode(s3_environment[name].encode()).decode() for name in names}
    lab.api.create(f"/api/v1/namespaces/{lab.namespace}/secrets", {"metadata": {"name": CREDENTIALS}, "data": data})
    return lab


@pytest.fixture
def node(lab: Lab, tmp_path: Path) -> Iterator[Kubelet]:
    """Runs the programs of pods as processes."""
    image = {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1", "POLARS_MAX_THREADS": "1"}
    with kubelet(lab.plane, lab.namespace, tmp_path / "node", environment=image) as running:
        yield running


def publish(lab: Lab, *steps: int, run: str = "tiny") -> None:
    """Commits of a run that gets better."""
    for step in steps:
        address = UnitAddress(run, "main", step, "piqa", "0123456789abcdef")
        commit(lab.results, address, value=0.5 + step / 100_000)


def apply(lab: Lab, **spec: Any) -> None:
    usual = {
        "runs": {"names": ["tiny", "other"]},
        "results": f"{lab.uri}results",
        "debounceSeconds": 0,
        "pods": {"secretName": CREDENTIALS},
    }
    lab.api.create(lab.analyses.path(), lab.analyses.body("tiny", usual, spec))


def jobs(lab: Lab) -> list[dict[str, Any]]:
    """Its Jobs, from the oldest on."""
    owner = f"fineline.dev/trajectoryanalysis={lab.analyses.get()['metadata']['uid']}"
    found = lab.api.items(f"/apis/batch/v1/namespaces/{lab.namespace}/jobs", labelSelector=owner)
    return sorted(found, key=lambda job: job["metadata"]["creationTimestamp"])


def wait_for_job(lab: Lab, besides: str = "") -> dict[str, Any]:
    """The one Job that there is besides another, as soon as it is there."""

    def others() -> list[dict[str, Any]]:
        return [job for job in jobs(lab) if job["metadata"]["uid"] != besides]

    lab.analyses.wait_until(others, "a Job of the analysis", seconds=30)
    (found,) = others()
    return found


def play(lab: Lab, job: dict[str, Any], code: int, message: str) -> None:
    """The Job's pod ends so."""
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, job["metadata"]["name"], 1)
    pods.play(lab.api, pod, code, message=message)


def test_results_become_a_report_and_new_ones_another(restricted: Lab, operator: Operator, node: Kubelet) -> None:
    lab = restricted
    publish(lab, 1000, 2000, 3000, 4000, 5000)
    cut = UnitAddress("tiny", "main", 6000, "piqa", "0123456789abcdef").metrics
    lab.results.put(cut, b"ARROW1 and then the disk was full")
    apply(lab)
    lab.analyses.wait("Ready", "True", "UpToDate", seconds=PROGRAM_SECONDS)

    status, latest = lab.analyses.status(), read_latest(lab.results, f"{lab.namespace}.tiny")
    assert latest is not None, node.logs()
    assert status["inputsDigest"] == latest.digest
    assert status["report"] == f"{lab.uri}results/analyses/{lab.namespace}.tiny/{latest.digest}/report.html"
    assert b"<html" in lab.results.get(status["report"].removeprefix(f"{lab.uri}results/"))
    assert (status["runs"], status["worst"]) == (1, latest.verdicts[0].state)
    assert [(one["run"], one["state"]) for one in status["verdicts"]] == [("tiny", latest.verdicts[0].state)]
    assert [cut in text for text in status["leftOut"]] == [True]
    # What was left out is not what it is made from.
    assert (status["lastRun"]["jobName"], status["lastRun"]["commits"]) == (jobs(lab)[0]["metadata"]["name"], 5)
    assert latest.commits == 5
    told = [reason for reason, _ in lab.analyses.events()]
    assert told == ["JobCreated", "ReportPublished", "ResultsLeftOut"]
    of_it = {"namespace": lab.namespace, "analysis": "tiny"}
    assert operator.metric("fineline_verdicts", **of_it) == 1
    assert operator.metric("fineline_verdicts", state=latest.verdicts[0].state, **of_it) == 1
    since = status["verdicts"][0]["since"]

    publish(lab, 7000, run="other")
    lab.analyses.edit(history=1)  # edited, it is looked at: nothing else tells of results that no CheckpointEval made
    lab.analyses.wait_until(
        lambda: lab.analyses.status()["inputsDigest"] != latest.digest, "a second report", seconds=AFTER_A_PAUSE
    )
    lab.analyses.wait("Ready", "True", "UpToDate")
    status = lab.analyses.status()
    assert status["runs"] == 2
    assert next(one for one in status["verdicts"] if one["run"] == "tiny")["since"] == since
    assert status["lastRun"]["commits"] == 6
    lab.analyses.wait_until(lambda: len(jobs(lab)) == 1, "the first Job to be cleared away")
    lab.analyses.delete()
    lab.analyses.wait_until(
        lambda: not lab.api.items(f"/apis/batch/v1/namespaces/{lab.namespace}/jobs"), "its Jobs to go with it"
    )
    lab.analyses.wait_until(lambda: operator.metric("fineline_verdicts", **of_it) == 0, "its metrics to go")
    assert lab.results.head(status["report"].removeprefix(f"{lab.uri}results/")) is not None


def test_results_that_return_to_an_earlier_set_become_a_report_again(restricted: Lab, node: Kubelet) -> None:
    lab = restricted
    publish(lab, 1000, 2000)
    apply(lab)
    lab.analyses.wait("Ready", "True", "UpToDate", seconds=PROGRAM_SECONDS)
    first = lab.analyses.status()
    cut = UnitAddress("tiny", "main", 6000, "piqa", "0123456789abcdef").metrics
    lab.results.put(cut, b"ARROW1 and then the disk was full")
    lab.analyses.edit(history=2)
    lab.analyses.wait_until(
        lambda: lab.analyses.status().get("leftOut"), "the cut result to be named", seconds=AFTER_A_PAUSE
    )
    lab.results.delete(cut)
    lab.analyses.edit(history=3)
    lab.analyses.wait_until(
        lambda: lab.analyses.status()["inputsDigest"] == first["inputsDigest"],
        "the analysis of what is left",
        seconds=AFTER_A_PAUSE,
    )
    lab.analyses.wait("Ready", "True", "UpToDate")
    assert not lab.analyses.status().get("leftOut")
    assert lab.analyses.status()["publishedAt"] > first["publishedAt"]
    assert len(jobs(lab)) == 3
    assert "AnalysisFailed" not in {reason for reason, _ in lab.analyses.events()}


def test_a_family_without_results_is_waited_for(restricted: Lab, node: Kubelet) -> None:
    lab = restricted
    publish(lab, 1000)
    apply(lab, runs={"families": ["sevens"], "names": None})
    lab.analyses.wait("Ready", "False", "NoResults", seconds=PROGRAM_SECONDS)
    assert lab.analyses.condition("Stalled")["status"] == "False"
    assert [reason for reason, _ in lab.analyses.events()] == ["JobCreated"]
    assert lab.analyses.status()["runs"] == 0
    (only,) = jobs(lab)
    lab.analyses.edit(history=2)
    lab.analyses.wait_until(
        lambda: lab.analyses.status()["observedGeneration"] == 2, "the edit to be seen", seconds=PROGRAM_SECONDS
    )
    assert [job["metadata"]["uid"] for job in jobs(lab)] == [only["metadata"]["uid"]], "it is not repeated"


def test_a_job_that_is_deleted_is_made_again_and_one_that_fails_is_told_once(restricted: Lab) -> None:
    lab = restricted
    publish(lab, 1000)
    apply(lab, runs={"all": True})
    first = wait_for_job(lab)
    lab.analyses.wait("Ready", "False", "Running")
    lab.api.delete(
        f"/apis/batch/v1/namespaces/{lab.namespace}/jobs/{first['metadata']['name']}", propagationPolicy="Background"
    )
    second = wait_for_job(lab, besides=first["metadata"]["uid"])
    assert second["metadata"]["name"] == first["metadata"]["name"]

    play(lab, second, 2, "WARNING something\nfineline-analysis: the results are all of a newer Fineline\n")
    message = lab.analyses.wait("Ready", "False", "AnalysisFailed")["message"]
    name = second["metadata"]["name"]
    said = f"The Job {name} failed: fineline-analysis: the results are all of a newer Fineline."
    assert message == f"{said} The next analysis follows new results, or an edit."
    assert lab.analyses.condition("Stalled")["status"] == "True"
    assert [text for reason, text in lab.analyses.events() if reason == "AnalysisFailed"] == [message]
    assert lab.analyses.status()["lastRun"]["jobName"] == name
    assert [job["metadata"]["uid"] for job in jobs(lab)] == [second["metadata"]["uid"]], "it is not repeated"

    lab.analyses.edit(pods__template={"spec": {"nodeSelector": {"pool": "large"}}})
    third = wait_for_job(lab, besides=second["metadata"]["uid"])
    assert third["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "large"}
    lab.analyses.edit(suspend=True)
    play(lab, third, 0, "")
    # A program that ends well and writes nothing: told, and not repeated.
    lab.analyses.wait("Ready", "False", "Suspended")
    lab.analyses.edit(suspend=False, runs={"names": ["nobody"], "all": None})
    lab.analyses.wait("Ready", "False", "NoResults")


def test_what_a_person_must_mend_is_told_and_seen_when_it_is_mended(lab: Lab, operator: Operator) -> None:
    apply(lab, results="s3://nobodys-bucket/results/")
    lab.analyses.wait("Stalled", "True", "StoreNotAllowed")
    lab.analyses.edit(results="s3://fineline-missing/results/")
    lab.analyses.wait("Stalled", "True", "StoreNotFound")
    broken = f"{lab.uri}results/"
    publish(lab, 1000)
    lab.results.put(f"analyses/{lab.namespace}.tiny/latest.json", b"{")
    lab.analyses.edit(
        results=broken, pods__template={"spec": {"containers": [{"name": "analysis", "args": ["--all"]}]}}
    )
    assert (
        "the operator tells the analysis what to analyse"
        in lab.analyses.wait("Stalled", "True", "TemplateInvalid")["message"]
    )
    lab.analyses.edit(pods__template=None)
    job = wait_for_job(lab)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert (container["args"][1], "--all" in container["args"]) == (broken, False)
    play(lab, job, 0, "")
    message = lab.analyses.wait("Ready", "False", "AnalysisFailed")["message"]
    assert f"analyses/{lab.namespace}.tiny/latest.json: not an analysis's" in message
    assert f"s3://{BUCKET}/" in message
