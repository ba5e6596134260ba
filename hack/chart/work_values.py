"""The values that tell what is evaluated, from where and by which images."""

from __future__ import annotations

from typing import Literal

from chart.fields import Annotations, Digest, DnsLabel, Free, Host, Port, Repository, SecretKey, Tag, UserPort, same
from pydantic import Field

from fineline.resources.fields import AbsoluteUri, ObjectName, QueueUrl, ResourceModel
from fineline_operator.settings import (
    AnalysisSettings,
    EvaluatorSettings,
    NamespaceOrAll,
    QueueSettings,
    StoreSettings,
    WebhookSettings,
)

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Image(ResourceModel):
    """An image, by tag or by digest."""

    repository: Repository = Field(description="The image's name with its registry, without tag and digest.")
    tag: Tag = Field("", description="The image's tag. Default: the chart's appVersion.")
    digest: Digest = Field(
        "",
        description="The image's digest, `sha256:…`, in the place of a tag: what runs then can't be changed behind it.",
    )
    pull_policy: PullPolicy = Field("IfNotPresent", description="When the image is pulled.")


class Images(ResourceModel):
    """Where the three images are; all are built from the repository's Dockerfile."""

    operator: Image = Field(
        Image(repository="registry.example/fineline/operator"),
        description="The operator's image; `helm test` runs it too.",
    )
    evaluator: Image = Field(
        Image(repository="registry.example/fineline/evaluator"), description="The image of evaluations' pods."
    )
    analysis: Image = Field(
        Image(repository="registry.example/fineline/analysis"), description="The image of analyses' pods."
    )


class PullSecret(ResourceModel):
    """A Secret with a registry's credentials."""

    name: ObjectName = Field(description="The Secret's name, in the release's namespace.")


class Store(ResourceModel):
    """A store that resources may name."""

    prefix: AbsoluteUri = same(StoreSettings, "prefix")
    endpoint: str = same(StoreSettings, "endpoint", default="")
    region: str = same(StoreSettings, "region", default="")
    secret_name: ObjectName = Field(
        "",
        description="The Secret in the release's namespace with the operator's own keys for it: AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY and, if need be, AWS_SESSION_TOKEN. It is mounted, and read again when it changes. The "
        "right to list and to get suffices. Pods never see it. Default: the service account's own identity.",
    )
    namespaces: tuple[NamespaceOrAll, ...] = same(StoreSettings, "namespaces")


class Queue(ResourceModel):
    """An SQS queue with a bucket's events."""

    url: QueueUrl = same(QueueSettings, "url")
    endpoint: str = same(QueueSettings, "endpoint", default="")
    region: str = same(QueueSettings, "region", default="")
    secret_name: ObjectName = Field(
        "",
        description="The Secret in the release's namespace with the operator's own keys for it, as in `stores`. The "
        "right to receive and to delete messages suffices. Default: the service account's own identity.",
    )
    namespaces: tuple[NamespaceOrAll, ...] = same(QueueSettings, "namespaces")


class Workload(ResourceModel):
    """A service account for pods of evaluations and analyses."""

    namespace: DnsLabel = Field(description="The namespace, which must exist.")
    service_account_name: ObjectName = Field(
        description="The service account's name, for `pods.serviceAccountName` of the resources there."
    )
    annotations: Annotations = Field(
        {}, description="Its annotations: the cloud's identity that its pods act as (IRSA, GKE, Azure). Default: none."
    )


class Evaluator(ResourceModel):
    """What the pods of all evaluations have in common."""

    gpu_resource: str = same(EvaluatorSettings, "gpu_resource")
    command: tuple[str, ...] = same(EvaluatorSettings, "command")
    template: Free = same(EvaluatorSettings, "template", default={})


class Analysis(ResourceModel):
    """What the pods of all analyses have in common."""

    enabled: bool = Field(True, description="Whether TrajectoryAnalyses are run; without it they wait.")
    command: tuple[str, ...] = same(AnalysisSettings, "command")
    template: Free = same(AnalysisSettings, "template", default={})


class WebhookService(ResourceModel):
    """The Service `…-webhook`."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="The Service's type.")
    port: Port = Field(80, description="The Service's port.")
    annotations: Annotations = Field({}, description="The Service's annotations. Default: none.")


class WebhookIngress(ResourceModel):
    """A way to the webhook from outside of the cluster."""

    enabled: bool = Field(False, description="Whether there is an Ingress to the webhook.")
    class_name: ObjectName = Field("", description="The IngressClass. Default: the cluster's own.")
    host: Host = Field("", description="The host name that stores send to; needed with an Ingress.")
    annotations: Annotations = Field(
        {}, description="The Ingress's annotations, such as cert-manager's. Default: none."
    )
    tls_secret_name: ObjectName = Field(
        "",
        description="The Secret with the host's certificate. Default: none, so that TLS is whatever the controller "
        "does; the token must not travel without it.",
    )


class Webhook(ResourceModel):
    """Where object stores may tell of uploads (docs/events.md). Without it sources poll."""

    enabled: bool = Field(False, description="Whether the operator listens for notices of uploads.")
    port: UserPort = same(WebhookSettings, "port", description="The pods' port that it listens at.")
    token_secret_name: ObjectName = Field(
        "",
        description="The Secret in the release's namespace with the token that senders must give; needed with the "
        "webhook. It is mounted, and read again when it changes.",
    )
    token_secret_key: SecretKey = Field("token", description="The Secret's key that holds the token.")
    per_second: int = same(WebhookSettings, "per_second")
    service: WebhookService = Field(WebhookService(), description="The Service in front of the webhook.")
    ingress: WebhookIngress = Field(WebhookIngress(), description="A way in from outside of the cluster.")
