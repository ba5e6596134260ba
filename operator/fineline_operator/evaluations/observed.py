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
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.subject import Subject


class NotLooked(Enum):
    """The type of `NOT_LOOKED`."""

    NOT_LOOKED = auto()


NOT_LOOKED = NotLooked.NOT_LOOKED


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

    @property
    def subject(self) -> Subject:
        return Subject("CheckpointEval", self.namespace, self.name, self.uid)

    @property
    def opened_again(self) -> bool:
        """Whether it has ended, and the retry annotation has a value that it did not have before."""
        return self.status.finished and bool(self.retry) and self.retry != (self.status.retry or "")

    @property
    def attempt(self) -> str:
        """The value of the retry annotation that the plan and the Job are made under, and named by.

        A new value is taken up before there is a Job and after the end, never in between: what runs keeps its plan.
        """
        if self.retry and (self.status.finished or self.status.start_time is None):
            return self.retry
        return self.status.retry or ""


@dataclass(frozen=True, slots=True)
class PlanSeen:
    """A plan that is written: its ConfigMaps are there. `retry` is the annotation's value that it was made under.

    `units` counts all, `todo` those without a result when it was made; `put_aside_example` is one line on the first
    checkpoint that was left out, `put_aside_for_good` counts those that no further upload can complete. `failures` are
    the first of these and of the `failed_before` units.
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
    put_aside_for_good: int = 0
    put_aside_example: str = ""
    failures: tuple[Failure, ...] = ()
    results_uri: str = ""
    run_results_uri: str = ""

    @property
    def lacks(self) -> bool:
        """Whether something will have no result however well the Job does: the evaluation can't succeed."""
        return self.failed_before > 0 or self.put_aside_for_good > 0


@dataclass(frozen=True, slots=True)
class JobSeen:
    """The Job. `made_from` is the digest of the pods' part of the spec (but for `parallelism`) that it was made from.

    `queue_name` is the label's value as it stands on the Job: Kueue may have set it. `failed_pods` leaves out those
    that the Job replaced without counting them.
    """

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
    ttl_seconds: int | None = None
    failed_pods: int = 0

    @property
    def ended_indexes(self) -> int:
        """Slices that are done with, well or not."""
        return self.completed_indexes + self.failed_indexes


@dataclass(frozen=True, slots=True)
class CommitsSeen:
    """What a listing of the results says of the plan's `todo` units, and the first failures in words.

    `ended_indexes` is how many of the Job's indexes had ended when it was listed.
    """

    published: int
    failed: int
    failures: tuple[Failure, ...]
    at: datetime
    ended_indexes: int = 0


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """What keeps a pod from working: the reason as Kubernetes or Fineline says it, and the pod's own message."""

    pod: str
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class PodsSeen:
    """The pods of the Job, the worst trouble first.

    `restarts` counts those that the Job replaced without counting them as failures. `made`: there is one, be it one
    that has ended. `namespace_ending`: somebody deletes the namespace, and its pods wait for the Job to go.
    """

    troubles: tuple[PodTrouble, ...]
    restarts: int
    made: bool = False
    namespace_ending: bool = False


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
    `plan_problem` and `job_problem` say why the last try within this reconcile to make one failed, `job_created` that
    one succeeded. `wanted_from` is the digest of the pods' part of the spec as it is now. `job` is the Job of the plan;
    `other_jobs` are Jobs of this evaluation under other names that have not ended: an older plan's.
    `last_commits` is what the last listing said, where this process remembers one. `trouble_seconds` and
    `progress_seconds` are the operator's settings.
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
    job_created: bool = False
    other_jobs: tuple[JobSeen, ...] = ()
    commits: CommitsSeen | Problem | NotLooked = NOT_LOOKED
    last_commits: CommitsSeen | None = None
    pods: PodsSeen | NotLooked = NOT_LOOKED
    workload: WorkloadSeen | NotLooked = NOT_LOOKED
    trouble_seconds: float = 30.0
    progress_seconds: float = 60.0
