"""The node of hack/node.sh itself: what end-to-end tests rely on works before Fineline is on it."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request
from ssl import CERT_NONE, create_default_context
from typing import Any

import pytest

from support.node import Node, box_container, box_pod, processes
from support.versitygw import S3Server

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        "FINELINE_E2E_KUBECONFIG" in os.environ, reason="tests of the node of hack/node.sh, and the cluster is another"
    ),
]


def job(namespace: str, name: str, *words: str, completions: int) -> dict[str, Any]:
    container = box_container(*words)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "completions": completions,
            "parallelism": completions,
            "completionMode": "Indexed",
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


def deployment(namespace: str, name: str, *words: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = box_pod(namespace, name, *words, labels=labels)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {**pod["spec"], "restartPolicy": "Always"}},
        },
    }


def running(node: Node, namespace: str, selector: str) -> list[str]:
    """The names of those pods that run and are not about to end."""
    return [
        pod["metadata"]["name"]
        for pod in node.items("pods", namespace, selector=selector)
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def test_an_indexed_job_completes_and_each_pods_log_can_be_read(node: Node, node_namespace: str) -> None:
    node.apply(job(node_namespace, "three", "variable", "JOB_COMPLETION_INDEX", completions=3))

    node.wait_until(
        lambda: node.get("job", "three", node_namespace).get("status", {}).get("succeeded") == 3, "the Job to complete"
    )

    pods = node.items("pods", node_namespace, selector="job-name=three")
    printed = {node.kubectl("logs", "--namespace", node_namespace, pod["metadata"]["name"]).strip() for pod in pods}
    assert printed == {"0", "1", "2"}


def test_a_pod_is_nobody_writes_its_own_folder_and_not_the_image(node: Node, node_namespace: str) -> None:
    mount = {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}
    containers = [
        box_container("user", name="user"),
        box_container("write", "/tmp/note", "mine", name="own", **mount),
        box_container("write", "/note", "not mine", name="image", **mount),
    ]
    node.apply(
        box_pod(node_namespace, "writer", containers=containers, volumes=[{"name": "tmp", "emptyDir": {}}]),
    )
    node.wait_until(lambda: node.phase(node_namespace, "writer") == "Failed", "the pod to end")

    ended = {
        status["name"]: status["state"]["terminated"]["exitCode"]
        for status in node.get("pod", "writer", node_namespace)["status"]["containerStatuses"]
    }
    assert ended == {"user": 0, "own": 0, "image": 1}
    assert node.kubectl("logs", "--namespace", node_namespace, "writer", "--container=user").strip() == "65532"
    assert "read-only file system" in node.kubectl("logs", "--namespace", node_namespace, "writer", "--container=image")


def test_a_pod_that_would_be_root_is_not_admitted_where_the_namespace_is_restricted(
    node: Node, node_namespace: str
) -> None:
    container = box_container("user")
    container["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}

    with pytest.raises(RuntimeError, match='violates PodSecurity "restricted'):
        node.apply(box_pod(node_namespace, "root", containers=[container]))


def test_a_pod_reaches_the_api_server_by_its_address_and_by_its_name(node: Node, node_namespace: str) -> None:
    address = node.get("service", "kubernetes")["spec"]["clusterIP"]

    by_address = node.run(node_namespace, "by-address", "get", f"https://{address}/version")
    by_name = node.run(node_namespace, "by-name", "get", "https://kubernetes.default.svc.cluster.local/version")

    assert by_address.startswith("200")
    assert by_name == by_address
    assert node.run(node_namespace, "lookup", "lookup", "kubernetes.default").strip() == address


def test_a_pod_reaches_the_s3_server_on_this_machine(node: Node, node_namespace: str, node_s3: S3Server) -> None:
    answer = node.run(node_namespace, "s3", "get", node_s3.endpoint)

    # Who signs nothing is refused by the server itself.
    assert answer.startswith("403")
    assert "AccessDenied" in answer


def test_a_pod_reaches_no_other_address_of_this_machine(node: Node, node_namespace: str) -> None:
    if not processes():
        pytest.skip("kind's pods reach whatever Docker's networks do")
    # Sends nothing: it only asks which address would be sent from.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network beside the node's")
        address = asking.getsockname()[0]

    with (
        socket.create_server((address, 0)) as server,
        pytest.raises(RuntimeError, match=r"unreachable|no route to host"),
    ):
        node.run(node_namespace, "beyond", "connect", f"{address}:{server.getsockname()[1]}")


def test_a_pod_that_is_killed_is_replaced(node: Node, node_namespace: str) -> None:
    node.apply(deployment(node_namespace, "lasting", "sleep", "3600"))
    node.wait_until(lambda: running(node, node_namespace, "app=lasting"), "the pod to run")
    (first,) = running(node, node_namespace, "app=lasting")

    node.kubectl("delete", "pod", "--namespace", node_namespace, first, "--grace-period=0", "--force")

    node.wait_until(
        lambda: set(running(node, node_namespace, "app=lasting")) - {first}, "another pod to run in its place"
    )


def test_a_node_that_is_drained_evicts_its_pods_and_takes_them_again_afterwards(
    node: Node, node_namespace: str
) -> None:
    node.apply(deployment(node_namespace, "evicted", "sleep", "3600"))
    node.wait_until(lambda: running(node, node_namespace, "app=evicted"), "the pod to run")
    (first,) = running(node, node_namespace, "app=evicted")
    name = node.kubectl("get", "nodes", "--output=name").strip()

    try:
        node.kubectl("drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
        assert running(node, node_namespace, "app=evicted") == []
        (pod,) = node.items("pods", node_namespace, selector="app=evicted")
        assert (pod["metadata"]["name"] != first, pod["status"]["phase"]) == (True, "Pending")
    finally:
        node.kubectl("uncordon", name)

    node.wait_until(lambda: running(node, node_namespace, "app=evicted"), "the pod to run again")


def test_a_policy_decides_whom_a_pod_reaches_and_who_reaches_it(node: Node, node_namespace: str) -> None:
    node.apply(
        deployment(node_namespace, "server", "serve", "8000"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server", "namespace": node_namespace},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8000}]},
        },
    )
    node.wait_until(lambda: running(node, node_namespace, "app=server"), "the server to run")
    address = node.get("service", "server", node_namespace)["spec"]["clusterIP"]
    asked = ("get", f"http://{address}")
    assert "served" in node.run(node_namespace, "before", *asked, role="stranger")

    node.apply(
        policy(
            node_namespace,
            "guests-only",
            {"app": "server"},
            ingress=[{"from": [{"podSelector": {"matchLabels": {"role": "guest"}}}], "ports": [{"port": 8000}]}],
        )
    )
    node.wait_until(lambda: refused(node, node_namespace, *asked, role="stranger"), "the policy to be in force")
    assert "served" in node.run(node_namespace, "guest", *asked, role="guest")

    node.apply(policy(node_namespace, "no-way-out", {"role": "guest"}, egress=[]))
    node.wait_until(lambda: refused(node, node_namespace, *asked, role="guest"), "the second policy to be in force")

    node.kubectl("delete", "networkpolicy", "--all", "--namespace", node_namespace)
    node.wait_until(
        lambda: not refused(node, node_namespace, *asked, role="stranger"), "nothing to be in force any more"
    )


def policy(namespace: str, name: str, selected: dict[str, str], **rules: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": selected},
            "policyTypes": [direction.capitalize() for direction in rules],
            **rules,
        },
    }


def refused(node: Node, namespace: str, *words: str, role: str) -> bool:
    try:
        node.run(namespace, "asking", *words, role=role)
    except RuntimeError as error:
        # Not answered at all: any other failure is one of the test.
        if "Timeout" not in str(error) and "deadline" not in str(error):
            raise
        return True
    finally:
        node.kubectl("delete", "pod", "asking", "--namespace", namespace, "--grace-period=0", "--force")
    return False


@pytest.mark.parametrize("part", ["kube-apiserver", "kubelet", "containerd"])
def test_a_part_of_the_node_that_is_killed_comes_back_and_pods_run_on(
    node: Node, node_namespace: str, part: str
) -> None:
    if not processes():
        pytest.skip("the node's parts are not processes of this machine's (kind has them in a container)")
    node.apply(deployment(node_namespace, "lasting", "sleep", "3600"))
    node.wait_until(lambda: running(node, node_namespace, "app=lasting"), "the pod to run")
    before = node.items("pods", node_namespace)

    node.kill(part)

    node.wait_until(lambda: node.kubectl("get", "--raw", "/readyz", check=False) == "ok", "the API server to answer")
    node.apply(job(node_namespace, "after", "say", "here", completions=1))
    node.wait_until(
        lambda: node.get("job", "after", node_namespace).get("status", {}).get("succeeded") == 1, "a Job to complete"
    )
    after = node.items("pods", node_namespace, selector="app=lasting")
    assert [pod["status"]["containerStatuses"][0]["containerID"] for pod in after] == [
        pod["status"]["containerStatuses"][0]["containerID"] for pod in before
    ]


def test_the_kubelet_answers_nobody_it_does_not_know(node: Node) -> None:
    (found,) = node.items("nodes", "default")
    address = next(one["address"] for one in found["status"]["addresses"] if one["type"] == "InternalIP")
    trusting = create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, CERT_NONE

    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"https://{address}:10250/pods", timeout=10, context=trusting)
