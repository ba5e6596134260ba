"""The end of an evaluation: how it is judged, how it stays, and how a retry opens it once more.

What counts is the listing of the results alone. How the Job ended only says why units are left, where some are.
"""

from __future__ import annotations

from fineline.resources.reasons import EventReason, Reason
from fineline_operator.evaluations import wording
from fineline_operator.evaluations.conditions import (
    admitted_as_it_stands,
    failed,
    going_on,
    planned_as_it_stands,
    succeeded,
)
from fineline_operator.evaluations.decision import Decision, Look, StatusWanted
from fineline_operator.evaluations.observed import CommitsSeen, JobSeen, NotLooked, Observed, PodsSeen
from fineline_operator.evaluations.problems import with_a_plan
from fineline_operator.evaluations.work import Work
from fineline_operator.telling.conditions import ConditionWanted, condition
from fineline_operator.telling.events import EventWanted, event
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.words import joined, sentence

DEADLINE_EXCEEDED = "DeadlineExceeded"
"""The reason that Kubernetes gives a Job that took longer than its activeDeadlineSeconds."""


def stay_ended(observed: Observed) -> Decision:
    """Nothing starts again. Only a spec edited since is told: that it was seen, and that it changes nothing."""
    evaluation = observed.evaluation
    status = evaluation.status
    told = status.condition("Succeeded")
    if told is None or status.observed_generation == evaluation.generation:
        return Decision()
    build = succeeded if told.status == "True" else failed
    conditions = build(planned_as_it_stands(status), admitted_as_it_stands(status), told.reason, told.message)
    message = (
        "It has ended, so what was edited in the spec changes nothing. "
        f"To have what has no result done under it: {wording.how_to_retry(evaluation)}"
    )
    return Decision(
        status=StatusWanted(conditions=conditions, finished=True),
        events=(event(EventReason.NOT_APPLIED, message),),
    )


def open_again(observed: Observed) -> Decision:
    """The status forgets how it ended before anything else is done, so that nobody reads the old end meanwhile."""
    message = "The annotation fineline.dev/retry opened it again: what has no result is planned anew."
    unknown = [condition(kind, "Unknown", Reason.RETRYING, message) for kind in ("Planned", "Admitted")]
    return Decision(
        status=StatusWanted(
            conditions=going_on(unknown[0], unknown[1], Reason.RETRYING, message),
            retry=observed.evaluation.retry,
            forget=True,
        ),
        events=(event(EventReason.RETRIED, f"{message} Its value: {observed.evaluation.retry}"),),
        again_after=0.0,
    )


def nothing_to_do(work: Work) -> Decision:
    """The plan has no unit without a result or a failure. A Job of an older plan has nothing to do either."""
    if work.plan.lacks:
        return _failed(work, None, None, Reason.SOME_UNITS_FAILED)
    return _succeeded(work, None, Reason.SUCCEEDED if work.had_job else Reason.ALL_REUSED)


def judge_without_a_job(work: Work, commits: CommitsSeen) -> Decision:
    """The Job is gone, and all of its units have ended."""
    if commits.failed or work.plan.lacks:
        return _failed(work, None, commits, Reason.SOME_UNITS_FAILED)
    return _succeeded(work, None, Reason.SUCCEEDED)


def judge(work: Work, job: JobSeen) -> Decision:
    """The Job has ended: what did it leave?"""
    commits = work.observed.commits
    if isinstance(commits, NotLooked):
        return Decision(look=Look.COMMITS)
    if isinstance(commits, Problem):
        return with_a_plan(work, commits, _admitted(job), job=job, events=work.job_events(job))
    reason = _verdict(work, job, commits)
    if reason is Reason.SUCCEEDED:
        return _succeeded(work, job, reason)
    if reason is Reason.PODS_FAILED and isinstance(work.observed.pods, NotLooked):
        return Decision(look=Look.PODS)
    return _failed(work, job, commits, reason)


def _verdict(work: Work, job: JobSeen, commits: CommitsSeen) -> Reason:
    if work.all_ended(commits):
        return Reason.SOME_UNITS_FAILED if commits.failed or work.plan.lacks else Reason.SUCCEEDED
    if job.finished == "Complete":
        return Reason.RESULTS_MISSING
    return Reason.DEADLINE_EXCEEDED if job.finished_reason == DEADLINE_EXCEEDED else Reason.PODS_FAILED


def _succeeded(work: Work, job: JobSeen | None, reason: Reason) -> Decision:
    message = wording.all_published(work.plan, had_job=work.had_job or job is not None)
    conditions = succeeded(work.planned, _admitted(job), reason, message)
    # A retry asked for meanwhile has nothing left to do: it counts as answered, and does not open it again.
    status = work.status_with(conditions, job=job, finished=True, retry=work.evaluation.retry)
    told = event(EventReason.SUCCEEDED, message)
    return Decision(status=status, events=(*_before_the_end(work, job), told))


def _failed(work: Work, job: JobSeen | None, commits: CommitsSeen | None, reason: Reason) -> Decision:
    message = joined(
        wording.not_all_published(work.plan, commits),
        wording.first_failure(work.failures or work.status.failures),
        _why(work, job, reason),
        f"{_mend(reason)} {wording.how_to_retry(work.evaluation)}",
    )
    conditions = failed(work.planned, _admitted(job), reason, message)
    status = work.status_with(conditions, job=job, finished=True)
    told = event(EventReason.FAILED, f"{reason}: {message}")
    return Decision(status=status, events=(*_before_the_end(work, job), *work.failure_events, told))


def _before_the_end(work: Work, job: JobSeen | None) -> tuple[EventWanted, ...]:
    """What the status does not show yet: it may all have happened between two looks."""
    return (*work.planned_events, *(work.job_events(job) if job is not None else ()))


def _why(work: Work, job: JobSeen | None, reason: Reason) -> str:
    """What the Job and its pods say of the units that are left."""
    if job is None:
        return ""
    if reason is Reason.RESULTS_MISSING:
        return (
            f"The Job {job.name} completed all the same: results were deleted, or its pods write to a store that the "
            "operator does not see."
        )
    if reason is Reason.DEADLINE_EXCEEDED:
        return f"The Job {job.name} took longer than spec.pods.deadlineSeconds."
    if reason is not Reason.PODS_FAILED:
        return ""
    pods = work.observed.pods
    troubles = pods.troubles if isinstance(pods, PodsSeen) else ()
    said = f"The Job {job.name} gave up ({job.finished_reason or 'Failed'}): {job.finished_message}"
    return joined(sentence(said), wording.of_trouble(troubles[0]) if troubles else "")


def _mend(reason: Reason) -> str:
    if reason is Reason.SOME_UNITS_FAILED:
        return "Mend what status.failures names, then retry:"
    if reason is Reason.RESULTS_MISSING:
        return "Let both mean the same store, then have them done again:"
    if reason is Reason.DEADLINE_EXCEEDED:
        return "What is published stays. Raise the deadline, then have the rest done:"
    return "What is published stays. Mend what its pods say (kubectl logs), then have the rest done:"


def _admitted(job: JobSeen | None) -> ConditionWanted:
    if job is None:
        return condition("Admitted", "True", Reason.NOT_NEEDED, "There is no Job left to admit.")
    return condition("Admitted", "True", Reason.ADMITTED, wording.admitted(job))
