"""Pods that do not start or do not last are told in the condition, in their own words, for as long as it is so."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from support import pods
from support.control_plane import ControlPlane
from support.kube_api import KubeApi
from support.lab import BUCKET, Lab
from support.operator import Operator
from support.versitygw import S3Server

Pod = dict[str, Any]

NO_NODE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
NO_IMAGE = 'Back-off pulling image "registry.example/evaluator:test"'
LAST_WORDS = "fineline-evaluator: CUDA driver version is insufficient"
MEMORY = {"spec": {"containers": [{"name": "evaluator", "resources": {"limits": {"memory": "8Gi"}}}]}}


def loses_its_node(api: KubeApi, pod: Pod) -> None:
    """What the node controller writes: not ready, though its containers are; two minutes ago."""
    pods.schedule(api, pod)
    pods.run(api, pod)
    since = (datetime.now(UTC) - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lost = {"type": "Ready", "status": "False", "lastTransitionTime": since}
    api.patch(f"{pods.path_of(pod)}/status", {"status": {"conditions": [lost]}}, kind="strategic")


def follows_many_evictions(api: KubeApi, pod: Pod) -> None:
    """The Job controller counts evictions, which are no failures, in this annotation of the next pod."""
    counted = {"batch.kubernetes.io/job-index-ignored-failure-count": "51"}
    api.patch(pods.path_of(pod), {"metadata": {"annotations": counted}})


TROUBLES: dict[str, Callable[[KubeApi, Pod], None]] = {
    "no-node": partial(pods.unschedulable, message=NO_NODE),
    "no-image": partial(pods.waiting, reason="ImagePullBackOff", message=NO_IMAGE),
    "no-memory": pods.killed_by_memory,
    "dead": partial(pods.play, exit_code=1, reason="Error", message=LAST_WORDS),
    "lost": loses_its_node,
    "evicted": pods.evicted,
    "evicted-often": follows_many_evictions,
}
SPECS: dict[str, dict[str, Any]] = {
    "no-memory": {"pods__template": MEMORY},
    "evicted": {"pods__attempts": 1},
    "no-account": {"pods__serviceAccountName": "evals"},
}


@pytest.fixture(scope="module")
def troubled(
    cluster: ControlPlane,
    versitygw: S3Server,
    shared_operator: Operator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """An evaluation for each trouble, with one pod each: what takes its seconds to be told does so for all at once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in versitygw.environment.items():
            patch.setenv(name, value)
        uri = f"s3://{BUCKET}/{secrets.token_hex(8)}/"
        lab = Lab(cluster, cluster.make_namespace(), uri, tmp_path_factory.mktemp("troubled"))
        for name in (*TROUBLES, "no-account"):
            lab.add_checkpoints(1, run=name)
            lab.apply(name, name, **SPECS.get(name, {}))
        for name, befalls in TROUBLES.items():
            befalls(lab.api, new_pod(lab, name))
        yield lab
        cluster.delete_namespace(lab.namespace)


def new_pod(lab: Lab, name: str) -> Pod:
    """The pod of an evaluation that nobody has played yet."""
    (found,) = pods.wait_for_pods(lab.api, lab.namespace, lab.wait_for_job(name)["metadata"]["name"], 1)
    return found


def start(lab: Lab, pod: Pod) -> None:
    pods.schedule(lab.api, pod)
    pods.run(lab.api, pod)


def test_a_pod_that_no_node_takes_is_told_until_one_does(troubled: Lab) -> None:
    lab, name = troubled, "no-node"
    told = lab.wait("Succeeded", "Unknown", "Unschedulable", name=name)
    pod = new_pod(lab, name)
    assert f"Pod {pod['metadata']['name']}: {NO_NODE}" in told["message"]
    assert lab.condition("Reconciling", name)["status"] == "True"
    assert lab.condition("Stalled", name)["status"] == "False"
    start(lab, pod)
    lab.wait("Succeeded", "Unknown", "Running", name=name)


