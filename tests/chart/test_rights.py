"""What the operator may do, as the API server sees it, under an installed chart; and what people get."""

from __future__ import annotations

from chart.allowed import EVERYBODY, FOR_RESOURCES, FOR_THE_LEASE, OPERATOR, allowed
from chart.helm import NAMESPACE
from chart.release import Release
from support.control_plane import ControlPlane


def test_everywhere_it_may_do_this_and_nothing_else_least_of_all_read_secrets(
    plane: ControlPlane, release: Release
) -> None:
    release.install("minimal")
    assert allowed(plane.kubectl, "other") == EVERYBODY | FOR_RESOURCES
    assert allowed(plane.kubectl, NAMESPACE) == EVERYBODY | FOR_RESOURCES | FOR_THE_LEASE
    for namespace in (NAMESPACE, "evals"):
        asked = ("auth", "can-i", "get", "secrets", f"--as={OPERATOR}", "--namespace", namespace)
        assert plane.kubectl(*asked, check=False).startswith("no")


def test_for_some_namespaces_it_may_do_this_there_and_nothing_elsewhere(plane: ControlPlane, release: Release) -> None:
    release.install({"namespaces": ["evals"]})
    assert allowed(plane.kubectl, "evals") == EVERYBODY | FOR_RESOURCES
    assert allowed(plane.kubectl, NAMESPACE) == EVERYBODY | FOR_THE_LEASE
    assert allowed(plane.kubectl, "other") == EVERYBODY


def test_without_rbac_it_may_do_nothing(plane: ControlPlane, release: Release) -> None:
    release.install({"rbac": {"create": False}})
    assert allowed(plane.kubectl, NAMESPACE) == allowed(plane.kubectl, "evals") == EVERYBODY


def test_people_get_their_rights_by_the_clusters_own_roles(plane: ControlPlane, release: Release) -> None:
    """No controller adds them up here: the labels and rules are what Kubernetes' own would."""
    release.install("defaults")
    for name in ("view", "edit"):
        role = plane.admin.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/fineline-{name}")
        aggregating = plane.admin.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")["aggregationRule"]
        for selector in aggregating["clusterRoleSelectors"]:
            assert selector["matchLabels"].items() <= role["metadata"]["labels"].items()
