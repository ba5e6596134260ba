"""The operator's Deployment, as the chart renders it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chart.helm import CHART, NAMESPACE, SETS, VALUES, Rendered, documents, render, run

NAMED = ("--set", "fullnameOverride=fineline,crds.enabled=false")
SELECTOR = {"app.kubernetes.io/name": "fineline-operator", "app.kubernetes.io/instance": "fineline"}


def pods(rendered: Rendered) -> list[dict[str, Any]]:
    """The specs of all pods that the release makes."""
    return [rendered.pod["spec"], *(pod["spec"] for pod in rendered.all("Pod"))]


@pytest.mark.parametrize("name", SETS)
def test_no_pod_has_more_power_than_it_needs(name: str) -> None:
    for spec in pods(render(name)):
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert spec["enableServiceLinks"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


@pytest.mark.parametrize("name", SETS)
def test_the_chart_makes_no_secret(name: str) -> None:
    assert render(name).all("Secret") == []


def test_two_replicas_on_two_nodes_where_there_are_two() -> None:
    rendered = render("defaults")
    assert rendered.one("Deployment")["spec"]["replicas"] == 2
    (constraint,) = rendered.pod["spec"]["topologySpreadConstraints"]
    assert constraint == {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": SELECTOR},
    }


def test_a_constraint_with_a_selector_keeps_it() -> None:
    first, second = render("everything").pod["spec"]["topologySpreadConstraints"]
    assert first["labelSelector"] == {"matchLabels": SELECTOR}
    assert second["labelSelector"] == {"matchLabels": {"app.kubernetes.io/part-of": "fineline"}}


def test_an_empty_selector_is_one() -> None:
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    assert render({"topologySpreadConstraints": [constraint]}).pod["spec"]["topologySpreadConstraints"] == [constraint]


def test_names_of_digits_alone_stay_texts() -> None:
    """Every one that there is in the set, and the release's and its namespace's."""
    done = run("template", "123", CHART, "--namespace", "789", "--values", VALUES / "digits.yaml", *NAMED)
    assert done.returncode == 0, done.stderr
    rendered = Rendered(documents(done.stdout))

    def texts(node: Any, path: str = "") -> Iterator[str]:
        if isinstance(node, dict):
            for name, child in node.items():
                assert isinstance(name, str), path
                yield from texts(child, f"{path}.{name}")
        elif isinstance(node, list):
            for child in node:
                yield from texts(child, path)
        elif path.endswith((".name", ".namespace", "Name", ".app.kubernetes.io/instance", ".49", ".51")):
            assert isinstance(node, str), path
            yield node

    found = {text for one in rendered.objects for text in texts(one)}
    assert found >= {"42", "43", "45", "46", "47", "48", "50", "1e3", "1", "123", "456", "789"}


def test_labels_of_people_are_on_every_object_and_never_replace_the_charts() -> None:
    rendered = render("everything")
    for metadata in (rendered.pod["metadata"], *(one["metadata"] for one in rendered.objects)):
        assert metadata["labels"]["example.org/cost"] == "7"
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "fineline"
        assert metadata["labels"].get("app.kubernetes.io/name") != "other"


def test_the_program_and_its_options() -> None:
    container = render("everything").container
    assert (container["name"], container["command"]) == ("operator", ["fineline-operator"])
    assert container["args"] == [
        "--settings=/etc/fineline/operator/operator.yaml",
        "--log-format=text",
        "--log-level=DEBUG",
    ]


def test_the_pod_knows_its_name_and_namespace() -> None:
    fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in render("defaults").container["env"]}
    assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


def test_the_probes_ask_for_the_process_alone() -> None:
    container = render("defaults").container
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
    liveness = container["livenessProbe"]
    # A loop that stands still says so after a minute; a slow node must not restart it before.
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60


def test_it_may_end_in_order() -> None:
    assert render("defaults").pod["spec"]["terminationGracePeriodSeconds"] == 30


def test_settings_and_secrets_are_whole_folders_so_that_changes_arrive() -> None:
    for mount in render("everything").container["volumeMounts"]:
        assert "subPath" not in mount
        assert mount.get("readOnly") or mount["mountPath"] == "/tmp"


def test_a_secret_that_several_stores_name_is_mounted_once() -> None:
    rendered = render("minio")
    secrets = [volume["secret"]["secretName"] for volume in rendered.pod["spec"]["volumes"] if "secret" in volume]
    assert sorted(secrets) == ["fineline-webhook", "minio"]


def test_without_secrets_none_is_mounted() -> None:
    volumes = render("eks").pod["spec"]["volumes"]
    assert [volume["name"] for volume in volumes] == ["settings", "temporary"]


def test_every_mount_has_its_volume() -> None:
    for name in SETS:
        rendered = render(name)
        mounts = {mount["name"] for mount in rendered.container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in rendered.pod["spec"]["volumes"]}


def test_where_the_pods_run_is_the_values() -> None:
    spec = render("everything").pod["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert spec["tolerations"] == [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}]
    assert "nodeAffinity" in spec["affinity"]
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    unset = render("bare").pod["spec"]
    further = {"nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets"}
    assert not (further | {"topologySpreadConstraints"}) & set(unset)


def test_what_is_added_to_the_container_is_there() -> None:
    rendered = render("everything")
    names = [one["name"] for one in rendered.container["env"]]
    assert names == ["POD_NAME", "POD_NAMESPACE", "AWS_CA_BUNDLE", "HTTPS_PROXY"]
    assert {"name": "ca", "mountPath": "/etc/fineline/ca", "readOnly": True} in rendered.container["volumeMounts"]
    assert {"name": "ca", "configMap": {"name": "internal-ca", "optional": True}} in rendered.pod["spec"]["volumes"]


def test_resources_are_the_values() -> None:
    assert render("defaults").container["resources"] == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"memory": "1Gi"},
    }
    assert "resources" not in render("bare").container


def test_the_test_pod_can_ask_for_what_a_quota_demands() -> None:
    for name, limits in (("defaults", {"memory": "128Mi"}), ("everything", {"cpu": "1", "memory": "64Mi"})):
        (container,) = render(name).one("Pod")["spec"]["containers"]
        assert container["resources"]["limits"] == limits


def test_labels_and_annotations_of_people_never_replace_those_it_is_found_by() -> None:
    evil = {"app.kubernetes.io/name": "other", "example.org/team": "research"}
    metadata = render({"podLabels": evil, "podAnnotations": {"checksum/settings": "1", "a": "b"}}).pod["metadata"]
    assert metadata["labels"].items() >= SELECTOR.items()
    assert metadata["labels"]["example.org/team"] == "research"
    assert len(metadata["annotations"].pop("checksum/settings")) == 64
    assert metadata["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    ("image", "named"),
    [
        ({}, "registry.example/fineline/operator:0.1.0"),
        ({"tag": "dev"}, "registry.example/fineline/operator:dev"),
        ({"digest": "sha256:" + "a" * 64}, "registry.example/fineline/operator@sha256:" + "a" * 64),
        ({"repository": "localhost:5000/operator", "tag": "1.0"}, "localhost:5000/operator:1.0"),
    ],
)
def test_an_image_is_named_by_tag_or_by_digest(image: dict[str, str], named: str) -> None:
    rendered = render({"images": {"operator": image}})
    assert rendered.container["image"] == named
    assert rendered.one("Pod")["spec"]["containers"][0]["image"] == named


def test_the_service_account_is_named_and_its_token_is_the_operators_alone() -> None:
    rendered = render("defaults")
    assert rendered.pod["spec"]["serviceAccountName"] == "fineline-operator"
    assert rendered.pod["spec"]["automountServiceAccountToken"] is True
    assert rendered.one("Pod")["spec"]["automountServiceAccountToken"] is False
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert render("nothing-cluster-wide").pod["spec"]["serviceAccountName"] == "fineline"


@pytest.mark.parametrize("name", SETS)
def test_whatever_finds_the_operators_pods_finds_them_and_no_other(name: str) -> None:
    rendered = render(name)
    labels = rendered.pod["metadata"]["labels"]
    selectors = [rendered.one("Deployment")["spec"]["selector"]["matchLabels"]]
    selectors += [service["spec"]["selector"] for service in rendered.all("Service")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in rendered.all("PodDisruptionBudget")]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in rendered.all("NetworkPolicy")]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= rendered.one("Pod")["metadata"]["labels"].items()


@pytest.mark.parametrize("name", SETS)
def test_every_object_has_kubernetes_recommended_labels_and_its_namespace(name: str) -> None:
    cluster_wide = {"ClusterRole", "ClusterRoleBinding"}
    for one in render(name).objects:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "fineline"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/instance"] == "fineline"
        assert labels["app.kubernetes.io/version"] == "0.1.0"
        assert labels["helm.sh/chart"] == "fineline-0.2.0"
        assert ("namespace" in one["metadata"]) == (one["kind"] not in cluster_wide)


@pytest.mark.parametrize(
    ("release", "override", "name"),
    [
        ("fineline", "", "fineline-operator"),
        ("prod", "", "prod-fineline-operator"),
        ("my-fineline-2", "", "my-fineline-2-operator"),
        ("a" * 53, "", "a" * 31 + "-fineline-operator"),
        ("fineline", "checkpoints", "checkpoints-operator"),
    ],
)
def test_names_start_with_the_release(release: str, override: str, name: str) -> None:
    found = render({"fullnameOverride": override}, release=release)
    assert found.one("Deployment")["metadata"]["name"] == name
    assert all(len(one["metadata"]["name"]) <= 63 for one in found.objects)


def test_the_test_pod_asks_where_the_services_are() -> None:
    (container,) = render("everything").one("Pod")["spec"]["containers"]
    assert container["args"] == [
        f"http://fineline-operator.{NAMESPACE}.svc:8080",
        f"http://fineline-webhook.{NAMESPACE}.svc:8081",
    ]
    assert render("defaults").one("Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"
