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

ANSWERS = CHART / "files" / "answers.py"


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
