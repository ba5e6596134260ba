"""Plays pods without running anything: the test says what a scheduler and a kubelet would have told about them.

A stand-in, because a kubelet needs root and a container runtime; what is written is what theirs is, through the API
server, so that the Job controller and the operator see pods as on a node. support/kubelet.py runs a pod's program.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from support.control_plane import wait_for
from support.kube_api import ApiError, KubeApi

NODE = "played-node"
PROGRAMS = ("evaluator", "analysis")
"""The containers that do the work of our pods; each pod has one of them."""

Told = tuple[str, str, str, str]
"""A condition: type, status, reason, message."""


def pods_of(api: KubeApi, namespace: str, job: str) -> list[dict[str, Any]]:
    """The Job's pods, by completion index, those of one index from the oldest on."""
    found = api.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"batch.kubernetes.io/job-name={job}")
    return sorted(found, key=lambda pod: (index_of(pod), pod["metadata"]["creationTimestamp"]))


def wait_for_pods(api: KubeApi, namespace: str, job: str, count: int, *, seconds: float = 30) -> list[dict[str, Any]]:
    """The Job's pods that no one has played yet, as soon as there are so many."""
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        found[:] = [pod for pod in pods_of(api, namespace, job) if is_new(pod)]
        return len(found) >= count

    wait_for(enough, f"{count} new pods of Job {job}", seconds=seconds)
    return found


def index_of(pod: Mapping[str, Any]) -> int:
    """The completion index of an Indexed Job's pod."""
    return int(pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-completion-index", -1))


def program_of(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The container that does the pod's work."""
    found: dict[str, Any] = next(item for item in pod["spec"]["containers"] if item["name"] in PROGRAMS)
    return found


def is_new(pod: Mapping[str, Any]) -> bool:
    """Whether nobody has bound it to a node, or asked for its end."""
    return "nodeName" not in pod["spec"] and "deletionTimestamp" not in pod["metadata"]


def play(
    api: KubeApi,
    pod: Mapping[str, Any],
    exit_code: int = 0,
    *,
    reason: str | None = None,
    message: str = "",
    condition: Told | None = None,
) -> None:
    """The pod was scheduled, ran, and its evaluator ended with this code."""
    schedule(api, pod)
    run(api, pod)
    end(api, pod, exit_code, reason=reason, message=message, condition=condition)


def schedule(api: KubeApi, pod: Mapping[str, Any], node: str = NODE) -> None:
    """A scheduler found a node for it."""
    binding = {
        "metadata": {"name": pod["metadata"]["name"]},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    try:
        api.request("POST", f"{path_of(pod)}/binding", {"apiVersion": "v1", "kind": "Binding", **binding})
    except ApiError as error:
        if error.status != 409:  # it has its node already
            raise


def run(api: KubeApi, pod: Mapping[str, Any], *, address: str = "127.0.0.1") -> None:
    """Its containers run and are ready."""
    state = {"running": {"startedAt": _now()}}
    ready = [_condition(kind, "True") for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
    _tell(
        api,
        pod,
        {
            "phase": "Running",
            "conditions": ready,
            "startTime": _now(),
            "hostIP": address,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "containerStatuses": _containers(pod, state, ready=True),
        },
    )


def end(
    api: KubeApi,
    pod: Mapping[str, Any],
    exit_code: int,
    *,
    reason: str | None = None,
    message: str = "",
    condition: Told | None = None,
    started: str | None = None,
) -> None:
    """Its evaluator ended. `message` is the termination message; `condition` a further one of the pod's."""
    terminated: dict[str, Any] = {
        "exitCode": exit_code,
        "reason": reason or ("Error" if exit_code else "Completed"),
        "startedAt": started or _now(),
        "finishedAt": _now(),
        "containerID": f"played://{pod['metadata']['uid']}",
    }
    if message:
        terminated["message"] = message
    why = "PodFailed" if exit_code else "PodCompleted"
    conditions = [_condition(kind, "False", why) for kind in ("ContainersReady", "Ready")]
    if condition:
        conditions.append(_condition(*condition))
    _tell(
        api,
        pod,
        {
            "phase": "Failed" if exit_code else "Succeeded",
            "conditions": conditions,
            "containerStatuses": _containers(pod, {"terminated": terminated}, ready=False),
        },
    )


def unschedulable(
    api: KubeApi, pod: Mapping[str, Any], message: str = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
) -> None:
    """The scheduler found no node for it."""
    _tell(api, pod, {"conditions": [_condition("PodScheduled", "False", "Unschedulable", message)]})


def waiting(api: KubeApi, pod: Mapping[str, Any], reason: str = "ImagePullBackOff", message: str = "") -> None:
    """It has its node and its container can't be started: ImagePullBackOff, ErrImagePull, InvalidImageName,
    CreateContainerConfigError, CreateContainerError, ContainerCreating."""
    schedule(api, pod)
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    unready = f"containers with unready status: [{program_of(pod)['name']}]"
    conditions = [_condition("PodScheduled", "True"), _condition("Ready", "False", "ContainersNotReady", unready)]
    statuses = _containers(pod, state, ready=False)
    _tell(api, pod, {"phase": "Pending", "conditions": conditions, "startTime": _now(), "containerStatuses": statuses})


def killed_by_memory(api: KubeApi, pod: Mapping[str, Any]) -> None:
    """The kernel killed its evaluator, which had gone over the container's memory."""
    play(api, pod, 137, reason="OOMKilled")


def evicted(
    api: KubeApi,
    pod: Mapping[str, Any],
    message: str = "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 20Mi.",
) -> None:
    """Its node's kubelet put it out, being short of something."""
    schedule(api, pod)
    run(api, pod)
    end(api, pod, 137, condition=("DisruptionTarget", "True", "TerminationByKubelet", message))
    _tell(api, pod, {"reason": "Evicted", "message": message})


def drain(api: KubeApi, pod: Mapping[str, Any]) -> None:
    """Its node is drained: asks the API server to evict it, as `kubectl drain` does. Who looks after the pod ends it:
    a kubelet stand-in, or the test with `end` and `forget`."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    api.request("POST", f"{path_of(pod)}/eviction", body)


def preempted(api: KubeApi, pod: Mapping[str, Any]) -> None:
    """A pod of a higher priority took its place: told and deleted by the scheduler, ended by the kubelet."""
    schedule(api, pod)
    run(api, pod)
    told = ("DisruptionTarget", "True", "PreemptionByScheduler", "preempting to accommodate a higher priority pod")
    _tell(api, pod, {"conditions": [_condition(*told)]})
    api.delete(path_of(pod))
    end(api, pod, 143)
    forget(api, pod)


def forget(api: KubeApi, pod: Mapping[str, Any]) -> None:
    """The kubelet has ended a deleted pod, and lets the object go."""
    api.delete(path_of(pod), gracePeriodSeconds="0")


def path_of(pod: Mapping[str, Any]) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _tell(api: KubeApi, pod: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    # The uid, so that a pod made anew under the same name is not told what befell its forerunner.
    body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
    api.patch(f"{path_of(pod)}/status", body, kind="strategic")


def _containers(pod: Mapping[str, Any], state: Mapping[str, Any], *, ready: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": ready,
            "started": ready,
            "restartCount": 0,
            "state": state,
        }
        for container in pod["spec"]["containers"]
    ]


def _condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    told = {"type": kind, "status": status, "lastTransitionTime": _now()}
    return {**told, **({"reason": reason} if reason else {}), **({"message": message} if message else {})}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
