"""One look at one CheckpointEval: observe, decide, act. Called by the queue, never twice at once for the same one."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

from fineline.errors import SpecError
from fineline.plan import PlanFacts
from fineline.resources.reasons import Reason
from fineline.resources.status import Failure
from fineline_operator import metrics
from fineline_operator.admission import room
from fineline_operator.api import Api
from fineline_operator.evaluations.acting import Actor
from fineline_operator.evaluations.commits import Commits
from fineline_operator.evaluations.decide import decide
from fineline_operator.evaluations.decision import (
    CreateJob,
    Decision,
    DeleteJob,
    Look,
    MakePlan,
    PatchJob,
    SetWorkloadActive,
    StatusWanted,
)
from fineline_operator.evaluations.observed import CommitsSeen, EvaluationSeen, JobSeen, Observed, PlanSeen
from fineline_operator.evaluations.planning import Planner
from fineline_operator.evaluations.reading import TRUSTED_SECONDS, Evaluation, Reader
from fineline_operator.jobs import index_name, job_name, made_from
from fineline_operator.queue import Backoff, Key
from fineline_operator.settings import OperatorSettings
from fineline_operator.stores import store_table
from fineline_operator.telling.events import Teller
from fineline_operator.telling.problems import Problem
from fineline_operator.threads import Threads
from fineline_operator.world import World

MAX_ROUNDS = 16
"""A decision asks for each kind of look once and makes a few things: more rounds are a fault of ours."""


class Reconciler:
    """Looks at CheckpointEvals. What it keeps between two looks only saves asking again."""

    def __init__(self, api: Api, world: World, settings: OperatorSettings, threads: Threads) -> None:
        stores = store_table(settings)
        self.world = world
        self.settings = settings
        self.reader = Reader(api, settings)
        self.planner = Planner(api, self.reader, threads, stores)
        self.commits = Commits(threads, stores)
        self.actor = Actor(api, self.reader, settings)
        self.teller = Teller(api)
        self.last_commits: dict[str, CommitsSeen] = {}

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look without an event; None where events and the resync suffice.

        Raises `Backoff` for a passing fault that the status tells, `ApiError` where the API server fails.
        """
        read = await self.reader.evaluation(key.namespace, key.name)
        if read is None:
            return None
        look = _OneLook(self, key, read)
        decision = await look.decided()
        if decision.status is not None:
            self.world.set_waiting(key, waiting=_waits(decision.status))
        await look.carry_out(decision)
        ends = decision.status is not None and decision.status.finished
        if ends or look.seen.deleting or look.seen.status.finished:
            self.forget(look.seen.uid)
        if decision.backoff:
            raise Backoff(f"{key}: a passing fault; see its conditions")
        return decision.again_after

    def forget(self, uid: str) -> None:
        """Nothing is needed any more of a CheckpointEval that ended or is gone."""
        self.reader.forget(uid)
        self.last_commits.pop(uid, None)


def _waits(status: StatusWanted) -> bool:
    """Whether it waits for a place of `maxActive`."""
    return any(item.type == "Admitted" and item.reason == Reason.WAITING for item in status.conditions)


