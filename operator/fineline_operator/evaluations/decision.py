"""What `decide` can say: look at more first, or do this, tell that, and look again then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fineline.resources.status import Failure, PlanStatus, ProgressStatus
from fineline_operator.telling.conditions import ConditionWanted
from fineline_operator.telling.events import EventWanted


class Look(Enum):
    """What must be read before a decision can be taken."""

    PLAN = "plan"
    JOB = "job"
    COMMITS = "commits"
    PODS = "pods"
    WORKLOAD = "workload"


@dataclass(frozen=True, slots=True)
class MakePlan:
    """List the checkpoints and the results, plan, and write the plan's ConfigMaps. Then decide again."""

    retry: str


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the plan's Job. Then decide again, with the Job seen or `job_problem` set."""

    suspended: bool


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job that has no pods and was made from an older spec, belongs to an older plan, or holds up the deletion
    of its namespace.

    Its end wakes the next reconcile.
    """

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class PatchJob:
    """Change what may be changed of a Job. None leaves as it is."""

    name: str
    parallelism: int | None = None
    suspend: bool | None = None
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class SetWorkloadActive:
    """Kueue's switch, which the user's `suspend` turns where the Job belongs to Kueue."""

    name: str
    active: bool


Action = MakePlan | CreateJob | DeleteJob | PatchJob | SetWorkloadActive


@dataclass(frozen=True, slots=True)
class StatusWanted:
    """The status as it should read. None keeps what is there; `forget` starts anew (a retry).

    An empty `job_name` takes the name away: the Job was deleted to be made again.
    """

    conditions: tuple[ConditionWanted, ...]
    plan: PlanStatus | None = None
    progress: ProgressStatus | None = None
    failures: tuple[Failure, ...] | None = None
    results: str | None = None
    job_name: str | None = None
    retry: str | None = None
    started: bool = False
    finished: bool = False
    forget: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Either `look`, or what follows. `actions` come before events, events before the status.

    `again_after`: seconds until the next look without any event; None leaves it to events and the resync. `backoff`: a
    passing fault, tried again with growing pauses instead.
    """

    look: Look | None = None
    actions: tuple[Action, ...] = ()
    status: StatusWanted | None = None
    events: tuple[EventWanted, ...] = ()
    again_after: float | None = None
    backoff: bool = False
