"""The chart's values: this model is the one definition, of which values.yaml, values.schema.json and the chart's README
are made (`make generate`).

What is a setting of the operator's as well is taken from fineline_operator.settings, with its bounds and its words. A
credential is never a value: values name Secrets, which are mounted. `""` stands for a text that is not given.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from chart.cluster_values import (
    Crds,
    DisruptionBudget,
    HelmTest,
    Lease,
    Monitoring,
    NetworkPolicy,
    Rbac,
    ServiceAccount,
)
from chart.fields import Annotations, DnsLabel, Free, Labels, NameStart, same
from chart.work_values import Analysis, Evaluator, Images, PullSecret, Queue, Store, Webhook, Workload
from pydantic import Field

from fineline.resources.fields import AbsoluteUri, ObjectName, ResourceModel
from fineline_operator.settings import OperatorSettings


class Values(ResourceModel):
    """Values of the chart fineline."""

    images: Images = Field(Images(), description="Where the three images are.", json_schema_extra={"part": "Images"})
    image_pull_secrets: tuple[PullSecret, ...] = Field(
        (),
        description="Secrets with the registry's credentials, for the operator's pods. For evaluations and analyses "
        "name them in `evaluator.template` and `analysis.template`: they must be in the pods' own namespaces. "
        "Default: none.",
        examples=[[{"name": "registry"}]],
    )

    stores: tuple[Store, ...] = same(
        OperatorSettings,
        "stores",
        default=(),
        json_schema_extra={"part": "Stores: what resources may name, and where things go"},
        examples=[
            [
                {"prefix": "s3://pretrain/", "region": "eu-central-1"},
                {
                    "prefix": "s3://evals/",
                    "endpoint": "https://minio.internal:9000",
                    "region": "us-east-1",
                    "secretName": "fineline-evals",
                    "namespaces": ["evals"],
                },
            ]
        ],
    )
    results: AbsoluteUri = same(OperatorSettings, "results", default="", examples=["s3://evals/results/"])
    datasets: AbsoluteUri = same(OperatorSettings, "datasets", default="", examples=["s3://mirror/"])
    queues: tuple[Queue, ...] = same(
        OperatorSettings,
        "queues",
        default=(),
        examples=[
            [
                {
                    "url": "https://sqs.eu-central-1.amazonaws.com/123456789012/fineline-uploads",
                    "secretName": "fineline-queue",
                    "namespaces": ["evals"],
                }
            ]
        ],
    )
    webhook: Webhook = Field(Webhook(), description="Where object stores may tell of uploads; without it sources poll.")

    namespaces: tuple[DnsLabel, ...] = Field(
        (),
        description="Namespaces whose resources it looks after, and in which alone it has rights; they must exist. "
        "Default: all.",
        examples=[["evals", "research"]],
        json_schema_extra={"part": "Evaluations and analyses", "uniqueItems": True},
    )
    workloads: tuple[Workload, ...] = Field(
        (),
        description="Service accounts for the pods of evaluations and analyses, where these reach the store by the "
        "cloud's workload identity. No token of the API server is mounted. Default: none.",
        examples=[
            [
                {
                    "namespace": "evals",
                    "serviceAccountName": "evals",
                    "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/evals"},
                }
            ]
        ],
    )
    evaluator: Evaluator = Field(Evaluator(), description="What the pods of all evaluations have in common.")
    analysis: Analysis = Field(Analysis(), description="What the pods of all analyses have in common.")
    max_active: int = same(OperatorSettings, "max_active")

    replicas: Annotated[int, Field(ge=1, le=5)] = Field(
        2,
        description="The operator's pods; one acts, the others wait for its Lease.",
        json_schema_extra={"part": "The operator's pods"},
    )
    resources: Free = Field(
        {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        description="The operator's requests and limits; some thousand CheckpointEvals take well under half of that.",
    )
    node_selector: Labels = Field({}, description="Labels of the nodes that the operator's pods run on. Default: any.")
    tolerations: tuple[Free, ...] = Field((), description="Taints that the operator's pods bear with. Default: none.")
    affinity: Free = Field({}, description="The operator's pods' affinity, as in pods. Default: none.")
    topology_spread_constraints: tuple[Free, ...] = Field(
        ({"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"},),
        description="How the operator's pods are spread, as in pods; a constraint without a `labelSelector` counts the "
        "operator's pods.",
    )
    priority_class_name: ObjectName = Field(
        "",
        description="The operator's pods' PriorityClass. Default: the cluster's own.",
        examples=["system-cluster-critical"],
    )
    pod_annotations: Annotations = Field(
        {}, description="Annotations of the operator's pods. Default: none but the chart's."
    )
    pod_labels: Labels = Field({}, description="Labels of the operator's pods. Default: none but the chart's.")
    extra_env: tuple[Free, ...] = Field(
        (),
        description="Further variables of the operator, as in containers: proxies, a CA bundle. Never credentials. "
        "Default: none.",
        examples=[[{"name": "AWS_CA_BUNDLE", "value": "/etc/fineline/ca/ca.crt"}]],
    )
    extra_volumes: tuple[Free, ...] = Field(
        (),
        description="Further volumes of the operator's pods, as in pods: a CA bundle, the folder of a `file:///` "
        "store. Default: none.",
        examples=[[{"name": "ca", "configMap": {"name": "internal-ca"}}]],
    )
    extra_volume_mounts: tuple[Free, ...] = Field(
        (),
        description="Where these are mounted, as in containers. Default: none.",
        examples=[[{"name": "ca", "mountPath": "/etc/fineline/ca", "readOnly": True}]],
    )
    pod_disruption_budget: DisruptionBudget = Field(
        DisruptionBudget(), description="How many of the operator's pods a drained node may take at once."
    )

    service_account: ServiceAccount = Field(
        ServiceAccount(),
        description="Who the operator is to the API server and to the cloud.",
        json_schema_extra={"part": "What the chart makes on the cluster"},
    )
    rbac: Rbac = Field(Rbac(), description="Rights: the operator's, and those of the cluster's people.")
    crds: Crds = Field(Crds(), description="The definitions of Fineline's kinds.")
    network_policy: NetworkPolicy = Field(
        NetworkPolicy(), description="Who may talk to the operator's pods, and whom they may talk to."
    )
    monitoring: Monitoring = Field(Monitoring(), description="What Prometheus and Grafana are told.")
    fullname_override: NameStart = Field(
        "", description="The start of all names. Default: the release's name, with `fineline` in it."
    )
    common_labels: Labels = Field(
        {},
        description="Labels of every object that the chart makes but the CRDs, its pods among them. Those of "
        "evaluations' pods are said in `evaluator.template`. Default: none but the chart's.",
        examples=[{"example.org/team": "research"}],
    )
    helm_test: HelmTest = Field(HelmTest(), description="The pod of `helm test`.")

    resync_seconds: float = same(
        OperatorSettings, "resync_seconds", default=300, json_schema_extra={"part": "How the operator works"}
    )
    progress_seconds: float = same(OperatorSettings, "progress_seconds", default=60)
    trouble_seconds: float = same(OperatorSettings, "trouble_seconds", default=30)
    lease: Lease = Field(Lease(), description="The Lease by which one replica acts.")
    log_format: Literal["json", "text"] = Field("json", description="Log lines for machines or for people.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="From which level on is logged."
    )


def defaults() -> dict[str, Any]:
    """What values.yaml says."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in Values().model_dump(mode="json", by_alias=True).items()
    }
