"""Pods that do not start or do not last are told in the condition, in their own words, for as long as it is so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support import pods
from support.lab import Lab
from support.operator import Operator

Pod = dict[str, Any]
LONG_AGO = timedelta(minutes=2)


@pytest.fixture
def pod(lab: Lab, operator: Operator) -> Pod:
    """The one pod of an evaluation, which nobody has played yet."""
    lab.add_checkpoints(1)
    lab.apply()
    (found,) = pods.wait_for_pods(lab.api, lab.namespace, lab.wait_for_job()["metadata"]["name"], 1)
    return found


def start(lab: Lab, pod: Pod) -> None:
    pods.schedule(lab.api, pod)
    pods.run(lab.api, pod)


def test_a_pod_that_no_node_takes_is_told_until_one_does(lab: Lab, pod: Pod) -> None:
    pods.unschedulable(lab.api, pod, "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    told = lab.wait("Succeeded", "Unknown", "Unschedulable")
    assert f"Pod {pod['metadata']['name']}: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu." in told["message"]
    assert lab.condition("Reconciling")["status"] == "True"
    assert lab.condition("Stalled")["status"] == "False"
    start(lab, pod)
    lab.wait("Succeeded", "Unknown", "Running")


def test_an_image_that_can_not_be_pulled_is_told_until_it_runs(lab: Lab, pod: Pod) -> None:
    message = 'Back-off pulling image "registry.example/evaluator:test"'
    pods.waiting(lab.api, pod, "ImagePullBackOff", message)
    told = lab.wait("Succeeded", "Unknown", "ImagePullBackOff")
    assert f"container evaluator: {message}" in told["message"]
    pods.run(lab.api, pod)
    lab.wait("Succeeded", "Unknown", "Running")


def test_a_missing_secret_is_named_by_the_pod_itself(lab: Lab, operator: Operator, node: object) -> None:
    """With the kubelet stand-in, which looks for the Secret as a kubelet does."""
    lab.add_checkpoints(1)
    lab.apply(pods__secretName="s3-credentials")
    told = lab.wait("Succeeded", "Unknown", "CreateContainerConfigError")
    assert 'secret "s3-credentials" not found' in told["message"]
    assert "Create the Secret that `pods.secretName` names" in told["message"]


def test_a_pod_that_was_out_of_memory_is_told_with_its_limit(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    limits = {"resources": {"limits": {"memory": "8Gi"}}}
    lab.apply(pods__template={"spec": {"containers": [{"name": "evaluator", **limits}]}})
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, lab.wait_for_job()["metadata"]["name"], 1)
    pods.killed_by_memory(lab.api, pod)
    told = lab.wait("Succeeded", "Unknown", "OOMKilled")
    assert "container evaluator used more memory than its limit of 8Gi and was killed" in told["message"]


def test_a_pod_whose_evaluator_died_is_told_with_its_last_words(lab: Lab, pod: Pod) -> None:
    pods.play(lab.api, pod, 1, reason="Error", message="fineline-evaluator: CUDA driver version is insufficient")
    told = lab.wait("Succeeded", "Unknown", "PodFailed")
    assert "ended with 1: fineline-evaluator: CUDA driver version is insufficient" in told["message"]


def test_a_lost_node_is_told_until_its_pods_are_let_go(lab: Lab, pod: Pod) -> None:
    """What the node controller writes: not ready, though its containers are."""
    start(lab, pod)
    since = (datetime.now(UTC) - LONG_AGO).strftime("%Y-%m-%dT%H:%M:%SZ")
    lost = {"type": "Ready", "status": "False", "lastTransitionTime": since}
    lab.api.patch(f"{pods.path_of(pod)}/status", {"status": {"conditions": [lost]}}, kind="strategic")
    told = lab.wait("Succeeded", "Unknown", "NodeLost")
    assert f"the node {pods.NODE} does not answer" in told["message"]
    assert "kubectl delete pod --force" in told["message"]
    pods.end(lab.api, pod, 137, condition=("DisruptionTarget", "True", "DeletionByPodGC", "node is gone"))
    lab.wait_until(lambda: lab.condition("Succeeded")["reason"] != "NodeLost", "another reason")
    assert lab.condition("Succeeded")["reason"] in ("Progressing", "Running")


def test_pods_that_are_evicted_for_ever_are_told(lab: Lab, pod: Pod) -> None:
    """The Job controller counts evictions, which are no failures, in this annotation of the next pod."""
    counted = {"batch.kubernetes.io/job-index-ignored-failure-count": "51"}
    lab.api.patch(pods.path_of(pod), {"metadata": {"annotations": counted}})
    told = lab.wait("Succeeded", "Unknown", "RestartedOften")
    assert "more than 50 times" in told["message"]
    assert lab.condition("Stalled")["status"] == "False"


def test_an_eviction_counts_for_no_attempt(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(pods__attempts=1)
    job = lab.wait_for_job()
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, job["metadata"]["name"], 1)
    pods.evicted(lab.api, pod)
    lab.work()
    lab.wait("Succeeded", "True")
    assert lab.jobs()[0]["status"].get("failed", 0) == 0


def test_a_quota_without_room_for_pods_is_told(lab: Lab, operator: Operator) -> None:
    quota = f"/api/v1/namespaces/{lab.namespace}/resourcequotas"
    lab.api.create(quota, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    lab.wait_until(lambda: lab.api.get(f"{quota}/none")["status"]["hard"] == {"pods": "0"}, "the quota to count")
    lab.add_checkpoints(1)
    lab.apply()
    told = lab.wait("Succeeded", "Unknown", "PodsNotCreated")
    job = lab.status()["jobName"]
    assert f"kubectl describe job {job} -n {lab.namespace}" in told["message"]


def test_a_missing_service_account_is_told_until_it_is_there(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(pods__serviceAccountName="evals")
    job = lab.wait_for_job()["metadata"]["name"]
    assert "service account" in lab.wait("Succeeded", "Unknown", "PodsNotCreated")["message"]
    lab.api.create(f"/api/v1/namespaces/{lab.namespace}/serviceaccounts", {"metadata": {"name": "evals"}})
    (pod,) = pods.wait_for_pods(lab.api, lab.namespace, job, 1)
    start(lab, pod)
    lab.wait("Succeeded", "Unknown", "Running")


@pytest.mark.parametrize(
    ("counted", "reason", "condition"),
    [("count/jobs.batch", "JobRefused", "Admitted"), ("count/configmaps", "PlanRefused", "Planned")],
)
def test_what_a_quota_refuses_is_told_in_the_api_servers_words_until_it_is_raised(
    lab: Lab, operator: Operator, counted: str, reason: str, condition: str
) -> None:
    quota = f"/api/v1/namespaces/{lab.namespace}/resourcequotas"
    hard = {counted: "1" if counted == "count/configmaps" else "0"}  # there is kube-root-ca.crt
    lab.api.create(quota, {"metadata": {"name": "little"}, "spec": {"hard": hard}})
    lab.wait_until(lambda: "used" in lab.api.get(f"{quota}/little")["status"], "the quota to count")
    lab.add_checkpoints(1)
    lab.apply()
    assert "exceeded quota: little" in lab.wait("Stalled", "True", reason)["message"]
    assert lab.condition(condition)["status"] == "False"
    lab.api.delete(f"{quota}/little")
    lab.edit(ttlSecondsAfterFinished=600)  # else it is looked at again within 5 min
    lab.work()
    lab.wait("Succeeded", "True")
