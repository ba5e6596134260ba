"""The operator's settings: one YAML file, which the chart makes from its values.

fineline-operator --settings /etc/fineline/operator.yaml
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, StringConstraints, ValidationError

from fineline.errors import SpecError
from fineline.resources import fields
from fineline.resources.fields import AbsoluteUri, ObjectName, QueueUrl, ResourceModel, Rule
from fineline.resources.reading import sentences
from fineline.store.uri import ENDPOINT_PATTERN, covers

_NAMESPACE_OR_ALL = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"
PATTERN_WORDS = fields.PATTERN_WORDS | {
    _NAMESPACE_OR_ALL: "must be the name of a namespace, or `*`",
    ENDPOINT_PATTERN: "must be https://host:port, without a user or white space, the port 65535 at most",
}

NamespaceOrAll = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=_NAMESPACE_OR_ALL)]
"""A namespace's name, or `*`."""


def allows(namespaces: Collection[str], namespace: str) -> bool:
    """Whether a store or a queue that lists these namespaces may be named in this one."""
    return "*" in namespaces or namespace in namespaces


class StoreSettings(ResourceModel):
    """A store that CheckpointEvals may name. A URI belongs to the store with the longest prefix that covers it."""

    prefix: AbsoluteUri = Field(
        description="URIs that start with it, at a `/`, belong to the store: `s3://a/amber` covers `s3://a/amber/x/` "
        "and not `s3://a/amber-2/`."
    )
    endpoint: str | None = Field(
        None,
        pattern=ENDPOINT_PATTERN,
        description="The S3 endpoint's URL, for the operator and for pods. Default: AWS's own.",
    )
    region: str | None = Field(
        None, description="The region that requests are signed for. Default: as the environment says."
    )
    credentials: str | None = Field(
        None,
        description="Folder with the operator's own keys as files: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if "
        "need be, AWS_SESSION_TOKEN (a mounted Secret, read again when it changes). The right to list and to get "
        "suffices. Pods never see them. Default: the environment's or the pod's own identity.",
    )
    namespaces: tuple[NamespaceOrAll, ...] = Field(
        ("*",),
        strict=False,
        min_length=1,
        description="Namespaces whose CheckpointEvals may name it; `*` for all. A store under the prefix of another "
        "one must be for each namespace that the other is for, which sees what lies there. Default: `*`.",
    )


class EvaluatorSettings(ResourceModel):
    """What the pods of all evaluations have in common."""

    image: str = Field(description="The evaluator's image.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When it is pulled, as in pods."
    )
    command: tuple[str, ...] = Field(
        ("fineline-evaluator",),
        strict=False,
        description="The evaluator's program in the image. Default: `[fineline-evaluator]`.",
    )
    gpu_resource: str = Field(
        "nvidia.com/gpu",
        description='The resource that a GPU is; a pod gets `engine.tensorParallelSize` of it. `""` asks for none, for '
        "the CPU build of the engine.",
    )
    template: dict[str, Any] = Field(
        default_factory=dict,
        description="A partial PodTemplateSpec that is merged into the pods of every evaluation: requests of CPU and "
        "memory, node selectors, tolerations, pull secrets. An evaluation's own `pods.template` goes over it. "
        "Default: nothing.",
    )


class AnalysisSettings(ResourceModel):
    """What the pods of all analyses have in common."""

    image: str = Field(description="The analysis's image.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When it is pulled, as in pods."
    )
    command: tuple[str, ...] = Field(
        ("fineline-analysis",),
        strict=False,
        description="The analysis's program in the image. Default: `[fineline-analysis]`.",
    )
    template: dict[str, Any] = Field(
        default_factory=dict,
        description="A partial PodTemplateSpec that is merged into the pods of every analysis; the container is called "
        "analysis. Default: nothing.",
    )


class QueueSettings(ResourceModel):
    """An SQS queue with a bucket's events, which CheckpointSources may name."""

    url: QueueUrl = Field(description="The queue's URL.")
    endpoint: str | None = Field(
        None, pattern=ENDPOINT_PATTERN, description="The SQS endpoint's URL. Default: AWS's own of the region."
    )
    region: str | None = Field(
        None, description="The region that requests are signed for. Default: the URL's, else as the environment says."
    )
    credentials: str | None = Field(
        None,
        description="Folder with the operator's own keys for it, as in `stores`. The right to receive and to delete "
        "messages suffices. Default: the environment's or the pod's own identity.",
    )
    namespaces: tuple[NamespaceOrAll, ...] = Field(
        ("*",),
        strict=False,
        min_length=1,
        description="Namespaces whose CheckpointSources may name it; `*` for all. Default: `*`.",
    )


