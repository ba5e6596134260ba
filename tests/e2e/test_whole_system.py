"""A training run uploads checkpoints; results, verdicts and a report come: everything in pods, by the chart, its own
images, rights, policies and Pod Security `restricted`. Nobody applies anything after the source and the analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from chart.helm import CHART, NAMESPACE, RELEASE
from fineline.store import open_store
from support.installed import TRAINING, Installed, built_images, trained
from support.node import Node
from support.slices import Site, upload
from support.versitygw import S3Server

pytestmark = pytest.mark.e2e

EVALS = "evals"
RUN = "tiny-small"
TASKS = 8
Stage = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def training(stage: Stage) -> Path:
    with stage("train two tiny models"):
        return trained()


@pytest.fixture(scope="module")
def loaded(node: Node, stage: Stage) -> Node:
    """The node with the images."""
    with stage("build the images"):
        archives = built_images()
    with stage("load them into the node"):
        node.load(*archives)
    return node


@pytest.fixture(scope="module")
def environment(node_s3: S3Server) -> Iterator[None]:
    """The buckets, and the server as this process's store."""
    for bucket in ("pretrain", "mirror", "evals"):
        node_s3.make_bucket(bucket)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in node_s3.environment.items():
            patch.setenv(name, value)
        patch.setenv("NO_PROXY", "*")
        yield


@pytest.fixture(scope="module")
def installed(loaded: Node, node_s3: S3Server, environment: None, training: Path, stage: Stage) -> Iterator[Installed]:
    """The release, its replicas ready, and a namespace for evaluations with all that they need."""
    fineline = Installed(loaded, node_s3)
    upload(training / "datasets" / "tiny-world", "s3://mirror/")
    for namespace in (NAMESPACE, EVALS):
        fineline.add_namespace(namespace)
    fineline.add_credentials(NAMESPACE, "fineline-stores")
    fineline.add_credentials(EVALS, "s3-credentials")
    loaded.kubectl("create", "configmap", "tiny-world", "-n", EVALS, f"--from-file={TRAINING / 'tiny-world'}")
    with stage("helm install, until it is ready"):
        fineline.install()
        rollout = ("rollout", "status", f"deployment/{RELEASE}-operator", "-n", NAMESPACE, "--timeout=120s")
        assert "successfully" in loaded.kubectl(*rollout), fineline.told(NAMESPACE)
    yield fineline
    loaded.kubectl("delete", "namespace", EVALS, "--ignore-not-found")
    fineline.helm("uninstall", "--ignore-not-found")
    loaded.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def source(name: str, results: str) -> dict[str, Any]:
    """Of the run's prefix: all of its checkpoints, each evaluated as it comes."""
    return {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": "CheckpointSource",
        "metadata": {"name": name, "namespace": EVALS},
        "spec": {
            "uri": f"s3://pretrain/{name}/",
            "pollSeconds": 10,
            "complete": {"settleSeconds": 1},
            "template": {
                "run": {"name": RUN, "family": "tiny", "tokensPerStep": 960},
                "suite": {"configMap": "tiny-world"},
                "engine": {"dtype": "float32", "maxModelLen": 128},
                "pods": {"secretName": "s3-credentials"},
                "results": results,
            },
        },
    }


def analysis(name: str, results: str) -> dict[str, Any]:
    return {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": "TrajectoryAnalysis",
        "metadata": {"name": name, "namespace": EVALS},
        "spec": {
            "runs": {"names": [RUN]},
            "results": results,
            "debounceSeconds": 10,
            "pods": {"secretName": "s3-credentials"},
        },
    }


def counts(installed: Installed, name: str) -> dict[str, int]:
    found: dict[str, int] = installed.node.get("cksrc", name, EVALS).get("status", {}).get("checkpoints", {})
    return found


def steps_of(training: Path) -> list[Path]:
    folders = (training / "checkpoints" / RUN).iterdir()
    return sorted(folders, key=lambda folder: int(folder.name.removeprefix("step")))


def evaluated(installed: Installed, name: str, number: int, *, seconds: float) -> None:
    """Waits until so many checkpoints of a source have all of their results."""
    what = f"{number} evaluated checkpoints of {name}"
    installed.wait_until(
        lambda: counts(installed, name).get("evaluated") == number, what, namespace=EVALS, seconds=seconds
    )


