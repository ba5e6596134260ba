"""What the operator says of a CheckpointSource."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from fineline.resources.status import Condition, Message, StatusModel, condition_list

MAX_WAITING_ON = 20
"""How many incomplete checkpoints a status lists."""


class SourceCounts(StatusModel):
    """How many checkpoints there are now, by how far they have come; `found` counts those that the listing shows."""

    found: int = Field(description="Checkpoints in the listing.")
    complete: int = Field(description="Those of them that can be evaluated as they lie there.")
    evaluated: int = Field(description="Selected ones of which every task has a result.")
    failed: int = Field(description="Selected ones of which some task failed for good, or that can't be evaluated.")
    waiting: int = Field(description="Selected, complete ones that are not evaluated yet, running ones included.")


class NewestCheckpoint(StatusModel):
    """The checkpoint that is farthest on in its branch, by tokens or steps."""

    branch: str = Field(description="The branch of the run.")
    step: int = Field(description="The optimizer step.")
    tokens: int | None = Field(None, description="Tokens seen by then, where known.")
    digest: str = Field("", description="Of the files that are evaluated: another one once they are overwritten.")
    seen_at: datetime | None = Field(None, description="When it was first seen to be complete.")
    evaluated_at: datetime | None = Field(None, description="When all of its results were first seen.")


class WaitingOn(StatusModel):
    """A checkpoint that is not complete."""

    checkpoint: str = Field(description="Its folder.")
    reason: str = Field(description="One CamelCase word.")
    message: Message = Field("", description="What is missing, and what to do.")


class CheckpointSourceStatus(StatusModel):
    """What the operator last said."""

    observed_generation: int | None = Field(None, description="The generation of the spec that this is about.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = condition_list("Ready, Reconciling, Stalled")
    checkpoints: SourceCounts | None = Field(None, description="How many checkpoints there are.")
    newest: NewestCheckpoint | None = Field(None, description="The newest complete checkpoint.")
    waiting_since: datetime | None = Field(
        None,
        description="Since when the one waits that waits longest: since its last change, or since the source was made, "
        "edited so that it needs results, or resumed, where that is later. None where none waits, or it is suspended.",
    )
    waiting_on: Annotated[tuple[WaitingOn, ...], Field(max_length=MAX_WAITING_ON)] = Field(
        (),
        description=f"The first {MAX_WAITING_ON} checkpoints that are not complete, the newest first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    last_listed: datetime | None = Field(
        None, description="When the prefix was last listed: told with whatever else changes, and else every 5 min."
    )

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)