class WebhookSettings(ResourceModel):
    """Where object stores may tell of uploads. TLS is the ingress's."""

    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8443, description="The port that it listens at; 0 for any free one."
    )
    token_file: str = Field(
        description="A file with the token that senders must give: as `Authorization: Bearer TOKEN`, or as the last "
        "part of the path for senders that can't set headers (a mounted Secret, read again when it changes)."
    )
    per_second: Annotated[int, Field(ge=1, le=10_000)] = Field(
        100, description="So many notices a second are taken; more are answered with 429."
    )


class LeaseSettings(ResourceModel):
    """The Lease by which one replica acts."""

    name: ObjectName = Field("fineline-operator", description="The Lease's name; rbac.yaml names it too.")
    namespace: ObjectName | None = Field(
        None, description="Its namespace. Default: the pod's own, else that of the kubeconfig."
    )
    seconds: Annotated[int, Field(ge=4, le=10)] = Field(
        10, description="After so many seconds without renewal another replica acts."
    )


class OperatorSettings(ResourceModel):
    """All that the operator is told, in one YAML file."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="",
            message="stores: one that lies under another must be for each namespace that the other is for, or these "
            "would see it all the same: give both the same namespaces, or it a place of its own",
            holds=lambda settings: not any(_seen_through_another(settings)),
            detail=lambda settings: "; ".join(_seen_through_another(settings)),
        ),
    )

    namespaces: tuple[ObjectName, ...] = Field(
        (), strict=False, description="Namespaces whose resources it looks after. Default: all."
    )
    results: AbsoluteUri | None = Field(
        None, description="Where results go where `spec.results` is not set. Default: none, so that it must be set."
    )
    datasets: AbsoluteUri | None = Field(
        None,
        description="The data-set mirror where `spec.suite.datasets` is not set. Default: none, so that pods ask the "
        "Hugging Face hub.",
    )
    stores: tuple[StoreSettings, ...] = Field(
        (),
        strict=False,
        description="The stores that resources may name. What none of them covers is refused. Default: none.",
    )
    evaluator: EvaluatorSettings = Field(description="What the pods of all evaluations have in common.")
    analysis: AnalysisSettings | None = Field(
        None,
        description="What the pods of all analyses have in common. Default: none, so that no TrajectoryAnalysis runs.",
    )
    queues: tuple[QueueSettings, ...] = Field(
        (), strict=False, description="The SQS queues that CheckpointSources may name. Default: none."
    )
    webhook: WebhookSettings | None = Field(
        None, description="Where object stores may tell of uploads. Default: nowhere."
    )
    max_active: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0,
        description="So many evaluations without a queue may have a running Job at once, the oldest first; 0 for no "
        "bound.",
    )
    lease: LeaseSettings = Field(
        default_factory=LeaseSettings, description="The Lease by which one replica acts. Default: as told below."
    )
    health_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8080, description="The port of /healthz and /metrics; 0 for any free one."
    )
    resync_seconds: Annotated[float, Field(gt=0)] = Field(
        300.0, strict=False, description="Each resource that has not ended is looked at so often without any event."
    )
    progress_seconds: Annotated[float, Field(gt=0)] = Field(
        60.0, strict=False, description="While a Job runs, its results are listed at most so often."
    )
    trouble_seconds: Annotated[float, Field(gt=0)] = Field(
        30.0, strict=False, description="So long may a pod fail to start before the condition says why."
    )


def _seen_through_another(settings: OperatorSettings) -> Iterator[str]:
    """Each store that namespaces would see through the store that it lies under, though it is not for them."""
    for wide, narrow in permutations(settings.stores, 2):
        named = settings.namespaces if "*" in wide.namespaces and settings.namespaces else wide.namespaces
        others = [namespace for namespace in named if not allows(narrow.namespaces, namespace)]
        if others and covers(wide.prefix, narrow.prefix):
            who = "all namespaces" if "*" in others else ", ".join(others)
            yield f"{narrow.prefix} is not for {who}, and {wide.prefix} is"


def read_settings(path: Path) -> OperatorSettings:
    """The settings in a file. `SpecError` names the file and each field that is wrong."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(f"{path}: the operator's settings can't be read: {error}") from None
    try:
        return OperatorSettings.model_validate(values)
    except ValidationError as error:
        told = sentences(OperatorSettings, error, PATTERN_WORDS, "settings")
        raise SpecError("; ".join([f"{path}: {told[0]}", *told[1:]])) from None
