"""Analyses that came to nothing: which, and in what words. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from fineline.resources.analysis_reasons import AnalysisEvent, AnalysisReason
from fineline_operator.analyses.decision import Told
from fineline_operator.analyses.observed import AnalysisJob, Asked, Listed, Observed, ResultsSeen
from fineline_operator.evaluations.observed import NotLooked
from fineline_operator.jobs.names import analysis_job_name
from fineline_operator.telling.events import event
from fineline_operator.telling.words import joined, sentence

MOST_ATTEMPTS = 2
"""So often an analysis is made of the same results without its being the newest one after all."""

_NONE = (
    "There is no analysis in the store: see that settings.analysis.image fits this operator, and that its pod writes "
    "to the store that the operator reads."
)
_ANOTHER = (
    "The newest analysis in the store is of other results: see that settings.analysis.image fits this operator, that "
    "its pod reads the store that the operator reads, and that nobody else writes there."
)
NEXT_TRY = "The next analysis follows new results, or an edit."


@dataclass(frozen=True, slots=True)
class Tried:
    """An analysis that was tried and has ended. `job` is None where it has been cleared away since."""

    name: str
    job: AnalysisJob | None


def occasion_of(observed: Observed, listed: Listed) -> str:
    """Names what is published, or was and is gone: a Job that ended and left it so came to nothing, and one that was
    made before something else was published says nothing of today."""
    status, latest = observed.analysis.status, listed.latest
    if latest is not None:
        return _named("there", latest.digest, listed.published_at)
    return _named("gone", status.inputs_digest, status.published_at) if status.inputs_digest else ""


def tried_before(observed: Observed, listed: Listed) -> Tried | None:
    """The Job of just these results, settings and pods, if it has ended and came to nothing: there is no other of that
    name. Or one that published, twice in a row, something else."""
    asked, newest = observed.asked, next(iter(observed.ended), None)
    if asked is None:
        return None
    name = _name_of(observed, asked, listed, occasion_of(observed, listed))
    job = next((job for job in observed.ended if job.name == name), None)
    last = observed.analysis.status.last_run
    if job is not None or (last is not None and last.job_name == name):
        return Tried(name, job)
    if newest is not None and attempt_of(observed, asked, listed) > MOST_ATTEMPTS:
        return Tried(newest.name, newest)
    return None


def attempt_of(observed: Observed, asked: Asked, listed: Listed) -> int:
    """Which of those in a row that were made for these results and ended well, but are not the newest analysis, the
    next Job is: somebody else may have published theirs over it, and may not go on to."""
    newest = next(iter(observed.ended), None)
    if newest is None or newest.finished != "Complete" or was_published(observed, newest):
        return 1
    return newest.attempt + 1 if newest.name == _name_of(observed, asked, listed, newest.occasion) else 1


def was_published(observed: Observed, job: AnalysisJob) -> bool:
    """Whether the status has told of this Job that what it published is the newest."""
    ready = observed.analysis.status.condition("Ready")
    well = (AnalysisReason.UP_TO_DATE, AnalysisReason.NO_RESULTS)
    return ready is not None and ready.reason in well and is_told(observed, job)


def _name_of(observed: Observed, asked: Asked, listed: Listed, occasion: str) -> str:
    subject = observed.analysis.subject
    return analysis_job_name(
        subject.name, subject.uid, listed.digest, asked.settings_digest, asked.template_digest, occasion
    )


def _named(how: str, digest: str, at: datetime | None) -> str:
    # What others wrote may be of any length.
    return hashlib.sha256(f"{how}\n{digest}\n{at and at.isoformat()}".encode(errors="replace")).hexdigest()[:16]


def is_told(observed: Observed, job: AnalysisJob) -> bool:
    """Whether the status has taken up how this Job ended."""
    last = observed.analysis.status.last_run
    return last is not None and last.job_name == job.name


def message_of(observed: Observed, tried: Tried, unreadable: str) -> str | None:
    """Why there is no analysis of what was tried; None where the pods' last words are needed for it. `unreadable` says
    why the newest analysis in the store can't be read."""
    ready = observed.analysis.status.condition("Ready")
    job = tried.job
    if job is not None and job.finished == "Complete":
        why = sentence(unreadable) or (_ANOTHER if _is_there(observed) else _NONE)
        return joined(f"The Job {tried.name} ended well.", why, NEXT_TRY)
    if ready is not None and ready.reason == AnalysisReason.ANALYSIS_FAILED and (job is None or is_told(observed, job)):
        return ready.message
    if job is None:
        return f"The Job {tried.name} failed; it is gone by now, and its words with it. {NEXT_TRY}"
    if isinstance(observed.last_words, NotLooked):
        return None
    why = sentence(observed.last_words or job.message or "it left no message")
    return joined(f"The Job {job.name} failed: {why}", NEXT_TRY)


def _is_there(observed: Observed) -> bool:
    return isinstance(observed.results, ResultsSeen) and observed.results.listed.latest is not None


def event_of(observed: Observed, job: AnalysisJob, unreadable: str) -> tuple[Told, ...]:
    """That a Job came to nothing, as far as its words are known: told until the status has taken it up."""
    if is_told(observed, job):
        return ()
    message = message_of(observed, Tried(job.name, job), unreadable)
    return (Told(event(AnalysisEvent.ANALYSIS_FAILED, message), job.uid),) if message is not None else ()
