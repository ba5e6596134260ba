"""The operator's settings: one YAML file, which the chart makes from its values.

fineline-operator --settings /etc/fineline/operator.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from fineline.errors import SpecError
from fineline.resources.fields import ObjectName, ResourceModel, StoreUri


class StoreSettings(ResourceModel):
    """A store, by the prefix of its URIs. The longest prefix that fits a URI decides."""

    prefix: StoreUri = Field(description="URIs that start with this, at a `/`, belong to the store.")
    endpoint: str | None = Field(None, pattern=r"^https?://[^/@]+(/.*)?$", description="The S3 endpoint's URL.")
    region: str | None = Field(None, description="The region that requests are signed for.")
    credentials: str | None = Field(
        None,
        description="Folder with the operator's own AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as files (a mounted "
        "Secret; list and get suffice). Default: the pod's own identity.",
    )
    namespaces: tuple[ObjectName | Literal["*"], ...] = Field(
        ("*",), strict=False, description="Namespaces that may name it; * for all."
    )


class EvaluatorSettings(ResourceModel):
    """The evaluator's pods."""

    image: str = Field(description="The evaluator's image.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="As in pods.")
    command: tuple[str, ...] = Field(
        ("fineline-evaluator",), strict=False, description="The evaluator's program in the image."
    )
    gpu_resource: str = Field(
        "nvidia.com/gpu", description="What a GPU is called; empty for none (the CPU build of the engine)."
    )
    template: dict[str, Any] = Field(
        default_factory=dict, description="A partial PodTemplateSpec for all pods; an evaluation's own goes over it."
    )


class LeaseSettings(ResourceModel):
    """The Lease by which one replica acts."""

    name: ObjectName = Field("fineline-operator", description="The Lease's name.")
    namespace: ObjectName | None = Field(None, description="Its namespace. Default: the pod's own.")
    seconds: Annotated[int, Field(ge=4, le=10)] = Field(10, description="After so long without renewal another acts.")


class OperatorSettings(ResourceModel):
    """All that the chart tells the operator."""

    namespaces: tuple[ObjectName, ...] = Field((), strict=False, description="Namespaces to watch; none for all.")
    results: StoreUri | None = Field(None, description="Where results go where spec.results is not set.")
    datasets: StoreUri | None = Field(None, description="The data-set mirror where spec.suite.datasets is not set.")
    stores: tuple[StoreSettings, ...] = Field((), strict=False, description="The stores that resources may name.")
    evaluator: EvaluatorSettings = Field(description="The evaluator's pods.")
    max_active: Annotated[int, Field(ge=0)] = Field(
        0, description="Evaluations without a queue whose Jobs may run at once; 0 for no bound."
    )
    lease: LeaseSettings = Field(default_factory=LeaseSettings, description="The Lease by which one replica acts.")
    health_port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, description="Serves /healthz and /metrics.")
    resync_seconds: Annotated[float, Field(gt=0)] = Field(
        300.0, strict=False, description="Each unfinished resource is looked at so often without any event."
    )
    progress_seconds: Annotated[float, Field(gt=0)] = Field(
        60.0, strict=False, description="Commits are listed at most so often while a Job runs."
    )
    trouble_seconds: Annotated[float, Field(gt=0)] = Field(
        30.0, strict=False, description="So long may a pod fail to start before it is told."
    )


def read_settings(path: Path) -> OperatorSettings:
    """The settings in a file. `SpecError` names the file and the field."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(f"{path}: the operator's settings can't be read: {error}") from None
    try:
        return OperatorSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"{path}: {field or 'settings'}: {first['msg']}") from None
