"""A small world for decisions: what is there, and what acting on a decision makes of it.

It stands in for the API server and the store, whose part in decisions is small; both are real in the tests of the
operator as a whole. Statuses are made by the operator's own `next_status`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fineline.resources import CheckpointEvalSpec
from fineline.resources.status import CheckpointEvalStatus, Failure
from fineline_operator.evaluations.decide import decide
from fineline_operator.evaluations.decision import (
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    Look,
    MakePlan,
    PatchJob,
    SetWorkloadActive,
)
from fineline_operator.evaluations.observed import (
    NOT_LOOKED,
    CommitsSeen,
    EvaluationSeen,
    JobSeen,
    Observed,
    PlanSeen,
    PodsSeen,
    PodTrouble,
    WorkloadSeen,
)
from fineline_operator.evaluations.status import next_status
from fineline_operator.telling.conditions import ConditionWanted
from fineline_operator.telling.events import EventWanted
from fineline_operator.telling.problems import Problem
from support.evaluations import evaluation as evaluation_resource

START = datetime(2025, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """So many seconds after the CheckpointEval was made."""
    return START + timedelta(seconds=seconds)


def spec(**values: Any) -> CheckpointEvalSpec:
    return evaluation_resource(**values).spec


def plan(**values: Any) -> PlanSeen:
    """36 units: 4 have a result already, 32 are to do in 4 slices."""
    defaults: dict[str, Any] = {
        "index_name": "amber-plan",
        "digest": "d" * 64,
        "retry": "",
        "made": START,
        "slices": 4,
        "checkpoints": 9,
        "units": 36,
        "todo": 32,
        "reused": 4,
        "failed_before": 0,
        "run_results_uri": "s3://evals/results/units/run=amber/",
    }
    return PlanSeen(**{**defaults, **values})


def job(**values: Any) -> JobSeen:
    """The Job of that plan, made at the start, all of its pods at work."""
    defaults: dict[str, Any] = {
        "name": "amber-1",
        "uid": "job-1",
        "created": START,
        "deleting": False,
        "suspended": False,
        "parallelism": 1,
        "completions": 4,
        "active": 1,
        "ready": 1,
        "terminating": 0,
        "completed_indexes": 0,
        "failed_indexes": 0,
        "started": START,
        "finished": "",
        "finished_reason": "",
        "finished_message": "",
        "made_from": "spec-1",
        "queue_name": "",
    }
    return JobSeen(**{**defaults, **values})


def commits(published: int, failed: int = 0, *, at: datetime = START, ended: int = 0) -> CommitsSeen:
    failures = tuple(
        Failure(checkpoint=f"step{number:012d}", task="", reason="TensorMissing", message="wq is missing")
        for number in range(failed)
    )
    return CommitsSeen(published, failed, failures[:20], at, ended)


def trouble(reason: str, message: str = "the pod's own words", *, since: datetime = START) -> PodTrouble:
    return PodTrouble("amber-1-0-x7", reason, message, since)


@dataclass
class Turn:
    """What one look at the CheckpointEval came to."""

    decision: Decision
    looks: list[Look]
    actions: list[Action]
    events: list[EventWanted]
    wrote_status: bool
    writes: int

    def told(self, kind: str) -> ConditionWanted:
        """A condition of the status that was wanted."""
        assert self.decision.status is not None, "nothing was to be told"
        return next(item for item in self.decision.status.conditions if item.type == kind)

    def event(self, reason: str) -> EventWanted:
        return next(item for item in self.events if item.reason == reason)

    @property
    def event_reasons(self) -> list[str]:
        return [event.reason for event in self.events]


@dataclass
class World:
    """What is there. Change it as a test likes, then `turn`."""

    spec: CheckpointEvalSpec | None = field(default_factory=spec)
    status: CheckpointEvalStatus = field(default_factory=CheckpointEvalStatus)
    seconds: float = 0.0
    generation: int = 1
    retry: str = ""
    deleting: bool = False
    unreadable: Problem | None = None
    not_allowed: Problem | None = None
    room: bool = True
    room_message: str = ""
    wanted_from: str = "spec-1"
    to_plan: PlanSeen | Problem = field(default_factory=plan)
    refuse_job: Problem | None = None
    plans: dict[str, PlanSeen] = field(default_factory=dict)
    jobs: dict[str, JobSeen] = field(default_factory=dict)
    commits: CommitsSeen | Problem = field(default_factory=lambda: commits(0))
    last_commits: CommitsSeen | None = None
    pods: PodsSeen = field(default_factory=lambda: PodsSeen((), 0))
    workload: WorkloadSeen = field(default_factory=WorkloadSeen)
    events_told: set[EventWanted] = field(default_factory=set)
    jobs_made: int = 0
    writes: int = 0

    @property
    def evaluation(self) -> EvaluationSeen:
        return EvaluationSeen(
            namespace="evals",
            name="amber",
            uid="uid-1",
            generation=self.generation,
            created=START,
            deleting=self.deleting,
            retry=self.retry,
            spec=self.spec,
            problem=self.unreadable,
            status=self.status,
        )

    @property
    def job(self) -> JobSeen:
        """The one Job that is there."""
        (only,) = self.jobs.values()
        return only

    def says(self, kind: str) -> str:
        """The status of a condition as it was written."""
        written = self.status.condition(kind)
        assert written is not None
        return written.status

    def change_job(self, **values: Any) -> None:
        self.jobs = {self.job.name: replace(self.job, **values)}

    def edit(self, *, remake: bool = False, **values: Any) -> None:
        """`kubectl edit`: the spec's parts as in `spec`; `remake` where a Job would be made differently now."""
        self.spec = spec(**values)
        self.generation += 1
        if remake:
            self.wanted_from = f"spec-{self.generation}"

    def turn(self) -> Turn:
        """Observe, decide and act once, as the operator does."""
        observed = Observed(
            now=after(self.seconds),
            evaluation=self.evaluation,
            not_allowed=self.not_allowed,
            room=self.room,
            room_message=self.room_message,
            wanted_from=self.wanted_from,
            last_commits=self.last_commits,
        )
        looks: list[Look] = []
        made: list[Action] = []
        before = self.writes
        for _ in range(16):
            decision = decide(observed)
            if decision.look is not None:
                looks.append(decision.look)
                observed = self._looked(observed, decision.look)
            elif len(decision.actions) == 1 and isinstance(decision.actions[0], MakePlan):
                made.append(decision.actions[0])
                observed = self._planned(observed, decision.actions[0].retry)
            elif len(decision.actions) == 1 and isinstance(decision.actions[0], CreateJob):
                made.append(decision.actions[0])
                observed = self._job_made(observed, suspended=decision.actions[0].suspended)
            else:
                news, wrote_status = self._carried_out(decision)
                actions = [*made, *decision.actions]
                return Turn(decision, looks, actions, news, wrote_status, self.writes - before)
        raise AssertionError(f"no decision after so many looks: {looks}, {made}")

    def turn_until_quiet(self) -> list[Turn]:
        """Turns until one writes nothing, as each write wakes the operator again."""
        turns = [self.turn()]
        while turns[-1].writes:
            turns.append(self.turn())
            assert len(turns) < 10, [turn.decision for turn in turns[-2:]]
        return turns

    def _looked(self, observed: Observed, look: Look) -> Observed:
        match look:
            case Look.PLAN:
                assert observed.plan is NOT_LOOKED
                return replace(observed, plan=self.plans.get(observed.evaluation.attempt))
            case Look.JOB:
                assert observed.job is NOT_LOOKED
                assert isinstance(observed.plan, PlanSeen)
                name = self._job_name(observed.plan)
                others = tuple(item for item in self.jobs.values() if item.name != name and not item.finished)
                return replace(observed, job=self.jobs.get(name), other_jobs=others)
            case Look.COMMITS:
                assert observed.commits is NOT_LOOKED
                if isinstance(self.commits, CommitsSeen):
                    ended = observed.job.ended_indexes if isinstance(observed.job, JobSeen) else 0
                    self.commits = replace(self.commits, at=observed.now, ended_indexes=ended)
                    self.last_commits = self.commits
                return replace(observed, commits=self.commits)
            case Look.PODS:
                assert observed.pods is NOT_LOOKED
                return replace(observed, pods=self.pods)
            case Look.WORKLOAD:
                assert observed.workload is NOT_LOOKED
                return replace(observed, workload=self.workload)

    def _planned(self, observed: Observed, retry: str) -> Observed:
        if isinstance(self.to_plan, Problem):
            return replace(observed, plan_problem=self.to_plan)
        made = replace(self.to_plan, retry=retry, made=observed.now)
        self.writes += 1
        return replace(observed, plan=self.plans.setdefault(retry, made))

    def _job_made(self, observed: Observed, *, suspended: bool) -> Observed:
        assert isinstance(observed.plan, PlanSeen)
        assert observed.evaluation.spec is not None
        if self.refuse_job is not None:
            return replace(observed, job_problem=self.refuse_job)
        self.jobs_made += 1
        self.writes += 1
        made = job(
            name=self._job_name(observed.plan),
            uid=f"job-{self.jobs_made}",
            created=observed.now,
            suspended=suspended,
            parallelism=min(observed.evaluation.spec.pods.parallelism, observed.plan.slices),
            completions=observed.plan.slices,
            active=0,
            ready=0,
            started=None,
            made_from=self.wanted_from,
            queue_name=observed.evaluation.spec.queue_name or "",
        )
        assert made.name not in self.jobs, "a Job was made where one is"
        self.jobs[made.name] = made
        return replace(observed, job=made, job_created=True)

    def _carried_out(self, decision: Decision) -> tuple[list[EventWanted], bool]:
        """The events that were not told before, and whether the status was written."""
        for action in decision.actions:
            self._act(action)
        status = next_status(self.evaluation, decision.status, after(self.seconds)) if decision.status else None
        if status is not None:
            self.status = status
        news = [event for event in decision.events if event not in self.events_told]
        self.events_told.update(news)
        self.writes += len(decision.actions) + len(news) + (status is not None)
        return news, status is not None

    def _act(self, action: Action) -> None:
        match action:
            case DeleteJob(name=name, uid=uid):
                assert self.jobs[name].uid == uid
                del self.jobs[name]
            case PatchJob(name=name):
                there = self.jobs[name]
                self.jobs[name] = replace(
                    there,
                    started=None if action.suspend else there.started,
                    parallelism=there.parallelism if action.parallelism is None else action.parallelism,
                    suspended=there.suspended if action.suspend is None else action.suspend,
                    ttl_seconds=there.ttl_seconds if action.ttl_seconds is None else action.ttl_seconds,
                )
            case SetWorkloadActive(name=name, active=active):
                assert self.workload.name == name
                self.workload = replace(self.workload, active=active)
            case _:
                raise AssertionError(f"{action} came with others")

    def _job_name(self, of: PlanSeen) -> str:
        return f"amber-{of.digest[:2]}{of.retry}"


def started(world: World | None = None, **values: Any) -> World:
    """A world whose Job was made and told and works with all of its pods; `values` change the Job."""
    world = world or World()
    world.turn()
    world.change_job(**{"active": 1, "ready": 1, "started": after(world.seconds), **values})
    return world
