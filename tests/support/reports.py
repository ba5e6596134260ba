"""CheckpointEvals on a cluster as an operator would have left them: made, and their status written, by the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.control_plane import ControlPlane
from support.evaluations import evaluation_values
from support.kube_api import KubeApi

SINCE = "2026-01-01T12:00:00Z"


def path(namespace: str, name: str = "") -> str:
    """Where the API has them."""
    collection = f"/apis/fineline.dev/v1alpha1/namespaces/{namespace}/checkpointevals"
    return f"{collection}/{name}" if name else collection


def make(
    api: KubeApi, namespace: str, name: str, status: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Makes one, with this status if any; the object as it is then."""
    values = evaluation_values(checkpoints__uri="s3://pretrain/tiny/", **spec) | {"metadata": {"name": name}}
    made = api.create(path(namespace), values)
    return made if status is None else report(api, namespace, name, status)


def report(api: KubeApi, namespace: str, name: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the status, through its own subresource."""
    return api.patch(f"{path(namespace, name)}/status", {"status": status})


def allowed(plane: ControlPlane, namespace: str, *verbs: str) -> Path:
    """The kubeconfig of somebody who may do this with CheckpointEvals, and nothing else."""
    api = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": ["fineline.dev"], "resources": ["checkpointevals"], "verbs": verbs}]
    plane.admin.create(f"{api}/roles", {"metadata": {"name": "allowed"}, "rules": rules})
    plane.admin.create(
        f"{api}/rolebindings",
        {
            "metadata": {"name": "allowed"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "allowed"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        },
    )
    return plane.kubeconfig_for(namespace, "default")


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}


def running(published: int = 288, failed: int = 2, of: int = 384, **more: Any) -> dict[str, Any]:
    """The status of one that is at work."""
    return _status(
        [
            condition("Planned", "True", "Planned", "36 checkpoints, 504 units"),
            condition("Succeeded", "Unknown", "Running", "4 pods are at work"),
            condition("Stalled", "False", "Running"),
        ],
        published,
        failed,
        of,
        **more,
    )


def succeeded(of: int = 384, **more: Any) -> dict[str, Any]:
    """The status of one that ended well."""
    ended = [condition("Succeeded", "True", "Succeeded", "all units"), condition("Stalled", "False", "Succeeded")]
    return _status(ended, of, 0, of, **more)


def failed(failed: int = 2, of: int = 384, message: str = "some units failed", **more: Any) -> dict[str, Any]:
    """The status of one that ended badly."""
    ended = [
        condition("Succeeded", "False", "SomeUnitsFailed", message),
        condition("Stalled", "True", "SomeUnitsFailed", message),
    ]
    return _status(ended, of - failed, failed, of, **more)


def stalled(reason: str = "StoreNotAllowed", message: str = "no store is allowed") -> dict[str, Any]:
    """The status of one that waits for a person before it has a plan."""
    return {
        "conditions": [
            condition("Succeeded", "Unknown", reason, message),
            condition("Stalled", "True", reason, message),
        ]
    }


def _status(
    conditions: Sequence[Mapping[str, Any]], published: int, failed: int, of: int, **more: Any
) -> dict[str, Any]:
    return {
        "observedGeneration": 1,
        "conditions": list(conditions),
        "plan": {"digest": "a" * 64, "checkpoints": 36, "units": of + 120, "reused": 120, "slices": 4},
        "progress": {"published": published, "failed": failed, "of": of, "text": f"{published + failed}/{of}"},
        **more,
    }
