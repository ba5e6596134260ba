"""What the operator says of a TrajectoryAnalysis."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from fineline.resources.status import Condition, Message, StatusModel, condition_list

MAX_VERDICTS = 50
MAX_LEFT_OUT = 20


class RunVerdict(StatusModel):
    """What is said of one run."""

    run: str = Field(description="The run, with its branch where it has several.")
    state: str = Field(
        description="improving, too early to tell, cannot say, slowing, plateaued, regressing, or unstable."
    )
    since: datetime | None = Field(
        None,
        description="When this state was first told; of a run that was not among the verdicts here before and had it "
        "already: when the analysis before was published.",
    )
    message: Message = Field("", description="The fact that decided it.")


class LastRun(StatusModel):
    """The newest analysis that came to its end."""

    job_name: str = Field(description="Its Job.")
    start_time: datetime | None = Field(None, description="When the Job was made.")
    completion_time: datetime | None = Field(None, description="When it ended.")
    commits: int = Field(
        0,
        description="Results that the analysis is made from, without those that were left out; where none came of it, "
        "those that were there.",
    )


class TrajectoryAnalysisStatus(StatusModel):
    """What the operator last said."""

    observed_generation: int | None = Field(None, description="The generation of the spec that this is about.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = condition_list("Ready, Reconciling, Stalled")
    runs: int | None = Field(None, description="How many runs the analysis has.")
    worst: str | None = Field(None, description="The worst state of all runs.")
    verdicts: Annotated[tuple[RunVerdict, ...], Field(max_length=MAX_VERDICTS)] = Field(
        (),
        description=f"The first {MAX_VERDICTS} runs' verdicts, the worst first.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    report: str | None = Field(None, description="The newest report: one HTML file.")
    inputs_digest: str | None = Field(
        None, description="Names the results and settings that the newest analysis is made from."
    )
    left_out: Annotated[tuple[Message, ...], Field(max_length=MAX_LEFT_OUT)] = Field(
        (),
        description=f"The first {MAX_LEFT_OUT} results that could not be read, each with the reason; the others were.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    published_at: datetime | None = Field(
        None, description="When the newest analysis was published, by its pod's clock."
    )
    job_name: str | None = Field(None, description="The Job that runs now.")
    last_run: LastRun | None = Field(None, description="The newest analysis that came to its end.")

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)
