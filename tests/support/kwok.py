"""kwok: a program that plays nodes and pods for tests with many of them.

A pod with `nodeName: kwok-node` in its spec runs and is done at once, with exit code 0; a deleted one is gone at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from support.control_plane import ControlPlane
from support.processes import Server

NODE = "kwok-node"

# In one step from Pending to Succeeded: a pod costs the API server one write, so that the operator is what is measured.
_SUCCEEDED = """
{{ $now := Now }}
conditions:
- {type: PodScheduled, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "False", reason: PodCompleted, lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: false
  restartCount: 0
  state:
    terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}
{{ end }}
phase: Succeeded
startTime: {{ $now | Quote }}
"""
_NODE_READY = """
{{ $now := Now }}
conditions:
- {type: Ready, status: "True", reason: KubeletReady, lastTransitionTime: {{ $now | Quote }},
   lastHeartbeatTime: {{ $now | Quote }}}
phase: Running
"""


@contextlib.contextmanager
def kwok(
    binary: Path, plane: ControlPlane, folder: Path, *, stages: Sequence[Mapping[str, Any]] | None = None
) -> Iterator[Server]:
    """kwok against a control plane, with one node, until the end of the block.

    `stages` replaces what it does to pods: `Stage` objects of kwok.x-k8s.io/v1alpha1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {"podPlayStageParallelism": 16, "nodePlayStageParallelism": 1},
    }
    config = folder / "kwok.yaml"
    config.write_text(yaml.safe_dump_all([settings, _node_stage(), *(pod_stages() if stages is None else stages)]))
    node: dict[str, Any] = {"metadata": {"name": NODE, "labels": {"type": "kwok"}}}
    command: list[str | Path] = [
        binary,
        f"--kubeconfig={plane.kubeconfig}",
        f"--config={config}",
        f"--manage-single-node={NODE}",
        "--node-ip=127.0.0.1",
    ]
    server = Server("kwok", command, folder / "kwok.log", environment={"HOME": str(folder)})
    plane.admin.create("/api/v1/nodes", node)
    server.start()
    try:
        server.wait_until(lambda: _is_ready(plane))
        yield server
    finally:
        server.end(at_once=True)
        plane.admin.delete(f"/api/v1/nodes/{NODE}")


def pod_stages(*, seconds: float = 0) -> list[dict[str, Any]]:
    """Pods succeed so many seconds after they were made, and are gone when they are deleted."""
    succeed: dict[str, Any] = {
        "selector": {
            "matchExpressions": [
                {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
            ]
        },
        "next": {"statusTemplate": _SUCCEEDED},
    }
    if seconds:
        succeed["delay"] = {"durationMilliseconds": round(seconds * 1000)}
    go: dict[str, Any] = {
        "selector": {"matchExpressions": [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}]},
        "next": {"delete": True},
    }
    return [_stage("Pod", "pod-succeed", succeed), _stage("Pod", "pod-go", go)]


def _node_stage() -> dict[str, Any]:
    unready = {
        "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
        "operator": "NotIn",
        "values": ["True"],
    }
    return _stage(
        "Node",
        "node-ready",
        {"selector": {"matchExpressions": [unready]}, "next": {"statusTemplate": _NODE_READY}},
    )


def _stage(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {"resourceRef": {"apiGroup": "v1", "kind": kind}, **spec},
    }


def _is_ready(plane: ControlPlane) -> bool:
    node = plane.admin.get(f"/api/v1/nodes/{NODE}")
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in node.get("status", {}).get("conditions", [])
    )
