"""What the operator says of a CheckpointEval: the status as the CRD declares it; and what all statuses share.

Read leniently, since an older or newer operator may have written it; written whole, by server-side apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

MAX_FAILURES = 20
"""How many failures a status lists; all of those of units are in the store."""

ConditionStatus = Literal["True", "False", "Unknown"]
Message = Annotated[str, StringConstraints(max_length=2048)]
Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
]


class StatusModel(BaseModel):
    """Frozen; camelCase in YAML; fields that are not known are let go."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, validate_by_name=True, validate_by_alias=True,
        serialize_by_alias=True,
    )  # fmt: skip

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """The status in a resource's body; an empty one where it can't be read: somebody else wrote it, or another
        version did, and it is written anew."""
        try:
            return cls.model_validate(body.get("status") or {})
        except ValidationError:
            return cls()


class Condition(StatusModel):
    """One condition, as Kubernetes writes them."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="One of the types that the kind's page lists."
    )
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Reason = Field(description="One CamelCase word that a program can match on.")
    message: Message = Field("", description="The same for a person: what is so, and what to do.")
    last_transition_time: datetime = Field(description="When the status last changed.")
    observed_generation: int | None = Field(None, description="The generation of the spec that this is about.")


def condition_list(types: str) -> Any:
    """The field of a status that holds one condition of each of these types."""
    return Field(
        (),
        description=f"{types}: one of each once the operator has looked.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class PlanStatus(StatusModel):
    """What there is to do."""

    digest: str = Field(description="The plan's digest.")
    checkpoints: int = Field(description="Checkpoints that are evaluated.")
    units: int = Field(description="Units: one checkpoint and one task each.")
    reused: int = Field(description="Units whose key already had a result.")
    put_aside: int = Field(0, description="Checkpoints found that are not evaluated, such as incomplete ones.")
    slices: int = Field(0, description="Parts that the plan was cut into: one pod each.")


class ProgressStatus(StatusModel):
    """How far the work is, from the commits in the store."""

    published: int = Field(description="Units of the plan with a result made since.")
    failed: int = Field(description="Units that failed for good.")
    of: int = Field(description="Units to do: all but the reused ones.")
    text: str = Field(description="The same for a table's column.")


class Failure(StatusModel):
    """A unit, or a whole checkpoint (no task), that failed for good."""

    checkpoint: str = Field(description="Which checkpoint.")
    task: str = Field("", description="Which task; empty for all of the checkpoint.")
    reason: str = Field(description="One CamelCase word.")
    message: Message = Field("", description="What is wrong and how to mend it.")


class CheckpointEvalStatus(StatusModel):
    """What the operator last said."""

    observed_generation: int | None = Field(None, description="The generation of the spec that this is about.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = condition_list(
        "Planned, Admitted, Succeeded, Reconciling, Stalled"
    )
    plan: PlanStatus | None = Field(None, description="What there is to do.")
    progress: ProgressStatus | None = Field(None, description="How far the work is.")
    failures: Annotated[tuple[Failure, ...], Field(max_length=MAX_FAILURES)] = Field(
        (),
        description=f"The first {MAX_FAILURES} failures: checkpoints that can't be evaluated, then units that failed, "
        "all of which have a record in the store.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    results: str | None = Field(None, description="Where the run's results lie.")
    job_name: str | None = Field(None, description="The Job that does the work.")
    retry: str | None = Field(
        None, description="The value of the annotation fineline.dev/retry that this attempt answers to."
    )
    start_time: datetime | None = Field(None, description="When the Job was made.")
    completion_time: datetime | None = Field(None, description="When Succeeded became True or False.")

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def finished(self) -> bool:
        """Whether it ended, well or not: nothing is started again, but for the retry annotation."""
        succeeded = self.condition("Succeeded")
        return succeeded is not None and succeeded.status in ("True", "False")
