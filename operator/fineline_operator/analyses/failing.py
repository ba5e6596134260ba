"""Analyses that came to nothing: which, and in what words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fineline.resources.analysis_reasons import AnalysisEvent, AnalysisReason
from fineline_operator.analyses.decision import Told
from fineline_operator.analyses.observed import AnalysisJob, Listed, Observed
from fineline_operator.evaluations.observed import NotLooked
from fineline_operator.jobs.names import analysis_job_name
from fineline_operator.telling.events import event
from fineline_operator.telling.words import joined, sentence

NEXT_TRY = "The next analysis follows new results, or an edit."


@dataclass(frozen=True, slots=True)
class Tried:
    """An analysis that was tried and has ended. `job` is None where it has been cleared away since."""

    name: str
    job: AnalysisJob | None


def tried_before(observed: Observed, listed: Listed) -> Tried | None:
    """The Job of just these results, settings and pods, if it has ended: there is no other of that name."""
    subject, asked = observed.analysis.subject, observed.asked
    if asked is None:
        return None
    name = analysis_job_name(subject.name, subject.uid, listed.digest, asked.settings_digest, asked.template_digest)
    job = next((job for job in observed.ended if job.name == name), None)
    last = observed.analysis.status.last_run
    return Tried(name, job) if job is not None or (last is not None and last.job_name == name) else None


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
        why = sentence(unreadable) or (
            "The newest analysis in the store is not the one that it was made for: see that settings.analysis.image "
            "fits this operator, and that nobody else writes there."
        )
        return joined(f"The Job {tried.name} ended well.", why, NEXT_TRY)
    if ready is not None and ready.reason == AnalysisReason.ANALYSIS_FAILED and (job is None or is_told(observed, job)):
        return ready.message
    if job is None:
        return f"The Job {tried.name} failed; it is gone by now, and its words with it. {NEXT_TRY}"
    if isinstance(observed.last_words, NotLooked):
        return None
    why = sentence(observed.last_words or job.message or "it left no message")
    return joined(f"The Job {job.name} failed: {why}", NEXT_TRY)


def event_of(observed: Observed, job: AnalysisJob, unreadable: str) -> tuple[Told, ...]:
    """That a Job came to nothing, as far as its words are known: told until the status has taken it up."""
    if is_told(observed, job):
        return ()
    message = message_of(observed, Tried(job.name, job), unreadable)
    return (Told(event(AnalysisEvent.ANALYSIS_FAILED, message), job.uid),) if message is not None else ()
