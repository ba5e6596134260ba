"""The chart on a real API server: installed, upgraded, rolled back, uninstalled, installed again. No pod runs here, for
which tests/e2e is; but every object is what the API server made of it, admission included."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from chart.helm import NAMESPACE, PREVIOUS, SETS, documents, render
from chart.release import Release, there
from support.control_plane import ControlPlane
from support.kube_api import ApiError

CRDS = [f"{kind}.fineline.dev" for kind in ("checkpointevals", "checkpointsources", "trajectoryanalyses")]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/fineline-operator"
EVALUATIONS = "/apis/fineline.dev/v1alpha1/namespaces/evals/checkpointevals"
EVALUATION = {
    "apiVersion": "fineline.dev/v1alpha1",
    "kind": "CheckpointEval",
    "metadata": {"name": "kept", "namespace": "evals"},
    "spec": {"run": {"name": "run"}, "checkpoints": {"uri": "s3://evals/run/"}, "suite": {"name": "fine-line"}},
}


def kinds(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}


def test_every_object_of_every_set_of_values_is_taken(plane: ControlPlane, release: Release) -> None:
    """By server-side apply, as Helm does it; the API server refuses fields that it does not know."""
    release.install("defaults")
    rendered = [one for name in SETS for one in render(name).objects]
    # Those that several sets have in common, once.
    objects = list({json.dumps(one, sort_keys=True): one for one in rendered}.values())
    told = plane.apply(objects, "--dry-run=server").splitlines()
    assert len(told) == len(objects)
    assert all(line.endswith(" serverside-applied (server dry run)") for line in told)


@pytest.mark.parametrize("name", ["everything", "nothing-cluster-wide"])
def test_what_is_rendered_is_what_is_installed(name: str, release: Release) -> None:
    release.install(name)
    # The pod is there for `helm test` alone; the CRDs have a test of their own.
    wanted = {key: one for key, one in kinds(list(render(name).objects)).items() if key[0] != "Pod"}
    found = {key: one for key, one in kinds(release.objects()).items() if key[0] != "CustomResourceDefinition"}
    assert found.keys() == wanted.keys()
    for key, one in found.items():
        assert one["metadata"]["annotations"]["meta.helm.sh/release-name"] == "fineline", key
        assert covers(one, wanted[key]), key


def covers(there: Any, wanted: Any) -> bool:
    """Whether all that was wanted is there, beside what the API server adds."""
    if isinstance(wanted, dict):
        return all(covers(there.get(name), value) for name, value in wanted.items() if value not in ({}, [], None))
    if isinstance(wanted, list):
        return len(there) == len(wanted) and all(map(covers, there, wanted))
    return str(there) == str(wanted)


def test_an_upgrade_changes_what_changed_and_a_rollback_takes_it_back(plane: ControlPlane, release: Release) -> None:
    release.install("minimal")
    before = plane.admin.get(DEPLOYMENT)["spec"]
    release.upgrade("everything")
    assert plane.admin.get(DEPLOYMENT)["spec"]["replicas"] == 3
    assert plane.admin.find(f"/api/v1/namespaces/{NAMESPACE}/services/fineline-webhook")
    release.rollback(1)
    assert plane.admin.get(DEPLOYMENT)["spec"] == before
    assert not plane.admin.find(f"/api/v1/namespaces/{NAMESPACE}/services/fineline-webhook")
    assert plane.admin.find("/apis/rbac.authorization.k8s.io/v1/clusterroles/fineline-operator")


def test_uninstalling_leaves_crds_and_resources_and_nothing_else_and_it_comes_back(
    plane: ControlPlane, release: Release
) -> None:
    release.install("everything")
    plane.admin.create(EVALUATIONS, EVALUATION)
    made = [one for one in release.objects() if one["kind"] != "CustomResourceDefinition"]
    release.uninstall()
    assert len(made) > 15
    assert there(plane, yaml.safe_dump_all(made)) == []
    left = plane.kubectl("get", "all,configmaps,secrets,roles,rolebindings", "-n", NAMESPACE, "-o", "name").split()
    assert left == ["configmap/kube-root-ca.crt"]
    assert [plane.admin.get(f"{DEFINITIONS}/{name}")["metadata"]["name"] for name in CRDS] == CRDS
    release.install("minimal")
    assert plane.admin.get(f"{EVALUATIONS}/kept")["spec"]["run"] == {"name": "run"}
    plane.admin.delete(f"{EVALUATIONS}/kept")


def test_the_pod_of_a_helm_test_that_failed_stays_until_the_next_one(plane: ControlPlane, release: Release) -> None:
    """So that its log can be read; also where the release is uninstalled."""

    def pods() -> list[str]:
        return [one["metadata"]["uid"] for one in plane.admin.items(f"/api/v1/namespaces/{NAMESPACE}/pods")]

    release.install("minimal")
    with pytest.raises(RuntimeError, match="helm test"):
        release.test()
    (first,) = pods()
    release.uninstall()
    assert pods() == [first]
    release.install("minimal")
    with pytest.raises(RuntimeError, match="helm test"):
        release.test()
    (second,) = pods()
    assert second != first
    plane.kubectl("delete", "pod", "fineline-test", "-n", NAMESPACE, "--now")


def test_an_upgrade_from_the_chart_before_brings_the_new_crds_and_a_rollback_the_old_ones(
    plane: ControlPlane, release: Release
) -> None:
    def schemas(crds: Iterable[dict[str, Any]]) -> dict[str, Any]:
        return {crd["metadata"]["name"]: [one["schema"] for one in crd["spec"]["versions"]] for crd in crds}

    def wanted() -> dict[str, Any]:
        return schemas(one for one in documents(release.manifest()) if one["kind"] == "CustomResourceDefinition")

    def there_now() -> dict[str, Any]:
        return schemas(plane.admin.get(f"{DEFINITIONS}/{name}") for name in CRDS)

    release.install("minimal", chart=PREVIOUS)
    older = wanted()
    assert there_now() == older
    plane.admin.create(EVALUATIONS, EVALUATION)
    release.upgrade("minimal")
    assert there_now() == wanted() != older
    assert plane.admin.get(f"{EVALUATIONS}/kept")["spec"]["run"] == {"name": "run"}
    release.rollback(1)
    assert there_now() == older
    plane.admin.delete(f"{EVALUATIONS}/kept")


def test_crds_that_somebody_else_made_are_taken_over_only_when_asked(plane: ControlPlane, release: Release) -> None:
    plane.kubectl("delete", "crd", *CRDS, "--ignore-not-found")
    plane.install_crds()
    with pytest.raises(RuntimeError, match="invalid ownership metadata"):
        release.install("minimal")
    release.uninstall()
    release.install("minimal", "--take-ownership", "--force-conflicts")
    for name in CRDS:
        crd = plane.admin.get(f"{DEFINITIONS}/{name}")
        assert crd["metadata"]["annotations"]["meta.helm.sh/release-name"] == "fineline"
    release.upgrade("minimal")


def test_a_namespace_that_is_missing_is_named(release: Release) -> None:
    with pytest.raises(RuntimeError, match='namespaces "missing" not found'):
        release.install({"namespaces": ["missing"]})


@pytest.mark.parametrize("name", SETS)
def test_its_pods_pass_pod_security_restricted(name: str, plane: ControlPlane) -> None:
    """By the API server's own admission, in a namespace that enforces it; service accounts apart, which it asks for."""
    rendered = render(name)
    for kind, pod in (("operator", rendered.pod), ("test", rendered.one("Pod"))):
        spec = pod["spec"] | {"serviceAccountName": "default"}
        spec.pop("priorityClassName", None)
        body = {"metadata": {"generateName": f"{kind}-", "labels": pod["metadata"]["labels"]}, "spec": spec}
        plane.admin.create(f"/api/v1/namespaces/{NAMESPACE}/pods", body, dryRun="All")


def test_a_pod_with_more_power_would_not_pass(plane: ControlPlane) -> None:
    spec = render("defaults").pod["spec"] | {"serviceAccountName": "default"}
    del spec["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(ApiError, match='violates PodSecurity "restricted:latest": unrestricted capabilities'):
        plane.admin.create(
            f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": {"name": "strong"}, "spec": spec}, dryRun="All"
        )
