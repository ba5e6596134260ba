"""The operator's examples are what a person starts with: an API server and the operator take them as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from fineline.plan import uris_of
from fineline.resources import read_resources
from fineline_operator.settings import OperatorSettings, read_settings
from fineline_operator.stores import not_allowed
from support.control_plane import REPOSITORY, ControlPlane
from support.operator import ACCOUNT, rbac_documents

EXAMPLES = REPOSITORY / "examples" / "operator"
REFERENCE = REPOSITORY / "docs" / "reference" / "operator-settings.yaml"
HOME = "fineline-system"


def deployment(namespace: str = HOME) -> dict[str, dict[str, Any]]:
    """The documents of deployment.yaml by kind, put into a namespace."""
    documents = list(yaml.safe_load_all((EXAMPLES / "deployment.yaml").read_text()))
    for document in documents:
        assert document["metadata"]["namespace"] == HOME
        document["metadata"]["namespace"] = namespace
    return {document["kind"]: document for document in documents}


@pytest.fixture
def restricted(cluster: ControlPlane, namespace: str) -> Iterator[str]:
    """A namespace with the operator's account, in which only pods of the strictest Pod Security may run."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.admin.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})
    roles = rbac_documents(namespace)
    cluster.apply(roles)
    yield namespace
    for role in roles:
        if role["kind"].startswith("Cluster"):
            plural = role["kind"].lower() + "s"
            cluster.admin.delete(f"/apis/rbac.authorization.k8s.io/v1/{plural}/{role['metadata']['name']}")


def test_the_api_server_takes_the_deployment(cluster: ControlPlane, restricted: str) -> None:
    documents = "\n---\n".join(map(json.dumps, deployment(restricted).values()))

    said = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", given=documents)

    assert said.splitlines() == [
        "configmap/fineline-operator created (server dry run)",
        "deployment.apps/fineline-operator created (server dry run)",
    ]


def test_the_operators_pods_may_run_under_the_strictest_pod_security(cluster: ControlPlane, restricted: str) -> None:
    template = deployment(restricted)["Deployment"]["spec"]["template"]
    pod = {"metadata": {"name": "operator"} | template["metadata"], "spec": template["spec"]}

    made = cluster.admin.create(f"/api/v1/namespaces/{restricted}/pods", pod, dryRun="All")

    assert made["spec"]["serviceAccountName"] == ACCOUNT


def test_the_deployment_mounts_what_its_settings_name(tmp_path: Path) -> None:
    documents = deployment()
    file = tmp_path / "operator.yaml"
    file.write_text(documents["ConfigMap"]["data"]["operator.yaml"])
    settings = read_settings(file)
    (container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}

    assert {store.credentials for store in settings.stores} <= mounted
    assert container["args"] == ["--settings=/etc/fineline/operator/operator.yaml"]
    assert container["ports"] == [{"name": "http", "containerPort": settings.health_port}]


def test_the_queue_covers_what_the_evaluators_pods_always_request() -> None:
    (queue,) = (
        document
        for document in yaml.safe_load_all((EXAMPLES / "queue.yaml").read_text())
        if document["kind"] == "ClusterQueue"
    )
    (group,) = queue["spec"]["resourceGroups"]

    assert {"ephemeral-storage", "nvidia.com/gpu"} <= set(group["coveredResources"])
    assert [item["name"] for item in group["flavors"][0]["resources"]] == group["coveredResources"]


def test_the_first_evaluation_may_be_made_with_the_settings_of_the_first_try(
    cluster: ControlPlane, namespace: str
) -> None:
    settings = read_settings(EXAMPLES / "settings.yaml")
    (evaluation,) = read_resources(EXAMPLES / "first.yaml").evals
    assert settings.results is not None
    assert not_allowed(uris_of(evaluation.spec, settings.results, settings.datasets), "default", settings) is None

    told = cluster.kubectl("apply", "--dry-run=server", "-n", namespace, "-f", str(EXAMPLES / "first.yaml"))
    assert told.strip() == "checkpointeval.fineline.dev/first created (server dry run)"


@pytest.mark.parametrize(("name", "made"), [("source", "checkpointsource"), ("analysis", "trajectoryanalysis")])
def test_the_api_server_takes_the_source_and_the_analysis(
    cluster: ControlPlane, namespace: str, name: str, made: str
) -> None:
    file = EXAMPLES / f"{name}.yaml"
    known = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", str(file))
    assert known.startswith(f"{made}.fineline.dev/")


def test_the_source_and_the_analysis_name_the_stores_of_the_deployment(tmp_path: Path) -> None:
    file = tmp_path / "operator.yaml"
    file.write_text(deployment()["ConfigMap"]["data"]["operator.yaml"])
    settings = read_settings(file)
    (source,) = read_resources(EXAMPLES / "source.yaml", needed="CheckpointSource").sources
    (analysis,) = read_resources(EXAMPLES / "analysis.yaml", needed="TrajectoryAnalysis").analyses
    named = [("spec.uri", source.spec.uri), ("spec.results", str(analysis.spec.results))]
    assert source.spec.template.results == analysis.spec.results
    assert not_allowed(named, "evals", settings) is None
    assert settings.analysis is not None


def test_the_example_of_the_reference_page_shows_every_setting() -> None:
    read_settings(REFERENCE)
    values = yaml.safe_load(REFERENCE.read_text())

    assert fields_of(values) == fields_in(OperatorSettings)


def fields_of(values: Mapping[str, Any], path: str = "") -> set[str]:
    """The paths of the settings that are given, down to free values."""
    found = set()
    for name, value in values.items():
        found.add(f"{path}{name}")
        if name == "template":
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                found |= fields_of(item, f"{path}{name}.")
    return found


def fields_in(model: type[BaseModel], path: str = "") -> set[str]:
    """The paths of the settings that there are."""
    found = set()
    for name, field in model.model_fields.items():
        called = f"{path}{field.alias or name}"
        found.add(called)
        arguments = (field.annotation, *getattr(field.annotation, "__args__", ()))
        for inner in arguments:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= fields_in(inner, f"{called}.")
    return found
