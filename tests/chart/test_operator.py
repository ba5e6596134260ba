"""The operator, as a process, under the settings, service account and rights that an installed chart gives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chart.helm import CHART, NAMESPACE
from chart.release import Release
from support.control_plane import ControlPlane, wait_for
from support.operator import start_operator
from support.processes import lasting_port

USER = f"system:serviceaccount:{NAMESPACE}:fineline-operator"
ANSWERS = CHART / "files" / "answers.py"

# What every service account may do.
EVERYBODY = {
    "create selfsubjectreviews.authentication.k8s.io",
    "create selfsubjectaccessreviews.authorization.k8s.io",
    "create selfsubjectrulesreviews.authorization.k8s.io",
}
FOR_RESOURCES = {
    "get,list,watch,create,delete checkpointevals.fineline.dev",
    "get,list,watch,patch checkpointsources.fineline.dev",
    "get,list,watch trajectoryanalyses.fineline.dev",
    "patch checkpointevals.fineline.dev/status",
    "patch checkpointsources.fineline.dev/status",
    "patch trajectoryanalyses.fineline.dev/status",
    "get,list,watch,create,patch,delete jobs.batch",
    "get,create configmaps",
    "list pods",
    "get namespaces",
    "create events",
    "list,patch workloads.kueue.x-k8s.io",
    "get localqueues.kueue.x-k8s.io",
}
FOR_THE_LEASE = {"create leases.coordination.k8s.io", "get,update leases.coordination.k8s.io [fineline-operator]"}


def rights(plane: ControlPlane, namespace: str) -> set[str]:
    """`kubectl auth can-i --list` as the operator: verbs, resource and names. Addresses that are no resources, such as
    /healthz, are everybody's."""
    found = set()
    told = plane.kubectl("auth", "can-i", "--list", f"--as={USER}", "--namespace", namespace)
    for line in told.splitlines()[1:]:
        resource, _, rest = line.partition(" ")
        _, _, names, verbs = (part.strip(" ]") for part in rest.split("["))
        if resource:
            found.add(f"{verbs.replace(' ', ',')} {resource}{f' [{names}]' if names else ''}")
    return found


def test_everywhere_it_may_do_this_and_nothing_else(plane: ControlPlane, release: Release) -> None:
    release.install("minimal")
    assert rights(plane, "other") == EVERYBODY | FOR_RESOURCES
    assert rights(plane, NAMESPACE) == EVERYBODY | FOR_RESOURCES | FOR_THE_LEASE


def test_for_some_namespaces_it_may_do_this_there_and_nothing_elsewhere(plane: ControlPlane, release: Release) -> None:
    release.install({"namespaces": ["evals"]})
    assert rights(plane, "evals") == EVERYBODY | FOR_RESOURCES
    assert rights(plane, NAMESPACE) == EVERYBODY | FOR_THE_LEASE
    assert rights(plane, "other") == EVERYBODY


def test_without_rbac_it_may_do_nothing(plane: ControlPlane, release: Release) -> None:
    release.install({"rbac": {"create": False}})
    assert rights(plane, NAMESPACE) == rights(plane, "evals") == EVERYBODY


@pytest.mark.parametrize("namespace", [NAMESPACE, "evals", "other"])
def test_it_can_not_read_secrets(plane: ControlPlane, release: Release, namespace: str) -> None:
    release.install("minimal")
    for verb in ("get", "list", "watch"):
        told = plane.kubectl("auth", "can-i", verb, "secrets", f"--as={USER}", "--namespace", namespace, check=False)
        assert told.startswith("no")


def test_people_get_their_rights_by_the_clusters_own_roles(plane: ControlPlane, release: Release) -> None:
    """No controller adds them up here: the labels and rules are what Kubernetes' own would."""
    release.install("defaults")
    for name in ("view", "edit"):
        role = plane.admin.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/fineline-{name}")
        aggregating = plane.admin.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")["aggregationRule"]
        for selector in aggregating["clusterRoleSelectors"]:
            assert selector["matchLabels"].items() <= role["metadata"]["labels"].items()


@pytest.mark.parametrize("values", [{}, {"namespaces": ["evals"]}], ids=["everywhere", "some namespaces"])
def test_it_starts_and_acts_under_what_the_chart_gives_it(
    values: dict[str, object], plane: ControlPlane, release: Release, tmp_path: Path
) -> None:
    """And `helm test` says so; before it runs, the opposite."""
    token = tmp_path / "token"
    token.write_text("secret")
    release.install(values | {"webhook": {"enabled": True, "tokenSecretName": "fineline-webhook"}})
    config_map = plane.admin.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/fineline-operator")
    settings = yaml.safe_load(config_map["data"]["operator.yaml"])
    # What a pod has to itself, and this machine has not: the port, and the mounted Secret.
    settings["webhook"] |= {"port": lasting_port(), "tokenFile": str(token)}
    kubeconfig = plane.kubeconfig_for(NAMESPACE, "fineline-operator")
    with start_operator(tmp_path, kubeconfig, settings=settings) as operator:
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/fineline-operator"
        assert plane.admin.get(lease)["spec"]["holderIdentity"]
        addresses = [f"http://127.0.0.1:{port}" for port in (operator.port, settings["webhook"]["port"])]
        assert helm_test(*addresses) == (0, "the operator answers\n")
        evaluation = {
            "metadata": {"name": "first"},
            "spec": {"run": {"name": "a"}, "checkpoints": {"uri": "s3://a/b/"}, "suite": {"name": "fine-line"}},
        }
        path = "/apis/fineline.dev/v1alpha1/namespaces/evals/checkpointevals"
        plane.admin.create(path, {"apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointEval"} | evaluation)
        wait_for(lambda: "ResultsNotSet" in str(plane.admin.get(f"{path}/first").get("status")), "the status")
        plane.admin.delete(f"{path}/first")
        assert operator.stop() == 0
    assert helm_test(*addresses, seconds=1)[0] == 1


def test_helm_test_names_what_does_not_answer() -> None:
    code, told = helm_test(f"http://127.0.0.1:{lasting_port()}", seconds=0)
    assert code == 1
    assert "/healthz: no answer" in told


def helm_test(*addresses: str, seconds: int = 30) -> tuple[int, str]:
    """Its exit code and what it says, as the test pod runs it; but it does not wait for long."""
    program = ANSWERS.read_text().replace("SECONDS = 120", f"SECONDS = {seconds}")
    done = subprocess.run(
        [sys.executable, "-c", program, *addresses], check=False, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr
