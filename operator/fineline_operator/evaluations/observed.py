"""What `decide` sees of the world: plain frozen values, read anew for each decision.

`NOT_LOOKED` stands where nothing was read yet, because looking costs a request or a listing: `decide` asks for it where
it matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Literal

from fineline.resources import CheckpointEvalSpec
from fineline.resources.status import CheckpointEvalStatus, Failure


class NotLooked(Enum):
    """The type of `NOT_LOOKED`."""

    NOT_LOOKED = auto()


NOT_LOOKED = NotLooked.NOT_LOOKED


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step can't be taken. `lasting`: a person must act; else it may pass, and is tried again with backoff."""

    reason: str
    message: str
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class EvaluationSeen:
    """The CheckpointEval. `spec` is None where it can't be read, and `problem` says why."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    deleting: bool
    retry: str
    spec: CheckpointEvalSpec | None
    problem: Problem | None
    status: CheckpointEvalStatus

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PlanSeen:
    """A plan that is written: its ConfigMaps are there. `retry` is the annotation's value that it was made under.

    `units` counts all, `todo` those without a result when it was made; `put_aside_example` is one line on the first
    checkpoint that was left out.
    """

    index_name: str
    digest: str
    retry: str
    made: datetime
    slices: int
    checkpoints: int
    units: int
    todo: int
    reused: int
    failed_before: int
    put_aside: int = 0
    put_aside_example: str = ""
    results_uri: str = ""
    run_results_uri: str = ""


@dataclass(frozen=True, slots=True)
class JobSeen:
    """The Job. `made_from` is the digest of the pods' part of the spec that it was made from."""

    name: str
    uid: str
    created: datetime
    deleting: bool
    suspended: bool
    parallelism: int
    completions: int
    active: int
    ready: int
    terminating: int
    completed_indexes: int
    failed_indexes: int
    started: datetime | None
    finished: Literal["", "Complete", "Failed"]
    finished_reason: str
    finished_message: str
    made_from: str
    queue_name: str


@dataclass(frozen=True, slots=True)
class CommitsSeen:
    """What a listing of the results says of the plan's `todo` units, and the first failures in words."""

    published: int
    failed: int
    failures: tuple[Failure, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """What keeps a pod from working: the reason as Kubernetes or Fineline says it, and the pod's own message."""

    pod: str
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class PodsSeen:
    """The pods of the Job. `restarts` counts those that the Job replaced without counting them as failures."""

    troubles: tuple[PodTrouble, ...]
    restarts: int


@dataclass(frozen=True, slots=True)
class WorkloadSeen:
    """Kueue's side of the Job. `message` is Kueue's own; `problem` says why there is none to be had.

    `evicted` is the reason of an eviction (such as Preempted), empty where it runs or waits for the first time.
    """

    name: str = ""
    active: bool = True
    admitted: bool = False
    evicted: str = ""
    message: str = ""
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a decision rests on.

    `room` says whether `maxActive` lets one more Job start now and `room_message` how long the queue is.
    `plan_problem` and `job_problem` say why the last try within this reconcile to make one failed; `wanted_from` is the
    digest of the pods' part of the spec as it is now, `expected_job_name` what the Job of the plan is called.
    """

    now: datetime
    evaluation: EvaluationSeen
    not_allowed: Problem | None
    room: bool
    room_message: str
    wanted_from: str
    plan: PlanSeen | NotLooked | None = NOT_LOOKED
    plan_problem: Problem | None = None
    job: JobSeen | NotLooked | None = NOT_LOOKED
    job_problem: Problem | None = None
    commits: CommitsSeen | Problem | NotLooked = NOT_LOOKED
    pods: PodsSeen | NotLooked = NOT_LOOKED
    workload: WorkloadSeen | NotLooked = NOT_LOOKED
