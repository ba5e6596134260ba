"""What the operator may do, as the API server sees it, under an installed chart; and what people get."""

from __future__ import annotations

from chart.helm import NAMESPACE
from chart.release import Release
from support.control_plane import ControlPlane

USER = f"system:serviceaccount:{NAMESPACE}:fineline-operator"

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


def rights(plane: ControlPlane, namespace: str) -> set[str]:
    """`kubectl auth can-i --list` as the operator: verbs, resource and names. Addresses that are no resources, such as
    /healthz, are everybody's."""
    found = set()
    told = plane.kubectl("auth", "can-i", "--list", f"--as={USER}", "--namespace", namespace)
    for line in told.splitlines()[1:]:
        resource, _, rest = line.partition(" ")
        _, _, names, verbs = (part.strip(" ]") for part in rest.split("["))
        if resource:
            found.add(f"{verbs.replace(' ', ',')} {resource}{f' [{names}]' if names else ''}")
    return found


def test_everywhere_it_may_do_this_and_nothing_else_least_of_all_read_secrets(
    plane: ControlPlane, release: Release
) -> None:
    release.install("minimal")
    assert rights(plane, "other") == EVERYBODY | FOR_RESOURCES
    assert rights(plane, NAMESPACE) == EVERYBODY | FOR_RESOURCES | FOR_THE_LEASE
    for namespace in (NAMESPACE, "evals"):
        asked = ("auth", "can-i", "get", "secrets", f"--as={USER}", "--namespace", namespace)
        assert plane.kubectl(*asked, check=False).startswith("no")


def test_for_some_namespaces_it_may_do_this_there_and_nothing_elsewhere(plane: ControlPlane, release: Release) -> None:
    release.install({"namespaces": ["evals"]})
    assert rights(plane, "evals") == EVERYBODY | FOR_RESOURCES
    assert rights(plane, NAMESPACE) == EVERYBODY | FOR_THE_LEASE
    assert rights(plane, "other") == EVERYBODY


def test_without_rbac_it_may_do_nothing(plane: ControlPlane, release: Release) -> None:
    release.install({"rbac": {"create": False}})
    assert rights(plane, NAMESPACE) == rights(plane, "evals") == EVERYBODY


def test_people_get_their_rights_by_the_clusters_own_roles(plane: ControlPlane, release: Release) -> None:
    """No controller adds them up here: the labels and rules are what Kubernetes' own would."""
    release.install("defaults")
    for name in ("view", "edit"):
        role = plane.admin.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/fineline-{name}")
        aggregating = plane.admin.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")["aggregationRule"]
        for selector in aggregating["clusterRoleSelectors"]:
            assert selector["matchLabels"].items() <= role["metadata"]["labels"].items()