def test_an_image_that_can_not_be_pulled_is_told_until_it_runs(troubled: Lab) -> None:
    lab, name = troubled, "no-image"
    told = lab.wait("Succeeded", "Unknown", "ImagePullBackOff", name=name)
    assert f"container evaluator: {NO_IMAGE}" in told["message"]
    pods.run(lab.api, lab.pods(name)[0])
    lab.wait("Succeeded", "Unknown", "Running", name=name)


def test_a_pod_that_was_out_of_memory_is_told_with_its_limit(troubled: Lab) -> None:
    told = troubled.wait("Succeeded", "Unknown", "OOMKilled", name="no-memory")
    assert "container evaluator used more memory than its limit of 8Gi and was killed" in told["message"]


def test_a_pod_whose_evaluator_died_is_told_with_its_last_words(troubled: Lab) -> None:
    told = troubled.wait("Succeeded", "Unknown", "PodFailed", name="dead")
    assert f"ended with 1: {LAST_WORDS}" in told["message"]


def test_a_lost_node_is_told_until_its_pod_is_let_go(troubled: Lab) -> None:
    lab, name = troubled, "lost"
    told = lab.wait("Succeeded", "Unknown", "NodeLost", name=name)
    assert f"the node {pods.NODE} does not answer" in told["message"]
    assert "kubectl delete pod --force" in told["message"]
    gone = ("DisruptionTarget", "True", "DeletionByPodGC", "its node is gone")
    pods.end(lab.api, lab.pods(name)[0], 137, condition=gone)
    lab.wait_until(lambda: lab.condition("Succeeded", name)["reason"] != "NodeLost", "another reason")
    assert lab.condition("Succeeded", name)["reason"] in ("Progressing", "Running")


def test_pods_that_are_evicted_for_ever_are_told(troubled: Lab) -> None:
    told = troubled.wait("Succeeded", "Unknown", "RestartedOften", name="evicted-often")
    assert "more than 50 times" in told["message"]
    assert troubled.condition("Stalled", "evicted-often")["status"] == "False"


def test_a_missing_service_account_is_told_until_it_is_there(troubled: Lab) -> None:
    lab, name = troubled, "no-account"
    assert "service account" in lab.wait("Succeeded", "Unknown", "PodsNotCreated", name=name)["message"]
    lab.api.create(f"/api/v1/namespaces/{lab.namespace}/serviceaccounts", {"metadata": {"name": "evals"}})
    start(lab, new_pod(lab, name))
    lab.wait("Succeeded", "Unknown", "Running", name=name)


def test_an_eviction_counts_for_no_attempt(troubled: Lab) -> None:
    """The last of these: Kubernetes makes the next pod after a pause of ten seconds."""
    lab, name = troubled, "evicted"
    assert lab.condition("Succeeded", name)["reason"] in ("Progressing", "Running")
    lab.work(name)
    lab.wait("Succeeded", "True", name=name)
    assert lab.jobs(name)[0]["status"].get("failed", 0) == 0


def test_a_missing_secret_is_named_by_the_pod_itself(lab: Lab, operator: Operator, node: object) -> None:
    """With the kubelet stand-in, which looks for the Secret as a kubelet does."""
    lab.add_checkpoints(1)
    lab.apply(pods__secretName="s3-credentials")
    told = lab.wait("Succeeded", "Unknown", "CreateContainerConfigError")
    assert 'secret "s3-credentials" not found' in told["message"]
    assert "Create the Secret that `pods.secretName` names" in told["message"]


def test_a_quota_without_room_for_pods_is_told(lab: Lab, operator: Operator) -> None:
    quota = f"/api/v1/namespaces/{lab.namespace}/resourcequotas"
    lab.api.create(quota, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    lab.wait_until(lambda: lab.api.get(f"{quota}/none")["status"]["hard"] == {"pods": "0"}, "the quota to count")
    lab.add_checkpoints(1)
    lab.apply()
    told = lab.wait("Succeeded", "Unknown", "PodsNotCreated")
    job = lab.status()["jobName"]
    assert f"kubectl describe job {job} -n {lab.namespace}" in told["message"]


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
