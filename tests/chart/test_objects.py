"""What the chart makes around the operator's pods."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from chart.helm import CHART, SETS, Object, Rendered, render, template

KINDS = ["checkpointevals", "checkpointsources", "trajectoryanalyses"]
CRDS = [f"{kind}.fineline.dev" for kind in KINDS]


OPENSHIFTS_DNS = 5353
METADATA = ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe", "100.100.100.200", "168.63.129.16")
"""Where clouds' instances ask who they are."""


def reached(rules: list[Object], address: str, port: int) -> bool:
    """Whether a policy lets out to an address that is no pod's."""

    def within(block: str) -> bool:
        return ip_address(address) in ip_network(block)

    return any(
        "to" not in rule
        or any(
            within(peer["ipBlock"]["cidr"]) and not any(map(within, peer["ipBlock"].get("except", ())))
            for peer in rule["to"]
            if "ipBlock" in peer
        )
        for rule in rules
        if port in [one["port"] for one in rule["ports"]]
    )


def ports(rules: list[Object]) -> set[int]:
    """What a policy lets out to anywhere."""
    return {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}


def test_the_smallest_release_is_this() -> None:
    assert sorted(one["kind"] for one in render("bare").objects) == [
        "ClusterRole", "ClusterRole", "ClusterRole", "ClusterRoleBinding", "ConfigMap", "Deployment", "Pod", "Role",
        "RoleBinding", "Service", "ServiceAccount",
    ]  # fmt: skip


def test_where_others_look_after_the_cluster_nothing_is_cluster_wide() -> None:
    done = template("nothing-cluster-wide")
    assert sorted(one["kind"] for one in yaml.safe_load_all(done.stdout) if one) == [
        "ConfigMap", "Deployment", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Service",
    ]  # fmt: skip


def test_crds_stay_when_the_release_goes() -> None:
    rendered = render("defaults", crds=True)
    assert rendered.names("CustomResourceDefinition") == CRDS
    for crd in rendered.all("CustomResourceDefinition"):
        assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        (committed,) = yaml.safe_load_all((CHART / "files" / "crds" / f"{crd['metadata']['name']}.yaml").read_text())
        assert crd == committed


def test_the_budget_lets_one_go_at_a_time() -> None:
    spec = render("defaults").one("PodDisruptionBudget")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert render("everything").one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 2
    assert render("bare").all("PodDisruptionBudget") == []


# The network


def test_by_default_pods_of_the_cluster_come_in_at_the_metrics_alone() -> None:
    (metrics,) = render("defaults").one("NetworkPolicy")["spec"]["ingress"]
    assert metrics["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert {"namespaceSelector": {}} in metrics["from"]


def test_the_webhook_has_peers_of_its_own() -> None:
    metrics, webhook = render("everything").one("NetworkPolicy")["spec"]["ingress"]
    assert metrics["from"][1:] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert webhook["ports"] == [{"port": 9443, "protocol": "TCP"}]
    assert webhook["from"][1:] == [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]


@pytest.mark.parametrize("name", [name for name in SETS if name != "bare"])
def test_helm_test_always_comes_in(name: str) -> None:
    rendered = render(name)
    labels = rendered.one("Pod")["metadata"]["labels"]
    for rule in rendered.one("NetworkPolicy")["spec"]["ingress"]:
        assert rule["from"], "an empty list would let everybody in"
        assert rule["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", [name for name in SETS if name != "bare"])
def test_every_port_of_the_container_has_its_rule_and_no_other(name: str) -> None:
    rendered = render(name)
    rules = rendered.one("NetworkPolicy")["spec"]["ingress"]
    opened = [port["port"] for rule in rules for port in rule["ports"]]
    assert opened == [port["containerPort"] for port in rendered.container["ports"]]


def test_nobody_else_comes_in_where_no_peer_is_named() -> None:
    (metrics,) = render("locked").one("NetworkPolicy")["spec"]["ingress"]
    assert len(metrics["from"]) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("defaults", {443, 6443}),
        ("minio", {443, 6443, 9000}),
        ("air-gapped", {443, 6443}),
        ("gke", {443}),
        ("everything", {443, 16443, 9000, 9001, 9325}),
        ("file-store", {443, 6443}),
    ],
)
def test_the_operator_reaches_dns_the_api_server_and_the_stores(name: str, expected: set[int]) -> None:
    assert ports(render(name).one("NetworkPolicy")["spec"]["egress"]) == expected | {53, OPENSHIFTS_DNS}


def test_the_port_of_an_endpoint_in_ipv6_is_found() -> None:
    values = {"stores": [{"prefix": "s3://a/", "endpoint": "http://[fd00::1]:9000"}]}
    found = ports(render(values).one("NetworkPolicy")["spec"]["egress"])
    assert found == {53, OPENSHIFTS_DNS, 443, 6443, 9000}


