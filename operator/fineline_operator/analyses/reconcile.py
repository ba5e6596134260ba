"""One look at one TrajectoryAnalysis: observe, decide, act. Called by the queue, never twice at once for the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from fineline.resources.analysis_reasons import AnalysisEvent
from fineline_operator import metrics
from fineline_operator.analyses.acting import Actor
from fineline_operator.analyses.decide import decide, last_try, taken_up
from fineline_operator.analyses.decision import CreateJob, Decision, Look
from fineline_operator.analyses.listing import Listing
from fineline_operator.analyses.observed import AnalysisSeen, Asked, Observed, ResultsSeen
from fineline_operator.analyses.outcome import counts, untold
from fineline_operator.analyses.reading import Reader
from fineline_operator.api import Api
from fineline_operator.jobs.analysis_job import analysis_name
from fineline_operator.queue import Backoff, Key
from fineline_operator.settings import OperatorSettings
from fineline_operator.stores import store_table
from fineline_operator.telling.problems import Problem
from fineline_operator.threads import Threads
from fineline_operator.world import World

MAX_ROUNDS = 8
"""A decision asks for each kind of look once and makes one thing: more rounds are a fault of ours."""


class AnalysisReconciler:
    """Looks at TrajectoryAnalyses. What it keeps between two looks only saves listing again."""

    def __init__(self, api: Api, world: World, settings: OperatorSettings, threads: Threads) -> None:
        self.world = world
        self.settings = settings
        self.reader = Reader(api, settings)
        self.listing = Listing(threads, store_table(settings))
        self.actor = Actor(api, self.reader)
        self.results: dict[str, ResultsSeen] = {}
        self._told: dict[str, tuple[str, str]] = {}

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look without an event; None where events and the resync suffice.

        Raises `Backoff` for a passing fault that the status tells, `ApiError` where the API server fails.
        """
        read = await self.reader.analysis(key.namespace, key.name)
        if read is None:
            return None
        look = _OneLook(self, key, *read)
        decision = await look.decided()
        written = await self.actor.carry_out(look.seen, decision, look.now)
        self._measure(look.seen, decision, written=written)
        if decision.backoff:
            raise Backoff(f"{key}: a passing fault; see its conditions")
        return decision.again_after

    def forget(self, uid: str) -> None:
        """Nothing is needed any more of a TrajectoryAnalysis that is gone."""
        self.results.pop(uid, None)
        place = self._told.pop(uid, None)
        if place is not None:
            metrics.forget_verdicts(*place)

    def _measure(self, seen: AnalysisSeen, decision: Decision, *, written: bool) -> None:
        status, subject = decision.status, seen.subject
        if status is None:
            return
        if written:
            told = {event.event.reason for event in decision.events}
            metrics.ANALYSES.labels("published").inc(AnalysisEvent.REPORT_PUBLISHED in told)
            metrics.ANALYSES.labels("failed").inc(AnalysisEvent.ANALYSIS_FAILED in told)
        if status.latest is not None:
            states = [one.state for one in status.latest.verdicts]
        elif subject.uid not in self._told and seen.status.verdicts:
            # After a start, until the newest analysis is read: an alert must not end because nobody can read it.
            states = [one.state for one in seen.status.verdicts]
        else:
            return
        self._told[subject.uid] = (subject.namespace, subject.name)
        metrics.tell_verdicts(subject.namespace, subject.name, counts(states))


class _OneLook:
    """What is seen of one TrajectoryAnalysis now; grows as decisions ask for more."""

    def __init__(self, reconciler: AnalysisReconciler, key: Key, seen: AnalysisSeen, asked: Asked | Problem) -> None:
        self._own = reconciler
        self._key = key
        self.seen = seen
        self._observed = Observed(
            now=datetime.now(UTC),
            analysis=seen,
            asked=asked if isinstance(asked, Asked) else None,
            problem=asked if isinstance(asked, Problem) else None,
            results=reconciler.results.get(seen.subject.uid),
            trouble_seconds=reconciler.settings.trouble_seconds,
        )

    @property
    def now(self) -> datetime:
        return self._observed.now

    async def decided(self) -> Decision:
        """The decision once nothing more has to be looked at or made for it."""
        if not self.seen.deleting:
            self._observed = replace(self._observed, jobs=await self._own.reader.jobs(self.seen))
        for _ in range(MAX_ROUNDS):
            decision = decide(self._observed)
            if decision.look is not None:
                self._observed = await self._looked(decision.look)
            elif decision.create is not None:
                self._observed = await self._created(decision.create)
            else:
                return decision
        raise RuntimeError(f"{self._key}: no decision after {MAX_ROUNDS} rounds; the last was {decision}")

    async def _looked(self, look: Look) -> Observed:
        match look:
            case Look.RESULTS:
                return await self._listed()
            case Look.PODS:
                job = self._observed.running
                pods = await self._own.reader.pods(self.seen, job.name if job is not None else "", self.now)
                return replace(self._observed, pods=pods)
            case Look.LAST_WORDS:
                job = next(iter(self._observed.ended), None)
                words = await self._own.reader.last_words(self.seen, job.name if job is not None else "")
                return replace(self._observed, last_words=words)

    async def _listed(self) -> Observed:
        asked, subject = self._observed.asked, self.seen.subject
        if asked is None:
            raise RuntimeError(f"{self._key}: a listing was asked for without a spec")
        # Threads of its own: a listing may take minutes, and nobody else who wants the same bucket waits for it.
        lane = f"{self._own.world.lane_of(self._key)}/analyses"
        told = untold(self.seen.status)
        listed = await self._own.listing.listed(lane, analysis_name(subject), asked, last_try(self._observed), told)
        now = datetime.now(UTC)
        if isinstance(listed, Problem):
            return replace(self._observed, now=now, results=listed, looked=True)
        seen = taken_up(self._observed, self._own.results.get(subject.uid), listed)
        self._own.results[subject.uid] = seen
        return replace(self._observed, now=now, results=seen, looked=True)

    async def _created(self, action: CreateJob) -> Observed:
        asked = self._observed.asked
        if asked is None:
            raise RuntimeError(f"{self._key}: a Job was asked for without a spec")
        made = await self._own.actor.create_job(self.seen, asked, action)
        if isinstance(made, Problem):
            return replace(self._observed, job_problem=made)
        return replace(self._observed, jobs=(*self._observed.jobs, made))
