"""What the operator may do under an installed chart, as `kubectl auth can-i --list` tells it."""

from __future__ import annotations

from collections.abc import Callable

from chart.helm import NAMESPACE

OPERATOR = f"system:serviceaccount:{NAMESPACE}:fineline-operator"

# What every service account may do.
EVERYBODY = {
    "create selfsubjectreviews.authentication.k8s.io",
    "create selfsubjectaccessreviews.authorization.k8s.io",
    "create selfsubjectrulesreviews.authorization.k8s.io",
}
FOR_RESOURCES = {
    "get,list,watch,create,delete checkpointevals.fineline.dev",
    "get,list,watch,patch checkpointsources.fineline.dev",
    "get,list,watch trajectoryanalyses.fineline.dev",
    "patch checkpointevals.fineline.dev/status",
    "patch checkpointsources.fineline.dev/status",
    "patch trajectoryanalyses.fineline.dev/status",
    "get,list,watch,create,patch,delete jobs.batch",
    "get,create configmaps",
    "list pods",
    "get namespaces",
    "create events",
    "list,patch workloads.kueue.x-k8s.io",
    "get localqueues.kueue.x-k8s.io",
}
FOR_THE_LEASE = {"create leases.coordination.k8s.io", "get,update leases.coordination.k8s.io [fineline-operator]"}


def allowed(kubectl: Callable[..., str], namespace: str) -> set[str]:
    """`kubectl auth can-i --list` as the operator: verbs, resource and names. Addresses that are no resources, such as
    /healthz, are everybody's."""
    found = set()
    told = kubectl("auth", "can-i", "--list", f"--as={OPERATOR}", "--namespace", namespace)
    for line in told.splitlines()[1:]:
        resource, _, rest = line.partition(" ")
        _, _, names, verbs = (part.strip(" ]") for part in rest.split("["))
        if resource:
            found.add(f"{verbs.replace(' ', ',')} {resource}{f' [{names}]' if names else ''}")
    return found