class _OneLook:
    """What is seen of one CheckpointEval now; grows as decisions ask for more."""

    def __init__(self, reconciler: Reconciler, key: Key, read: Evaluation | EvaluationSeen) -> None:
        self._own = reconciler
        self._key = key
        self._evaluation = read if isinstance(read, Evaluation) else None
        self.seen = read.seen if isinstance(read, Evaluation) else read
        self._facts: PlanFacts | None = None
        settings = reconciler.settings
        has_room, room_message = room(reconciler.world, key, settings.max_active)
        self._observed = Observed(
            now=datetime.now(UTC),
            evaluation=self.seen,
            not_allowed=self._evaluation.not_allowed if self._evaluation is not None else None,
            room=has_room,
            room_message=room_message,
            wanted_from=made_from(self.seen.spec) if self.seen.spec is not None else "",
            last_commits=reconciler.last_commits.get(self.seen.uid),
            trouble_seconds=settings.trouble_seconds,
            progress_seconds=settings.progress_seconds,
        )

    async def decided(self) -> Decision:
        """The decision once nothing more has to be looked at or made for it."""
        for _ in range(MAX_ROUNDS):
            decision = decide(self._observed)
            if decision.look is not None:
                self._observed = await self._looked(decision.look)
                continue
            match decision.actions:
                case (MakePlan(retry=retry),):
                    self._observed = await self._planned(retry)
                case (CreateJob(suspended=suspended),):
                    self._observed = await self._job_created(suspended=suspended)
                case _:
                    return decision
        raise RuntimeError(f"{self._key}: no decision after {MAX_ROUNDS} rounds; the last was {decision}")

    async def carry_out(self, decision: Decision) -> None:
        """Actions before events, events before the status: what is told has happened, and what happened is told.

        A decision names its events until the status shows what they tell. Were the status written first, one that dies
        right after would leave them untold; an event that is told twice is told once, by its name.
        """
        actor, seen = self._own.actor, self.seen
        for action in decision.actions:
            match action:
                case DeleteJob():
                    await actor.delete_job(seen, action)
                case PatchJob():
                    await actor.patch_job(seen, action)
                case SetWorkloadActive():
                    await actor.set_workload_active(seen, action)
                case _:
                    raise RuntimeError(f"{self._key}: {action} must be decided on alone")
        for event in decision.events:
            await self._own.teller.tell(seen.subject, event, self._observed.now, attempt=seen.attempt)
        if decision.status is not None:
            await actor.write_status(seen, decision.status, self._observed.now)

    async def _looked(self, look: Look) -> Observed:
        match look:
            case Look.PLAN:
                return await self._look_at_plan()
            case Look.JOB:
                return await self._look_at_job()
            case Look.COMMITS:
                return await self._look_at_commits()
            case Look.PODS:
                return await self._look_at_pods()
            case Look.WORKLOAD:
                job = self._observed.job
                if not isinstance(job, JobSeen):
                    raise RuntimeError(f"{self._key}: a Workload was asked for without a Job")  # noqa: TRY004 - our own fault
                return replace(self._observed, workload=await self._own.reader.workload(self.seen, job))

    async def _look_at_plan(self) -> Observed:
        jobs = self._own.world.jobs_of(self.seen.uid)
        # A plan comes before all that tells of it, but for a restart between the two.
        expected = self.seen.status.plan is not None or bool(jobs)
        # Once the Job has ended no pod needs the plan: it does not matter whether somebody has deleted it since.
        ended = any(job.finished and job.name == self.seen.status.job_name for job in jobs)
        max_age = math.inf if ended else TRUSTED_SECONDS
        try:
            self._facts = await self._own.reader.plan(self.seen, self.seen.attempt, expected=expected, max_age=max_age)
        except SpecError as error:
            return replace(self._observed, plan=None, plan_problem=Problem(error.reason, str(error)))
        return replace(self._observed, plan=self._plan_seen())

    async def _look_at_job(self) -> Observed:
        """The plan's Job, from the watch where it has it; asked for where the watch may be behind what we know."""
        known = {job.name: job for job in self._own.world.jobs_of(self.seen.uid)}
        name = self._job_name()
        job: JobSeen | Problem | None = known.get(name)
        if job is None and name and name == self.seen.status.job_name:
            job = await self._own.reader.job(self.seen, name)
        others = tuple(other for other in known.values() if other.name != name and not other.finished)
        if isinstance(job, Problem):
            return replace(self._observed, job=None, job_problem=job, other_jobs=others)
        return replace(self._observed, job=job, other_jobs=others)

    async def _look_at_pods(self) -> Observed:
        pods = await self._own.reader.pods(self.seen, self._job_name(), self._observed.now)
        return replace(self._observed, pods=pods)

    async def _look_at_commits(self) -> Observed:
        job = self._observed.job
        ended = job.ended_indexes if isinstance(job, JobSeen) else 0
        addresses = await self._own.reader.addresses(self.seen, self._facts) if self._facts is not None else None
        if self._facts is None or addresses is None:
            problem = Problem(
                Reason.CLUSTER_UNAVAILABLE, "a ConfigMap of the plan was deleted; it is made again", lasting=False
            )
            self._own.reader.forget(self.seen.uid)
            return replace(self._observed, commits=problem)
        commits = await self._own.commits.seen(self._lane(), self._facts, addresses, ended, self._observed.now)
        if isinstance(commits, CommitsSeen):
            before = self._own.last_commits.get(self.seen.uid)
            metrics.UNITS_PUBLISHED.inc(max(0, commits.published - (before.published if before is not None else 0)))
            self._own.last_commits[self.seen.uid] = commits
        return replace(self._observed, commits=commits)

    async def _planned(self, retry: str) -> Observed:
        if self._evaluation is None:
            raise RuntimeError(f"{self._key}: a plan was asked for without a spec")
        made = await self._own.planner.plan(self._evaluation, retry, self._lane())
        if isinstance(made, Problem):
            return replace(self._observed, plan=None, plan_problem=made)
        self._facts = made
        return replace(self._observed, plan=self._plan_seen(), plan_problem=None)

    async def _job_created(self, *, suspended: bool) -> Observed:
        """Others may have taken the room since this look began: it is asked for again, and taken in the same breath."""
        world, settings = self._own.world, self._own.settings
        has_room, message = room(world, self._key, settings.max_active)
        if not has_room and not suspended:
            return replace(self._observed, room=False, room_message=message)
        if self._evaluation is None or self._facts is None:
            raise RuntimeError(f"{self._key}: a Job was asked for without a plan")
        with world.starting(self._key):
            made = await self._own.actor.create_job(self._evaluation, self._facts, suspended=suspended)
            if isinstance(made, Problem):
                return replace(self._observed, job_problem=made)
            world.job_seen_now(self._key, self.seen.uid, made)
        return replace(self._observed, job=made, job_created=True)

    def _plan_seen(self) -> PlanSeen | None:
        facts = self._facts
        if facts is None:
            return None
        return PlanSeen(
            index_name=index_name(self.seen.name, self.seen.uid, facts.retry),
            digest=facts.digest,
            retry=facts.retry,
            made=facts.made,
            slices=facts.slices,
            checkpoints=facts.checkpoints,
            units=facts.units,
            todo=facts.todo,
            reused=facts.reused,
            failed_before=facts.failed_before,
            put_aside=facts.put_aside,
            put_aside_for_good=facts.put_aside_for_good,
            put_aside_example=facts.put_aside_example,
            failures=tuple(Failure.model_validate(item.model_dump()) for item in facts.failures),
            results_uri=facts.results_uri,
            run_results_uri=facts.run_results_uri,
        )

    def _job_name(self) -> str:
        facts = self._facts
        if facts is None:
            return self.seen.status.job_name or ""
        return job_name(self.seen.name, self.seen.uid, facts.retry, facts.digest, facts.slices)

    def _lane(self) -> str:
        return self._own.world.lane_of(self._key)
