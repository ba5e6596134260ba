"""What `pods.template` may say: a partial PodTemplateSpec, typed where merging or safety depends on it.

All else of a PodTemplateSpec is let through; the API server judges it when the Job is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from fineline.resources.fields import GROUP, ObjectName, ResourceModel, Rule

_LABEL = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=317)]
PodLabel = Annotated[str, StringConstraints(max_length=63, pattern=_LABEL)]
Annotation = Annotated[str, StringConstraints(max_length=65_536)]
PartName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


def _open(description: str, max_length: int | None = None) -> Any:
    """A declared field of the template. Null is kept: it takes away what the operator's own template says."""
    return Field(None, description=description, max_length=max_length, json_schema_extra={"nullable": True})


class TemplatePart(ResourceModel):
    """A part of a pod template: what is not declared is let through, and null is kept."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    null_is_absent: ClassVar[bool] = False


class NamedPart(TemplatePart):
    """One of a list that is merged by name."""

    name: PartName = Field(description="The name that it is merged by.")


class PullSecret(TemplatePart):
    """A reference to a Secret with a registry's credentials."""

    name: ObjectName = Field(description="The Secret's name.")


class TemplateMetadata(TemplatePart):
    """The pods' labels and annotations."""

    rules = (
        Rule(
            f"!has(self.labels) || self.labels.all(key, !key.startsWith('{GROUP}/'))",
            f"labels under {GROUP}/ are the operator's: leave them out",
            lambda part: not any(key.startswith(f"{GROUP}/") for key in part.labels or ()),
            field="labels",
        ),
    )

    labels: dict[LabelKey, PodLabel | None] | None = _open("Labels for the pods. Default: none but the operator's.", 64)
    annotations: dict[LabelKey, Annotation | None] | None = _open("Annotations for the pods. Default: none.", 64)


class TemplateSpec(TemplatePart):
    """A partial PodSpec."""

    rules = (
        Rule(
            "!has(self.restartPolicy)",
            "restartPolicy must be absent: the Job counts a unit's tries, so its pods never restart in place",
            lambda part: part.restart_policy is None,
            field="restartPolicy",
        ),
    )

    restart_policy: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="Must be absent: pods never restart in place."
    )
    node_selector: dict[LabelKey, PodLabel | None] | None = _open("Labels that a node must have. Default: none.", 64)
    tolerations: list[dict[str, Any]] | None = _open("Taints that the pods bear with. Default: none.", 64)
    containers: list[NamedPart] | None = _open(
        "Containers, merged by name over the operator's: change its own (evaluator; in a TrajectoryAnalysis: analysis) "
        "by resources, env, image and so on, or add others. Default: the operator's.",
        16,
    )
    init_containers: list[NamedPart] | None = _open("Init containers, merged by name. Default: none.", 16)
    volumes: list[NamedPart] | None = _open("Volumes, merged by name. Default: the operator's.", 64)
    image_pull_secrets: list[PullSecret] | None = _open(
        "Secrets for the image's registry. Default: the operator's.", 16
    )


class PodTemplate(TemplatePart):
    """A partial PodTemplateSpec."""

    metadata: TemplateMetadata | None = _open("The pods' labels and annotations.")
    spec: TemplateSpec | None = _open(
        "A partial PodSpec: nodeSelector, tolerations, affinity, containers, volumes, securityContext and so on. Maps "
        "are merged, null takes a field away, containers, volumes and env are merged by name, other lists replaced."
    )


@dataclass(frozen=True)
class _SchemaOf:
    """Gives plain values the JSON schema of a model."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self.model.__pydantic_core_schema__)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    PodTemplate.model_validate(values)
    return values


PodTemplateValues = Annotated[dict[str, Any], AfterValidator(_checked), _SchemaOf(PodTemplate)]
"""A partial PodTemplateSpec as plain values, checked against `PodTemplate`."""