def test_dns_is_asked_over_both_protocols() -> None:
    dns = render("defaults").one("NetworkPolicy")["spec"]["egress"][0]["ports"]
    assert {(one["port"], one["protocol"]) for one in dns} == {
        (port, protocol) for port in (53, OPENSHIFTS_DNS) for protocol in ("UDP", "TCP")
    }


def test_rules_of_ones_own_stand_in_the_place_of_the_charts() -> None:
    egress = render("locked").one("NetworkPolicy")["spec"]["egress"]
    assert [rule["to"][0]["ipBlock"]["cidr"] for rule in egress] == ["10.0.0.1/32", "10.0.0.2/32"]


@pytest.mark.parametrize("name", [name for name in SETS if name != "bare"])
def test_the_instances_metadata_is_never_open(name: str) -> None:
    egress = render(name).one("NetworkPolicy")["spec"]["egress"]
    assert [address for address in METADATA if reached(egress, address, 80)] == []


@pytest.mark.parametrize("name", ["eks", "air-gapped"])
def test_eks_pod_identity_agent_is_open_on_ipv4_and_on_ipv6(name: str) -> None:
    egress = render(name).one("NetworkPolicy")["spec"]["egress"]
    assert all(reached(egress, address, 80) for address in ("169.254.170.23", "fd00:ec2::23"))


@pytest.mark.parametrize(
    "values",
    [
        {"stores": [{"prefix": "s3://a/", "endpoint": "http://minio.internal"}]},
        {"stores": [{"prefix": "s3://a/", "endpoint": "http://minio.internal:80/path"}]},
        {"queues": [{"url": "http://sqs.internal/1/a"}]},
    ],
)
def test_an_endpoint_at_port_80_is_reached_wherever_it_is_but_there(values: dict[str, Any]) -> None:
    egress = render(values).one("NetworkPolicy")["spec"]["egress"]
    assert all(reached(egress, address, 80) for address in ("10.0.0.9", "203.0.113.7", "fd00::9", "2001:db8::7"))
    (within,) = [peer for rule in egress for peer in rule.get("to", ()) if "namespaceSelector" in peer]
    assert within == {"namespaceSelector": {}}, "network plugins differ in whether an ipBlock covers pods"
    assert [address for address in METADATA if reached(egress, address, 80)] == []
    assert 80 not in ports(egress)


# The webhook


def test_without_a_webhook_there_is_no_way_in() -> None:
    rendered = render("defaults")
    assert rendered.names("Service") == ["fineline-operator"]
    assert rendered.all("Ingress") == []
    assert [port["name"] for port in rendered.container["ports"]] == ["http"]


def test_the_webhooks_service_leads_to_its_port() -> None:
    rendered = render("webhook")
    service = rendered.one("Service", "fineline-webhook")
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["ports"] == [{"name": "webhook", "port": 443, "targetPort": "webhook"}]
    assert service["metadata"]["annotations"] == {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}
    assert {"name": "webhook", "containerPort": 8443} in rendered.container["ports"]


