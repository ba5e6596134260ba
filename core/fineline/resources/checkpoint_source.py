"""CheckpointSource: evaluate each checkpoint as it is uploaded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fineline.resources.checkpoint_eval import (
    MAX_PINNED,
    CheckpointFiles,
    Count,
    EvaluationTemplate,
    Metadata,
)
from fineline.resources.fields import FileName, QueueUrl, ResourceModel, Rule, Step, StoreUri

DAY = 86_400
"""In seconds."""


class Complete(ResourceModel):
    """When an uploaded checkpoint counts as complete: all of its files are there, and this besides."""

    marker: FileName | None = Field(
        None,
        description="A file that the upload writes last, such as _SUCCESS: without it a checkpoint is not complete. It "
        "is believed only where the files are there too. Default: none is waited for.",
    )
    settle_seconds: Annotated[int, Field(ge=0, le=DAY)] = Field(
        60, description="So long nothing in the checkpoint has changed."
    )


class SourceSelect(ResourceModel):
    """Which of the complete checkpoints."""

    rules = (
        Rule(
            "!(has(self.from) && has(self.to)) || self.from <= self.to",
            "from is after to",
            lambda select: select.from_ is None or select.to is None or select.from_ <= select.to,
            detail=lambda select: f"{select.from_:,} > {select.to:,}",
        ),
    )

    every: Count | None = Field(
        None,
        description="In each branch the first and then each N-th after the last one that was evaluated or is chosen: "
        "what was chosen stays so when others come late or are deleted. Default: each one.",
    )
    from_: Step | None = Field(
        None, alias="from", description="Only optimizer steps from this one on, before every. Default: the first."
    )
    to: Step | None = Field(None, description="Only optimizer steps up to this one, before every. Default: all.")


class History(ResourceModel):
    """How many of its ended CheckpointEvals are kept; results stay in any case."""

    succeeded: Annotated[int, Field(ge=0, le=1000)] = Field(
        10,
        description="Those that succeeded. The last one made is kept in any case, and with select.every the last of "
        "each branch: the next go on from them.",
    )
    failed: Annotated[int, Field(ge=0, le=1000)] = Field(
        10,
        description="Those that did not. One whose checkpoints have neither results nor recorded failures is kept "
        "beyond that, or they would be evaluated again and again.",
    )


class CheckpointSourceSpec(ResourceModel):
    """Where checkpoints arrive, which are evaluated, and how."""

    uri: StoreUri = Field(
        description="The prefix that the training job uploads to: s3://bucket/prefix/. It must belong to one of the "
        "chart's stores."
    )
    template: EvaluationTemplate = Field(
        description="What each CheckpointEval made has besides its checkpoints. An edit applies to those made "
        "afterwards; with another suite or engine every checkpoint that is still there is evaluated anew."
    )
    poll_seconds: Annotated[int, Field(ge=5, le=DAY)] = Field(
        60, description="The prefix is listed so often; events only make it sooner."
    )
    full_walk_seconds: Annotated[int, Field(ge=60, le=30 * DAY)] = Field(
        3600,
        description="So often all of it is listed; between, only folders that are new or were not settled. What was "
        "overwritten without an event is seen within that.",
    )
    sqs: QueueUrl | None = Field(
        None,
        description="An SQS queue that gets the bucket's events; the operator's settings must name it (queues). "
        "Default: none; the webhook needs no field.",
    )
    complete: Complete = Field(
        default_factory=Complete, description="When a checkpoint counts as complete. Default: settled for 60 s."
    )
    select: SourceSelect | None = Field(
        None, description="Which of the complete checkpoints to evaluate. Default: all of them."
    )
    checkpoints: CheckpointFiles = Field(
        default_factory=CheckpointFiles, description="How to read them. Default: they carry all they need."
    )
    batch: Annotated[int, Field(ge=1, le=MAX_PINNED)] = Field(
        8, description="So many checkpoints that wait together share one CheckpointEval, and so one warm engine."
    )
    max_wait_seconds: Annotated[int, Field(ge=0, le=DAY)] = Field(
        600,
        description="While CheckpointEvals of this source run, a checkpoint waits at most so long for its batch to "
        "fill; while none does, it does not wait.",
    )
    history: History = Field(
        default_factory=History,
        description="How many of its ended CheckpointEvals are kept. Default: ten of each kind.",
    )
    suspend: bool = Field(False, description="Make no new CheckpointEvals; those that run go on.")


class CheckpointSource(ResourceModel):
    """Evaluate each checkpoint as it is uploaded."""

    api_version: Literal["fineline.dev/v1alpha1"]
    kind: Literal["CheckpointSource"]
    metadata: Metadata
    spec: CheckpointSourceSpec
    status: dict[str, Any] | None = Field(None, exclude=True)
