"""What `decide` sees of the world: plain frozen values, read anew for each decision.

`NOT_LOOKED` stands where nothing was read yet, because looking costs a listing or a request: `decide` asks for it where
it matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from fineline.resources import TrajectoryAnalysisSpec
from fineline.resources.analysis_status import TrajectoryAnalysisStatus
from fineline.results.analyses import AnalysisManifest
from fineline_operator.evaluations.observed import NOT_LOOKED, NotLooked, PodsSeen
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.subject import Subject


@dataclass(frozen=True, slots=True)
class AnalysisSeen:
    """The TrajectoryAnalysis. `spec` is None where it can't be read."""

    subject: Subject
    generation: int
    deleting: bool
    spec: TrajectoryAnalysisSpec | None
    status: TrajectoryAnalysisStatus


@dataclass(frozen=True, slots=True)
class Asked:
    """What an analysis is asked for now, and how its pod is made.

    `runs` are those whose folders are listed; none are all. `template_digest` names pod template and generation: where
    one has failed, another is another try.
    """

    results_uri: str
    runs: tuple[str, ...]
    settings_digest: str
    template: Mapping[str, Any] = field(repr=False)
    template_digest: str

    @property
    def scope(self) -> tuple[str, tuple[str, ...]]:
        """What is listed for it."""
        return self.results_uri, self.runs


@dataclass(frozen=True, slots=True)
class AnalysisJob:
    """A Job of the analysis. `commits` and the digests are those of the results that it was made for, `occasion` and
    `attempt` as in `Inputs`."""

    name: str
    uid: str
    created: datetime
    deleting: bool
    suspended: bool
    ready: int
    finished: Literal["", "Complete", "Failed"]
    ended: datetime | None
    message: str
    commits: int
    commits_digest: str
    settings_digest: str
    occasion: str = ""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """One listing of the commits of `scope`, begun `at` and done in `seconds`, and the newest analysis at that time.

    `newest` is the newest modification, `oldest` the oldest after the newest analysis; both by the store's clock.
    `published_at` is when the newest analysis was published, `unreadable` says why it can't be read. `previous` has the
    states of all runs by the analysis that the status tells of, where that is another one and the status has not room
    for all.
    """

    scope: tuple[str, tuple[str, ...]]
    at: datetime
    seconds: float
    commits: int
    digest: str
    newest: datetime | None
    oldest: datetime | None
    latest: AnalysisManifest | None
    published_at: datetime | None = None
    unreadable: str = ""
    previous: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResultsSeen:
    """The newest listing, and what those before it add, by the operator's own clock.

    The results that it shows were first listed at `seen`, and not yet all there at `not_before`. `new_seen` and
    `new_not_before` say the same of the first results that no analysis has. `after_job` is the uid of the newest Job
    that had ended then.
    """

    listed: Listed
    after_job: str
    seen: datetime
    not_before: datetime | None
    new_seen: datetime
    new_not_before: datetime | None


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a decision rests on.

    `asked` is None where `problem` says why nothing can be asked for. `jobs` are all Jobs of the analysis. `looked`:
    `results` were listed within this look. `last_words` are those of the pods of the newest Job that failed.
    `job_problem` says why the last try within this look to make a Job failed.
    """

    now: datetime
    analysis: AnalysisSeen
    asked: Asked | None
    problem: Problem | None
    jobs: tuple[AnalysisJob, ...] = ()
    results: ResultsSeen | Problem | None = None
    looked: bool = False
    pods: PodsSeen | NotLooked = NOT_LOOKED
    last_words: str | NotLooked = NOT_LOOKED
    job_problem: Problem | None = None
    trouble_seconds: float = 30.0

    @property
    def running(self) -> AnalysisJob | None:
        """The Job that has not ended, the oldest where two leaders made two."""
        return min(
            (job for job in self.jobs if not job.finished), key=lambda job: (job.created, job.name), default=None
        )

    @property
    def ended(self) -> tuple[AnalysisJob, ...]:
        """The Jobs that have ended, the newest first."""
        return tuple(
            sorted(
                (job for job in self.jobs if job.finished),
                key=lambda job: (job.ended or job.created, job.created, job.name),
                reverse=True,
            )
        )