@pytest.fixture(scope="module")
def undisturbed(installed: Installed, training: Path, stage: Stage) -> Site:
    """The run, uploaded checkpoint by checkpoint and evaluated as it comes."""
    installed.node.apply(source(RUN, "s3://evals/results/"), analysis("tiny", "s3://evals/results/"))
    first, *rest = steps_of(training)
    upload(first, f"s3://pretrain/{RUN}/{first.name}/")
    with stage("first upload to its pod"):
        installed.wait_until(lambda: installed.node.items("pods", EVALS), "the first pod", namespace=EVALS, seconds=120)
    with stage("first upload to its results"):
        evaluated(installed, RUN, 1, seconds=600)
    for folder in rest:
        upload(folder, f"s3://pretrain/{RUN}/{folder.name}/")
    with stage(f"{len(rest)} more uploads to their results"):
        evaluated(installed, RUN, 1 + len(rest), seconds=900)
    return Site(f"s3://pretrain/{RUN}/", "s3://mirror/", "s3://evals/results/")


def test_what_is_installed_answers(installed: Installed, stage: Stage) -> None:
    with stage("helm test"):
        assert "Phase:          Succeeded" in installed.helm("test")


def test_every_checkpoint_that_was_uploaded_has_every_result(
    installed: Installed, undisturbed: Site, training: Path
) -> None:
    contents = undisturbed.contents()
    steps = {int(folder.name.removeprefix("step")) for folder in steps_of(training)}
    assert {step for step, _ in contents} == steps
    assert len(contents) == len(steps) * TASKS
    assert counts(installed, RUN)["failed"] == 0
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


def test_pods_that_are_killed_and_a_node_that_is_drained_change_no_result(
    installed: Installed, undisturbed: Site, training: Path, stage: Stage
) -> None:
    """The evaluator is killed, the operator deleted, the node drained, each while the run is evaluated anew."""
    node, name = installed.node, "disturbed"
    upload(training / "checkpoints" / RUN, f"s3://pretrain/{name}/")
    node.apply(source(name, "s3://evals/disturbed/"))
    site = Site(f"s3://pretrain/{name}/", "s3://mirror/", "s3://evals/disturbed/")

    def pods() -> list[dict[str, Any]]:
        return [
            pod
            for pod in node.items("pods", EVALS)
            if pod["metadata"]["name"].startswith(name) and pod["status"]["phase"] == "Running"
        ]

    with stage("evaluated again, disturbed"):
        installed.wait_until(pods, f"a pod of {name}", namespace=EVALS, seconds=180)
        for pod in pods():
            words = ("delete", "pod", pod["metadata"]["name"], "-n", EVALS, "--grace-period=0", "--force")
            node.kubectl(*words)
        node.kubectl(
            "delete", "pods", "-n", NAMESPACE, f"--selector=app.kubernetes.io/instance={RELEASE}", "--wait=false"
        )
        installed.wait_until(pods, f"another pod of {name}", namespace=EVALS, seconds=180)
        machine = node.kubectl("get", "nodes", "--output=name").strip()
        try:
            node.kubectl("drain", machine, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s")
        finally:
            node.kubectl("uncordon", machine)
        evaluated(installed, name, len(steps_of(training)), seconds=900)
    assert site.contents() == undisturbed.contents()
    assert site.failures() == {}


def test_the_operator_sees_no_secret(installed: Installed) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-operator"
    for verb in ("get", "list", "watch"):
        for namespace in (NAMESPACE, EVALS):
            words = ("auth", "can-i", verb, "secrets", f"--as={account}", "-n", namespace)
            assert installed.node.kubectl(*words, check=False).startswith("no")


def test_an_upgrade_and_a_rollback_disturb_nothing_and_uninstalling_leaves_resources_and_results(
    installed: Installed, undisturbed: Site, stage: Stage
) -> None:
    node, before = installed.node, undisturbed.contents()
    with stage("upgrade, rollback, uninstall, reinstall"):
        installed.helm("upgrade", CHART, "--wait", values=installed.values(maxActive=5))
        installed.helm("rollback", "--wait")
        installed.helm("uninstall", "--wait")
        assert node.items("deployments", NAMESPACE) == []
        assert {item["metadata"]["name"] for item in node.items("cksrc", EVALS)} >= {RUN}
        installed.helm("install", CHART, "--wait", values=installed.values())
    evaluated(installed, RUN, counts(installed, RUN)["complete"], seconds=120)
    assert undisturbed.contents() == before
