"""The values that tell what the chart makes around the operator's pods."""

from __future__ import annotations

from typing import Annotated

from chart.fields import Annotations, Duration, Free, Labels, Port, same
from pydantic import Field

from fineline.resources.fields import ObjectName, ResourceModel
from fineline_operator.settings import LeaseSettings

IN_CLUSTER: tuple[Free, ...] = ({"namespaceSelector": {}},)
"""Every pod of the cluster, as a peer of a NetworkPolicy."""


class DisruptionBudget(ResourceModel):
    """How many replicas a drained node may take at once."""

    enabled: bool = Field(True, description="Whether there is a PodDisruptionBudget for the operator's pods.")
    max_unavailable: Annotated[int, Field(ge=1, le=5)] = Field(
        1, description="So many of the operator's pods may be evicted at once; 0 would hold up every drain."
    )


class ServiceAccount(ResourceModel):
    """Who the operator is to the API server and to the cloud."""

    create: bool = Field(True, description="Whether the chart makes the operator's service account.")
    name: ObjectName = Field(
        "", description="Its name; needed where the chart does not make it. Default: that of the Deployment."
    )
    annotations: Annotations = Field(
        {},
        description="Its annotations: the cloud's identity that the operator acts as where a store has no "
        "`secretName`. The right to list and to get suffices. Default: none.",
    )


class Rbac(ResourceModel):
    """Rights: the operator's, and those of the cluster's people."""

    create: bool = Field(
        True,
        description="Whether the chart gives the operator its rights: everywhere, or with `namespaces` in these alone.",
    )
    aggregate: bool = Field(
        True,
        description="Whether who has the cluster's roles `view`, `edit` and `admin` may view and edit Fineline's "
        "resources too. Making one equals making pods in its namespace, with any image, volume and service account "
        "that is allowed there.",
    )


class HelmTest(ResourceModel):
    """The pod of `helm test`."""

    resources: Free = Field(
        {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        description="Its requests and limits, for quotas that ask for more of them.",
    )


class Crds(ResourceModel):
    """The custom resource definitions."""

    enabled: bool = Field(
        True,
        description="Whether the chart brings the definitions of Fineline's kinds, and updates them. They stay when "
        "the release is uninstalled, with every resource.",
    )


class NetworkPolicy(ResourceModel):
    """Who may talk to the operator's pods, and whom they may talk to."""

    enabled: bool = Field(
        True, description="Whether there is a NetworkPolicy for the operator's pods; some clusters ignore it."
    )
    metrics_from: tuple[Free, ...] = Field(
        IN_CLUSTER,
        description="Peers that may read /metrics and /healthz, as in a NetworkPolicy's `from`; `[]` for none but "
        "`helm test`. The kubelet's probes need no rule. Default: every pod of the cluster.",
        examples=[
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        ],
    )
    webhook_from: tuple[Free, ...] = Field(
        IN_CLUSTER,
        description="Peers that may reach the webhook; `[]` for none. A LoadBalancer or an Ingress controller in the "
        "host's network needs an `ipBlock`. Default: every pod of the cluster.",
        examples=[[{"ipBlock": {"cidr": "10.0.0.0/8"}}]],
    )
    api_server_ports: tuple[Port, ...] = Field(
        (443, 6443),
        description="Ports of the API server behind its Service, at any address.",
    )
    egress: tuple[Free, ...] = Field(
        (),
        description="Rules in place of the chart's own, as in a NetworkPolicy's `egress`. Default: DNS; the API "
        "server; port 443, for clouds' stores and queues; the ports of the endpoints in `stores` and `queues`; EKS's "
        "pod identity agent. Port 80, where an endpoint has it, is opened to all but the addresses of clouds' "
        "metadata. A proxy, or a Service whose pods listen at another port than its own, needs rules.",
        examples=[
            [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 6443}]},
                {
                    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}}}],
                    "ports": [{"port": 9000}],
                },
            ]
        ],
    )


class ServiceMonitor(ResourceModel):
    """How the Prometheus operator finds /metrics."""

    enabled: bool = Field(
        False, description="Whether there is a ServiceMonitor; needs the Prometheus operator's kinds."
    )
    interval: Duration = Field("", description="How often it is scraped. Default: Prometheus' own.")
    labels: Labels = Field({}, description="Labels by which your Prometheus finds it. Default: none but the chart's.")
    annotations: Annotations = Field({}, description="Its annotations. Default: none.")


class PrometheusRule(ResourceModel):
    """The alerts (docs/reference/operator-metrics.md)."""

    enabled: bool = Field(
        False, description="Whether there is a PrometheusRule; needs the Prometheus operator's kinds."
    )
    labels: Labels = Field({}, description="Labels by which your Prometheus finds it. Default: none but the chart's.")
    annotations: Annotations = Field({}, description="Its annotations. Default: none.")


class Dashboard(ResourceModel):
    """The Grafana dashboard."""

    enabled: bool = Field(False, description="Whether there is a ConfigMap with the dashboard, for Grafana's sidecar.")
    labels: Labels = Field({"grafana_dashboard": "1"}, description="Labels by which your Grafana's sidecar finds it.")
    annotations: Annotations = Field({}, description="Its annotations, such as the folder's. Default: none.")


class Monitoring(ResourceModel):
    """What others are told to watch."""

    service_monitor: ServiceMonitor = Field(ServiceMonitor(), description="How Prometheus finds /metrics.")
    prometheus_rule: PrometheusRule = Field(PrometheusRule(), description="The alerts.")
    dashboard: Dashboard = Field(Dashboard(), description="The Grafana dashboard.")


class Lease(ResourceModel):
    """By which one replica acts."""

    seconds: int = same(LeaseSettings, "seconds")
