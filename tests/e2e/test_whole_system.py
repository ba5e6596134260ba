"""A training run uploads checkpoints; results, verdicts and a report come: everything in pods, by the chart, its own
images, rights, policies and Pod Security `restricted`. Nobody applies anything after the source and the analysis."""

from __future__ import annotations

from pathlib import Path

import pytest

from chart.allowed import EVERYBODY, FOR_RESOURCES, FOR_THE_LEASE, OPERATOR, allowed
from chart.helm import NAMESPACE, RELEASE
from fineline.store import open_store
from support.installed import Installed
from support.slices import Site, upload
from support.stages import Stage
from support.tiny_run import EVALS, RUN, TASKS, checkpoints, source, step

pytestmark = pytest.mark.e2e


def test_what_is_installed_answers(installed: Installed, stage: Stage) -> None:
    with stage("helm test"):
        assert "Phase:          Succeeded" in installed.helm("test")


def test_every_checkpoint_that_was_uploaded_has_every_result(
    installed: Installed, undisturbed: Site, training: Path
) -> None:
    contents = undisturbed.contents()
    steps = {step(checkpoint) for checkpoint in checkpoints(training)}
    assert {step for step, _ in contents} == steps
    assert len(contents) == len(steps) * TASKS
    assert installed.counts(RUN)["failed"] == 0
    # The last pod may still be ending: its results were there before.
    installed.node.kubectl("wait", "ckeval", "--all", "-n", EVALS, "--for=condition=Succeeded", "--timeout=120s")


def test_the_analysis_judges_the_run_and_leaves_a_report(installed: Installed, undisturbed: Site, stage: Stage) -> None:
    def of_all() -> bool:
        status = installed.node.get("traj", "tiny", EVALS).get("status", {})
        return bool(status.get("lastRun", {}).get("commits") == len(undisturbed.contents()))

    with stage("last result to its report"):
        installed.wait_until(of_all, "an analysis of everything", namespace=EVALS, seconds=300)
    status = installed.node.get("traj", "tiny", EVALS)["status"]
    assert [verdict["run"] for verdict in status["verdicts"]] == [RUN]
    folder, _, name = status["report"].rpartition("/")
    report = open_store(f"{folder}/").get(name)
    assert report.startswith(b"<!doctype html>")
    assert RUN.encode() in report


def test_the_operator_has_nothing_to_complain_of(installed: Installed, undisturbed: Site) -> None:
    words = ("logs", "-n", NAMESPACE, f"--selector=app.kubernetes.io/instance={RELEASE}", "--tail=-1", "--prefix")
    told = installed.node.kubectl(*words).splitlines()
    assert any('"watching ' in line for line in told)
    assert [line for line in told if '"level": "error"' in line] == []


def test_pods_that_are_killed_and_a_node_that_is_drained_change_no_result(
    installed: Installed, undisturbed: Site, training: Path, stage: Stage
) -> None:
    """The evaluator is killed, the operator deleted, the node drained, each while the run is evaluated anew."""
    node, name = installed.node, "disturbed"
    upload(training / "checkpoints" / RUN, f"s3://pretrain/{name}/")
    node.apply(source(name, "s3://evals/disturbed/"))
    site = Site(f"s3://pretrain/{name}/", "s3://mirror/", "s3://evals/disturbed/")

    with stage("evaluated again, disturbed"):
        first = installed.wait_for_running(name)
        pod = installed.pods(name)[first]["metadata"]["name"]
        node.kubectl("delete", "pod", pod, "-n", EVALS, "--grace-period=0", "--force")
        node.kubectl(
            "delete", "pods", "-n", NAMESPACE, f"--selector=app.kubernetes.io/instance={RELEASE}", "--wait=false"
        )
        assert installed.wait_for_running(name) != first
        machine = node.kubectl("get", "nodes", "--output=name").strip()
        try:
            node.kubectl("drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s")
        finally:
            node.kubectl("uncordon", machine)
        installed.wait_for_evaluated(name, len(checkpoints(training)))
    assert site.contents() == undisturbed.contents()
    assert site.failures() == {}


def test_the_operator_may_do_what_its_rules_say_and_sees_no_secret(installed: Installed) -> None:
    kubectl = installed.node.kubectl
    assert allowed(kubectl, EVALS) == EVERYBODY | FOR_RESOURCES
    assert allowed(kubectl, NAMESPACE) == EVERYBODY | FOR_RESOURCES | FOR_THE_LEASE
    for namespace in (NAMESPACE, EVALS):
        for verb in ("get", "list", "watch"):
            words = ("auth", "can-i", verb, "secrets", f"--as={OPERATOR}", "-n", namespace)
            assert kubectl(*words, check=False).startswith("no")
