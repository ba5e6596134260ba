"""The API server's paths of what the operator touches."""

from __future__ import annotations

from typing import Literal

from fineline.resources.fields import GROUP, VERSION

Resource = Literal[
    "checkpointevals",
    "checkpointsources",
    "trajectoryanalyses",
    "jobs",
    "configmaps",
    "pods",
    "events",
    "namespaces",
    "workloads",
    "localqueues",
]

_FINELINE = f"/apis/{GROUP}/{VERSION}"
_KUEUE = "/apis/kueue.x-k8s.io/v1beta2"

_PREFIXES: dict[Resource, str] = {
    "checkpointevals": _FINELINE,
    "checkpointsources": _FINELINE,
    "trajectoryanalyses": _FINELINE,
    "jobs": "/apis/batch/v1",
    "configmaps": "/api/v1",
    "pods": "/api/v1",
    "events": "/api/v1",
    "namespaces": "/api/v1",
    "workloads": _KUEUE,
    "localqueues": _KUEUE,
}


def path_of(resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of an object, or of a collection where `name` is empty: of all namespaces without a `namespace`.

    Names are the API server's own, so none needs escaping.

    >>> path_of("checkpointevals", "evals", "amber", "status")
    '/apis/fineline.dev/v1alpha1/namespaces/evals/checkpointevals/amber/status'
    """
    path = (
        f"{_PREFIXES[resource]}/namespaces/{namespace}/{resource}" if namespace else f"{_PREFIXES[resource]}/{resource}"
    )
    return "/".join(part for part in (path, name, subresource) if part)


def resource_of(path: str) -> str:
    """The resource that a path is about, with its subresource: what RBAC and the metrics call it.

    >>> resource_of("/apis/fineline.dev/v1alpha1/namespaces/evals/checkpointevals/amber/status")
    'checkpointevals/status'
    """
    parts = path.split("?", 1)[0].strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    return "/".join([rest[0], *rest[2:3]]) if rest else ""
