"""The control plane that tests use is a real one, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.control_plane import REPOSITORY, ControlPlane, find_binaries, start, wait_for
from support.kube_api import ApiError

# Stands in for a test run that is killed: starts a control plane, says its process ids, and waits.
_RUN_TO_BE_KILLED = """
import json, sys, time
from pathlib import Path
from support.control_plane import start
with start(Path(sys.argv[1]), Path(sys.argv[2])) as plane:
    print(json.dumps([plane.etcd.pid, plane.api_server.pid, plane.controller_manager.pid]), flush=True)
    time.sleep(600)
"""


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def binaries() -> Path:
    folder, reason = find_binaries()
    if folder is None:
        pytest.skip(f"no control plane to test with: {reason}")
    return folder


def test_a_control_plane_ends_with_its_block(binaries: Path, tmp_path: Path) -> None:
    with start(binaries, tmp_path / "plane") as plane:
        pids = [plane.etcd.pid, plane.api_server.pid, plane.controller_manager.pid]
        assert all(_alive(pid) for pid in pids)
        plane.stop_api_server()  # one that a test has ended is no trouble
    assert not any(_alive(pid) for pid in pids)


def test_a_control_plane_ends_with_a_test_run_that_is_killed(binaries: Path, tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN_TO_BE_KILLED, str(binaries), str(tmp_path / "plane")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "tests")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    pids = json.loads(run.stdout.readline())
    assert all(_alive(pid) for pid in pids)

    run.send_signal(signal.SIGKILL)
    run.wait()

    wait_for(lambda: not any(_alive(pid) for pid in pids), "the control plane's processes to end")


def test_data_outlive_the_api_server_and_etcd(binaries: Path, tmp_path: Path) -> None:
    with start(binaries, tmp_path / "plane") as plane:
        maps = "/api/v1/namespaces/default/configmaps"
        made = plane.admin.create(maps, {"metadata": {"name": "kept"}, "data": {"key": "value"}})

        plane.restart_api_server(at_once=True)
        plane.restart_etcd()

        assert plane.admin.get(f"{maps}/kept") == made


def test_a_service_account_may_do_what_it_was_given_and_no_more(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "reader", "namespace": namespace},
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "reader", "namespace": namespace},
                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "reader", "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
            },
        ]
    )
    reader = cluster.api_as(namespace, "reader")
    maps = f"/api/v1/namespaces/{namespace}/configmaps"

    assert [found["metadata"]["name"] for found in reader.items(maps)] == ["kube-root-ca.crt"]
    with pytest.raises(ApiError, match="Forbidden") as refused:
        reader.create(maps, {"metadata": {"name": "mine"}})
    assert f"system:serviceaccount:{namespace}:reader" in refused.value.message

    kubeconfig = cluster.kubeconfig_for(namespace, "reader")
    assert cluster.kubectl("auth", "can-i", "list", "configmaps", kubeconfig=kubeconfig).strip() == "yes"
    assert cluster.kubectl("auth", "can-i", "list", "pods", kubeconfig=kubeconfig, check=False).strip() == "no"


def test_the_audit_log_names_each_request(cluster: ControlPlane, namespace: str) -> None:
    cluster.admin.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "auditee"}})
    with pytest.raises(ApiError):
        cluster.api_as(namespace, "auditee").get(f"/api/v1/namespaces/{namespace}/secrets/sought")

    user = f"system:serviceaccount:{namespace}:auditee"
    wait_for(lambda: cluster.requests(user), "the request to be in the audit log")
    (request,) = cluster.requests(user)

    assert request["verb"] == "get"
    assert request["objectRef"]["resource"] == "secrets"
    assert request["objectRef"]["name"] == "sought"
    assert request["annotations"]["authorization.k8s.io/decision"] == "forbid"


def test_finelines_kind_is_served(cluster: ControlPlane, namespace: str) -> None:
    assert "checkpointevals" in cluster.kubectl("api-resources", "--api-group=fineline.dev")
    assert cluster.kubectl("get", "ckeval", "--namespace", namespace) == ""
