"""What `decide` can say: look at more first, or do this, tell that, and look again then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from fineline.resources.analysis_status import LastRun
from fineline.results.analyses import AnalysisManifest
from fineline_operator.jobs.analysis_job import Inputs
from fineline_operator.telling.conditions import ConditionWanted
from fineline_operator.telling.events import EventWanted


class Look(Enum):
    """What must be read before a decision can be taken."""

    RESULTS = "results"
    PODS = "pods"
    LAST_WORDS = "last words"


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the Job of an analysis. Then decide again, with the Job seen or `job_problem` set."""

    inputs: Inputs


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a finished Job: there are `spec.history` newer ones."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Told:
    """An event. The same words are told once for each `occasion`."""

    event: EventWanted
    occasion: str


@dataclass(frozen=True, slots=True)
class StatusWanted:
    """The status as it should read. None keeps what is there, but for `job_name`: None is no Job that runs.

    `latest` was published `published_at` and has its report at `report`; `previous` as in `Listed`.
    """

    conditions: tuple[ConditionWanted, ...]
    job_name: str | None = None
    last_run: LastRun | None = None
    latest: AnalysisManifest | None = None
    published_at: datetime | None = None
    report: str = ""
    previous: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """Either `look` or `create`, or what follows. `again_after`: seconds until the next look without any event; None
    leaves it to events and the resync. `backoff`: a passing fault, tried again with growing pauses instead."""

    look: Look | None = None
    create: CreateJob | None = None
    delete: tuple[DeleteJob, ...] = ()
    status: StatusWanted | None = None
    events: tuple[Told, ...] = ()
    again_after: float | None = None
    backoff: bool = False
