"""The stand-in for a kubelet runs a Job's pods as programs, and the real Job controller is content with it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support import pods
from support.control_plane import ControlPlane, wait_for
from support.kubelet import Kubelet, kubelet

# Reads what a pod is given, and says it with its last words.
_TELL = """
import os, sys
index = os.environ["JOB_COMPLETION_INDEX"]
order = open(sys.argv[1] + "/order").read()
open(os.environ["HOME"] + "/written", "w").write(order)
open(sys.argv[sys.argv.index("--termination-message") + 1], "w").write(f"{index} {order} {os.environ['PASSWORD']}")
"""
_SLEEP = "import time; print('asleep', flush=True); time.sleep(600)"
_STOP_IN_ORDER = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("asleep", flush=True)
time.sleep(600)
"""


@pytest.fixture
def jobs(cluster: ControlPlane, namespace: str) -> Callable[..., str]:
    """Makes an Indexed Job whose evaluator is a Python program; gives its name."""

    def make(name: str, program: str, arguments: Sequence[str] = (), *, completions: int = 1, **spec: Any) -> str:
        container = {
            "name": "evaluator",
            "image": "none",
            "command": ["python", "-c", program, *arguments],
            "envFrom": [{"secretRef": {"name": "account", "optional": name != "strict"}}],
            "env": [{"name": "HOME", "value": "/home/worker"}],
            "volumeMounts": [
                {"name": "plan", "mountPath": "/plan", "readOnly": True},
                {"name": "home", "mountPath": "/home/worker"},
            ],
        }
        volumes = [
            {"name": "plan", "projected": {"sources": [{"configMap": {"name": "orders"}}]}},
            {"name": "home", "emptyDir": {}},
        ]
        body = {
            "metadata": {"name": name},
            "spec": {
                "completionMode": "Indexed",
                "completions": completions,
                "parallelism": completions,
                "backoffLimit": 0,
                "template": {
                    "spec": {
                        "restartPolicy": "Never",
                        "automountServiceAccountToken": False,
                        "terminationGracePeriodSeconds": 20,
                        "containers": [container],
                        "volumes": volumes,
                    }
                },
                **spec,
            },
        }
        cluster.admin.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", body)
        return name

    orders = {"metadata": {"name": "orders"}, "data": {"order": "measure"}}
    cluster.admin.create(f"/api/v1/namespaces/{namespace}/configmaps", orders)
    return make


@pytest.fixture
def node(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Kubelet]:
    with kubelet(cluster, namespace, tmp_path / "node") as running:
        yield running


def make_account(cluster: ControlPlane, namespace: str) -> None:
    secret = {"metadata": {"name": "account"}, "stringData": {"PASSWORD": "open-sesame"}}
    cluster.admin.create(f"/api/v1/namespaces/{namespace}/secrets", secret)


def job_is(cluster: ControlPlane, namespace: str, name: str, kind: str) -> bool:
    job = cluster.admin.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}")
    conditions = job["status"].get("conditions", [])
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def ended(pod: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


def test_an_indexed_job_runs_to_its_end(
    cluster: ControlPlane, namespace: str, node: Kubelet, jobs: Callable[..., str]
) -> None:
    make_account(cluster, namespace)
    jobs("tell", _TELL, ["/plan"], completions=2)

    wait_for(lambda: job_is(cluster, namespace, "tell", "Complete"), "the Job to complete")

    told = [ended(pod) for pod in pods.pods_of(cluster.admin, namespace, "tell")]
    assert [state["message"] for state in told] == ["0 measure open-sesame", "1 measure open-sesame"], node.logs()
    assert [(state["exitCode"], state["reason"]) for state in told] == [(0, "Completed")] * 2


def test_a_pod_waits_for_a_secret_that_is_not_there_yet(
    cluster: ControlPlane, namespace: str, node: Kubelet, jobs: Callable[..., str]
) -> None:
    jobs("strict", _TELL, ["/plan"])

    def waits() -> bool:
        return any(
            status["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError"
            for pod in pods.pods_of(cluster.admin, namespace, "strict")
            for status in pod["status"].get("containerStatuses", [])
        )

    wait_for(waits, "the pod to wait for its secret")
    make_account(cluster, namespace)
    wait_for(lambda: job_is(cluster, namespace, "strict", "Complete"), "the Job to complete")


def test_a_drained_pod_stops_in_order_and_is_no_failure(
    cluster: ControlPlane, namespace: str, node: Kubelet, jobs: Callable[..., str]
) -> None:
    ignored = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    jobs("drained", _STOP_IN_ORDER, podFailurePolicy={"rules": ignored}, podReplacementPolicy="Failed")
    pod = node.find("drained")
    wait_for(pod.log.read_text, "the program to be ready for a signal")

    pods.drain(cluster.admin, pod.body)

    def is_gone() -> bool:
        return cluster.admin.find(pods.path_of(pod.body)) is None

    wait_for(is_gone, "the pod to be gone")
    assert pod.process is not None
    assert pod.process.returncode == 0


def test_an_evaluator_out_of_memory_is_told_as_such(
    cluster: ControlPlane, namespace: str, node: Kubelet, jobs: Callable[..., str]
) -> None:
    jobs("greedy", _SLEEP)

    node.find("greedy").kill(signal.SIGKILL, reason="OOMKilled")

    wait_for(lambda: job_is(cluster, namespace, "greedy", "Failed"), "the Job to fail")
    (pod,) = pods.pods_of(cluster.admin, namespace, "greedy")
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (137, "OOMKilled")


def test_a_suspended_jobs_programs_are_ended(
    cluster: ControlPlane, namespace: str, node: Kubelet, jobs: Callable[..., str]
) -> None:
    jobs("paused", _SLEEP)
    pod = node.find("paused")

    cluster.admin.patch(f"/apis/batch/v1/namespaces/{namespace}/jobs/paused", {"spec": {"suspend": True}})

    wait_for(lambda: not pods.pods_of(cluster.admin, namespace, "paused"), "the pods to be gone")
    assert pod.process is not None
    assert pod.process.returncode == -signal.SIGTERM


def test_pods_can_be_played_without_a_program(cluster: ControlPlane, namespace: str, jobs: Callable[..., str]) -> None:
    """Without the stand-in: each index of a Job fares differently, and the Job controller sees it."""
    jobs("played", _SLEEP, completions=3, backoffLimitPerIndex=0, backoffLimit=None)
    first, second, third = pods.wait_for_pods(cluster.admin, namespace, "played", 3)
    pods.unschedulable(cluster.admin, first)
    pods.waiting(cluster.admin, second, message="no such image")

    pods.play(cluster.admin, first)
    pods.killed_by_memory(cluster.admin, second)
    pods.evicted(cluster.admin, third)

    wait_for(lambda: job_is(cluster, namespace, "played", "Failed"), "the Job to end")
    job = cluster.admin.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/played")
    assert job["status"]["completedIndexes"] == "0"
    assert job["status"]["failedIndexes"] == "1,2"
    _, _, third = pods.pods_of(cluster.admin, namespace, "played")
    assert third["status"]["reason"] == "Evicted"
