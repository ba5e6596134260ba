"""A small world for decisions on a TrajectoryAnalysis: results that come, Jobs that end, clocks that differ, restarts.

It stands in for the API server, the store and the pod; all are real in the tests of the operator as a whole. Statuses
are made by the operator's own `next_status`, digests by the contract's own functions. Times are seconds from the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fineline.resources import TrajectoryAnalysisSpec
from fineline.resources.analysis_status import TrajectoryAnalysisStatus
from fineline.results.analyses import AnalysisManifest, CommitsDigest, RunState
from fineline.store import StoredObject
from fineline_operator.analyses.decide import decide, last_try, taken_up
from fineline_operator.analyses.decision import Decision, Look, Told
from fineline_operator.analyses.observed import AnalysisJob, AnalysisSeen, Asked, Listed, Observed, ResultsSeen
from fineline_operator.analyses.outcome import next_status
from fineline_operator.evaluations.observed import PodsSeen
from fineline_operator.jobs.analysis_job import Inputs
from fineline_operator.jobs.names import analysis_job_name
from fineline_operator.telling.subject import Subject

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
SUBJECT = Subject("TrajectoryAnalysis", "evals", "sevens", "6f1d8f6a-7d58-4a52-9d3c-0b1f2a3c4d5e")
RESULTS = "s3://evals/results/"


def after(seconds: float) -> datetime:
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def spec(**values: Any) -> TrajectoryAnalysisSpec:
    return TrajectoryAnalysisSpec.model_validate({"runs": {"all": True}, **values})


def seen(status: TrajectoryAnalysisStatus | None = None, *, generation: int = 1, **values: Any) -> AnalysisSeen:
    """The analysis `evals/sevens`; `values` are fields of its spec."""
    return AnalysisSeen(
        SUBJECT, generation, deleting=False, spec=spec(**values), status=status or TrajectoryAnalysisStatus()
    )


def asked(settings: str = "s1", template: str = "t1", runs: tuple[str, ...] = ()) -> Asked:
    return Asked(RESULTS, runs, settings, {}, template)


def manifest(of: str = "c1", settings: str = "s1", *, listed_at: float = 0, **values: Any) -> AnalysisManifest:
    """The manifest of an analysis of these results."""
    states = values.pop("states", {"amber": "improving"})
    usual: dict[str, Any] = {
        "digest": f"{of}-{settings}",
        "settings_digest": settings,
        "commits_digest": of,
        "commits": 3,
        "listed_at": after(listed_at),
        "files": (),
        "runs": len(states),
        "verdicts": tuple(RunState(run=run, state=state, message=f"{run} is {state}") for run, state in states.items()),
    }
    return AnalysisManifest(**{**usual, **values})


def listed(of: str = "c1", *, at: float = 0, latest: AnalysisManifest | None = None, **values: Any) -> Listed:
    """A listing of three results, the newest a minute old."""
    usual: dict[str, Any] = {
        "scope": (RESULTS, ()), "at": after(at), "seconds": 0.1, "commits": 3, "digest": of,
        "newest": after(at - 60), "oldest": after(at - 60), "latest": latest,
    }  # fmt: skip
    return Listed(**{**usual, **values})


def results(found: Listed, **values: Any) -> ResultsSeen:
    """What is known after a first listing."""
    usual: dict[str, Any] = {
        "listed": found, "after_job": "", "seen": found.at, "not_before": None, "new_seen": found.at,
        "new_not_before": None,
    }  # fmt: skip
    return ResultsSeen(**{**usual, **values})


def job_name(commits: str = "c1", settings: str = "s1", template: str = "t1", occasion: str = "") -> str:
    return analysis_job_name(SUBJECT.name, SUBJECT.uid, commits, settings, template, occasion)


def job(
    commits: str = "c1", *, made: float = 0, ended: float | None = None, failed: bool = False, **values: Any
) -> AnalysisJob:
    """The Job of these results: running, or ended after so many seconds."""
    name = job_name(commits, values.get("settings_digest", "s1"), occasion=values.get("occasion", ""))
    usual: dict[str, Any] = {
        "name": name, "uid": f"uid-{name}", "created": after(made), "deleting": False, "suspended": False,
        "ready": 1 if ended is None else 0, "finished": "" if ended is None else "Failed" if failed else "Complete",
        "ended": None if ended is None else after(ended), "message": "", "commits": 3, "commits_digest": commits,
        "settings_digest": "s1",
    }  # fmt: skip
    return AnalysisJob(**{**usual, **values})


def observed(now: float = 0, **values: Any) -> Observed:
    """The analysis that nothing is known of yet."""
    usual: dict[str, Any] = {"analysis": seen(), "asked": asked(), "problem": None}
    return Observed(now=after(now), **{**usual, **values})


@dataclass
class Pod:
    """One run of the program: it lists after `starts` seconds and writes at its end."""

    job: AnalysisJob
    lists_at: float
    ends_at: float
    fails: bool
    names: frozenset[str] = frozenset()


@dataclass
class World:
    """Plays on from look to look. `commits` are the seconds at which results come, and `lost` those at which some of
    them go again, by their number; the store's clock is `skew` seconds ahead, the operator's `ahead`. Results wake the
    operator where `woken`; a listing takes `listing_seconds`; `seconds_of` and `fails` say how the n-th Job goes, and
    what they publish is of other results where the pods read `reads_elsewhere`."""

    commits: Sequence[float]
    lost: dict[int, float] = field(default_factory=dict)
    debounce: int = 120
    max_wait: int = 1800
    skew: float = 0.0
    ahead: float = 0.0
    listing_seconds: float = 0.0
    reads_elsewhere: bool = False
    woken: bool = True
    seconds_of: Callable[[int], float] = lambda _: 40.0
    fails: Callable[[int], bool] = lambda _: False
    now: float = 0.0
    generation: int = 1
    suspend: bool = False
    settings: str = "s1"
    status: TrajectoryAnalysisStatus = field(default_factory=TrajectoryAnalysisStatus)
    latest: AnalysisManifest | None = None
    published_at: datetime | None = None
    jobs: list[AnalysisJob] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    analysed: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    listings: list[float] = field(default_factory=list)
    memory: ResultsSeen | None = None
    due: float = 0.0
    again_after: float = 0.0

    def run(self, until: float, *, disturbances: Sequence[tuple[float, Callable[[World], None]]] = ()) -> World:
        """Looks whenever it would, until then. Each disturbance comes at its time, before the look of that moment."""
        waiting = sorted(disturbances, key=lambda one: one[0])
        while True:
            moments = [self.due, *(commit + 5.0 for commit in self.commits if self.woken and commit + 5.0 > self.now)]
            moments += [pod.ends_at for pod in self.pods if not self._job(pod.job.uid).finished]
            moments += [one[0] for one in waiting[:1]]
            if min(moments) > until:
                self.now = max(self.now, until)
                return self
            self.now = max(self.now, min(moments))
            self._play_pods()
            while waiting and waiting[0][0] <= self.now:
                waiting.pop(0)[1](self)
            self.look()

    def look(self, *, dies: bool = False) -> None:
        """One look of the operator; `dies` ends it before it writes the status."""
        told = observed(
            self.now + self.ahead,
            analysis=seen(
                self.status, generation=self.generation, suspend=self.suspend, debounceSeconds=self.debounce,
                maxWaitSeconds=self.max_wait,
            ),
            asked=asked(self.settings, f"t{self.generation}"),
            jobs=tuple(self.jobs),
            results=self.memory,
        )  # fmt: skip
        decision = self._decided(told)
        gone = {action.uid for action in decision.delete}
        self.jobs = [one for one in self.jobs if one.uid not in gone]
        again = decision.again_after if decision.again_after is not None else 300.0
        self.again_after = again
        self.due = self.now + max(min(again, 300.0), 0.01)
        if dies:
            self.restart()
            return
        self.events += decision.events
        assert decision.status is not None
        self.status = next_status(told.analysis, decision.status, after(self.now + self.ahead)) or self.status

    def restart(self) -> None:
        """The operator forgets all that it only remembered, and looks at once."""
        self.memory, self.due = None, self.now

    def delete_running(self) -> None:
        """Somebody deletes the Job that runs."""
        running = {one.uid for one in self.jobs if not one.finished}
        self.jobs = [one for one in self.jobs if one.uid not in running]
        self.pods = [pod for pod in self.pods if pod.job.uid not in running]
        self.due = self.now

    def delete_analyses(self) -> None:
        """Somebody deletes what lies under `analyses/`."""
        self.latest, self.published_at, self.due = None, None, self.now

    def put_older_analysis(self) -> None:
        """A program that listed less, and was slow, puts its own analysis over the newest."""
        self.latest = manifest("older", self.settings, listed_at=-1)
        self.published_at, self.due = after(self.now), self.now

    def edit(self, **values: Any) -> None:
        """The spec is edited."""
        for name, value in values.items():
            setattr(self, name, value)
        self.generation += 1
        self.due = self.now

    @property
    def reason(self) -> str:
        ready = self.status.condition("Ready")
        return ready.reason if ready is not None else ""

    def _decided(self, told: Observed) -> Decision:
        for _ in range(8):
            decision = decide(told)
            match decision.look:
                case Look.RESULTS:
                    self.memory = taken_up(
                        told, told.results if isinstance(told.results, ResultsSeen) else None, self._listed(told)
                    )
                    told = replace(told, now=after(self.now + self.ahead), results=self.memory, looked=True)
                case Look.PODS:
                    told = replace(told, pods=PodsSeen((), 0))
                case Look.LAST_WORDS:
                    told = replace(told, last_words="it ran out of luck")
                case None if decision.create is not None:
                    told = replace(told, jobs=(*told.jobs, self._made(decision.create.inputs)))
                case None:
                    return decision
        raise AssertionError("no decision")

    def _listed(self, told: Observed) -> Listed:
        self.listings.append(self.now)
        tried = last_try(told)
        since = max(filter(None, (self.latest.listed_at if self.latest else None, tried)), default=None)
        there = [(name, after(at + self.skew)) for name, at in self._names(self.now)]
        new = [modified for _, modified in there if since is None or modified > since]
        began = self.now
        self.now += self.listing_seconds
        return Listed(
            scope=(RESULTS, ()), at=after(began + self.ahead), seconds=self.listing_seconds, commits=len(there),
            digest=self._digest(frozenset(name for name, _ in there)),
            newest=max((modified for _, modified in there), default=None), oldest=min(new, default=None),
            latest=self.latest, published_at=self.published_at,
        )  # fmt: skip

    def _names(self, until: float) -> list[tuple[str, float]]:
        return [
            (f"commit-{number}", at)
            for number, at in enumerate(self.commits)
            if at <= until and self.lost.get(number, math.inf) > until
        ]

    def _digest(self, names: frozenset[str]) -> str:
        digest = CommitsDigest()
        for name in names:
            digest.add(StoredObject(name, 1, "", START))
        return digest.hexdigest()

    def _made(self, inputs: Inputs) -> AnalysisJob:
        """The API server takes one Job of a name, and the Job controller makes its pod."""
        assert not any(not one.finished for one in self.jobs), "two Jobs at once"
        number = len(self.starts)
        name = job_name(inputs.commits_digest, self.settings, f"t{self.generation}", inputs.occasion)
        assert name not in {one.name for one in self.jobs}, "a Job was made twice"
        made = job(
            inputs.commits_digest, made=self.now, name=name, uid=f"uid-{number}", settings_digest=self.settings,
            occasion=inputs.occasion, attempt=inputs.attempt,
        )  # fmt: skip
        self.jobs.append(made)
        self.starts.append(self.now)
        seconds = self.seconds_of(number)
        self.pods.append(Pod(made, self.now + seconds / 4, self.now + seconds, self.fails(number)))
        return made

    def _play_pods(self) -> None:
        for pod in self.pods:
            if pod.ends_at > self.now or self._job(pod.job.uid).finished:
                continue
            how: Any = "Failed" if pod.fails else "Complete"
            self.jobs = [
                replace(one, finished=how, ended=after(pod.ends_at), ready=0) if one.uid == pod.job.uid else one
                for one in self.jobs
            ]
            if not pod.fails:
                listed = self._names(pod.lists_at)
                names = frozenset(name for name, _ in listed)
                self.analysed.append((pod.lists_at, names))
                self.latest = manifest(
                    "elsewhere" if self.reads_elsewhere else self._digest(names),
                    pod.job.settings_digest,
                    commits=len(names),
                    listed_at=max(at for _, at in listed) + self.skew,
                )
                self.published_at = after(pod.ends_at)

    def _job(self, uid: str) -> AnalysisJob:
        """The Job as it is; one that is gone counts as ended."""
        gone = job(ended=0)
        return next((one for one in self.jobs if one.uid == uid), gone)