def test_the_ingress_leads_to_the_webhooks_service() -> None:
    spec = render("everything").one("Ingress")["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": ["events.example.org"], "secretName": "events-tls"}]
    (rule,) = spec["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == ("events.example.org", "/", "Prefix")
    assert path["backend"] == {"service": {"name": "fineline-webhook", "port": {"name": "webhook"}}}


def test_an_ingress_may_leave_tls_to_its_controller() -> None:
    spec = render("ingress").one("Ingress")["spec"]
    assert not {"tls", "ingressClassName"} & set(spec)


# Service accounts


def test_pods_of_evaluations_get_their_service_accounts() -> None:
    rendered = render("eks")
    assert rendered.names("ServiceAccount") == ["evals", "fineline-operator"]
    account = rendered.one("ServiceAccount", "evals")
    assert account["metadata"]["namespace"] == "evals"
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/evals"}
    assert account["automountServiceAccountToken"] is False
    own = rendered.one("ServiceAccount", "fineline-operator")
    assert own["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].endswith("role/fineline-operator")


def test_a_service_account_of_ones_own_has_the_rights() -> None:
    rendered = render({"serviceAccount": {"create": False, "name": "mine"}})
    assert rendered.all("ServiceAccount") == []
    for binding in rendered.all("RoleBinding") + rendered.all("ClusterRoleBinding"):
        assert [subject["name"] for subject in binding["subjects"]] == ["mine"]


# Monitoring


def test_nothing_needs_the_prometheus_operator_by_default() -> None:
    rendered = render("defaults")
    assert not {"ServiceMonitor", "PrometheusRule"} & {one["kind"] for one in rendered.objects}
    assert rendered.names("ConfigMap") == ["fineline-operator"]


def test_prometheus_scrapes_the_metrics_service_and_keeps_its_labels() -> None:
    rendered = render("everything")
    monitor = rendered.one("ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "http", "path": "/metrics", "honorLabels": True, "interval": "1m30s"}
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    selected = [
        one["metadata"]["name"] for one in rendered.all("Service") if selector <= one["metadata"]["labels"].items()
    ]
    assert selected == ["fineline-operator"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    job = rendered.one("Service", "fineline-operator")["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    assert job == "fineline-operator"


def test_a_label_by_which_prometheus_finds_it_wins() -> None:
    values = {"monitoring": {"serviceMonitor": {"enabled": True, "labels": {"app.kubernetes.io/part-of": "stack"}}}}
    assert render(values).one("ServiceMonitor")["metadata"]["labels"]["app.kubernetes.io/part-of"] == "stack"


def test_the_alerts_are_those_of_the_file_braces_and_all() -> None:
    rule = render("monitoring").one("PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())
    assert "{{ $labels.namespace }}" in json.dumps(rule)


def test_the_dashboard_is_that_of_the_file_and_grafana_finds_it() -> None:
    found = render("monitoring").one("ConfigMap", "fineline-dashboard")
    assert found["data"] == {"fineline.json": (CHART / "monitoring" / "dashboard.json").read_text()}
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Fineline"}


# Rights


def rights(rendered: Rendered, kind: str, name: str) -> list[tuple[str | None, Any]]:
    """Namespace and rules of the roles of this name."""
    roles = [one for one in rendered.all(kind) if one["metadata"]["name"] == name]
    return [(one["metadata"].get("namespace"), one["rules"]) for one in roles]


def own_rules() -> dict[str, Any]:
    """The operator's own file."""
    text = (CHART.parents[1] / "operator" / "fineline_operator" / "rbac.yaml").read_text()
    return {document["kind"]: document["rules"] for document in yaml.safe_load_all(text) if "rules" in document}


def test_everywhere_the_rights_are_those_of_the_operators_own_file() -> None:
    rendered, own = render("defaults"), own_rules()
    assert rights(rendered, "ClusterRole", "fineline-operator") == [(None, own["ClusterRole"])]
    assert rights(rendered, "Role", "fineline-operator-lease") == [("fineline-system", own["Role"])]
    assert rendered.names("Role") == ["fineline-operator-lease"]


def test_for_some_namespaces_they_are_given_there_and_nowhere_else() -> None:
    rendered, own = render("namespaced"), own_rules()
    assert rendered.all("ClusterRole") == rendered.all("ClusterRoleBinding") == []
    assert rights(rendered, "Role", "fineline-operator") == [
        ("evals", own["ClusterRole"]),
        ("fineline-system", own["ClusterRole"]),
    ]
    assert rights(rendered, "Role", "fineline-operator-lease") == [("fineline-system", own["Role"])]


@pytest.mark.parametrize("name", SETS)
def test_each_binding_binds_the_role_beside_it_to_the_operator(name: str) -> None:
    rendered = render(name)
    account = rendered.pod["spec"]["serviceAccountName"]
    for kind in ("Role", "ClusterRole"):
        for binding in rendered.all(f"{kind}Binding"):
            metadata = binding["metadata"]
            assert binding["roleRef"] == {
                "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": metadata["name"]
            }  # fmt: skip
            namespaces = [where for where, _ in rights(rendered, kind, metadata["name"])]
            assert metadata.get("namespace") in namespaces
            assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "fineline-system"}]


def test_the_lease_of_a_release_by_another_name_is_its_own() -> None:
    (rules,) = [rules for _, rules in rights(render("bare"), "Role", "checkpoints-operator-lease")]
    assert rules[1]["resourceNames"] == ["checkpoints-operator"]


@pytest.mark.parametrize("name", SETS)
def test_nobody_gets_a_right_on_secrets_or_a_wildcard(name: str) -> None:
    rendered = render(name)
    for role in rendered.all("Role") + rendered.all("ClusterRole"):
        for rule in role["rules"]:
            assert not {"secrets", "*"} & {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}


def test_peoples_roles_are_added_to_the_clusters_own() -> None:
    rendered = render("defaults")
    view, edit = (rendered.one("ClusterRole", f"fineline-{what}") for what in ("view", "edit"))
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {key for key in view["metadata"]["labels"] if key.startswith(prefix)} == {f"{prefix}view"}
    assert {key for key in edit["metadata"]["labels"] if key.startswith(prefix)} == {f"{prefix}edit", f"{prefix}admin"}
    for role in (view, edit):
        assert role["rules"][0]["resources"] == KINDS
    assert view["rules"][0]["verbs"] == ["get", "list", "watch"]
    assert render("namespaced").names("ClusterRole") == []
