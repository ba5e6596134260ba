"""May the Job's pods run? The user's `suspend`, the operator's `maxActive`, and Kueue each have a say.

Who has the Job's own `suspend` in hand: Kueue, where the Job has a queue (spec.queueName, or one that Kueue itself
gave it) or a Workload; else Fineline.
"""

from __future__ import annotations

from dataclasses import dataclass

from fineline.resources.reasons import EventReason, Reason
from fineline_operator.evaluations import wording
from fineline_operator.evaluations.decision import Look, SetWorkloadActive
from fineline_operator.evaluations.observed import JobSeen, NotLooked, WorkloadSeen
from fineline_operator.evaluations.work import Work
from fineline_operator.telling.conditions import ConditionWanted, condition
from fineline_operator.telling.events import EventWanted, event
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.words import joined, sentence

SOON_SECONDS = 5.0
"""Workloads are not watched. While Kueue holds a Job they are looked at so often at first, and each `trouble_seconds`
later; that Kueue admits a Job is seen by the Job itself."""

DEACTIVATED = ("Deactivated", "Inactive")
"""How the reasons start that Kueue gives an eviction which its own switch, Workload.spec.active, made."""

DEACTIVATED_BY_KUEUE = "DeactivatedDueTo"
"""Likewise where Kueue turned it: too many tries, an admission check that said no, too long a time."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What `Admitted` says. `held`: no pod is meant to run, and the headline says why.

    `suspend` is what the Job's own field should become, `active` Kueue's switch; None leaves them.
    """

    condition: ConditionWanted
    held: bool
    problem: Problem | None = None
    suspend: bool | None = None
    active: SetWorkloadActive | None = None
    events: tuple[EventWanted, ...] = ()
    again_after: float | None = None


def held_before_the_job(work: Work) -> ConditionWanted | None:
    """Why no Job is made now: the user's `suspend`, or no room; None where one may be made."""
    if work.spec.suspend:
        return _not_yet(Reason.SUSPENDED, "spec.suspend is true: no Job is made until it is false.")
    if work.spec.queue_name is None and not work.observed.room:
        return _waiting(work)
    return None


def admission(work: Work, job: JobSeen) -> Admission | Look:
    """Where the Job stands, and what turns it the way that the spec says; or what must be looked at first."""
    workload = work.observed.workload
    if job.queue_name or (isinstance(workload, WorkloadSeen) and workload.name):
        return _by_kueue(work, job)
    if work.spec.suspend:
        return _suspended(work, job, suspend=None if job.suspended else True)
    if not job.suspended:
        return _admitted(work, job)
    if isinstance(workload, NotLooked):
        # Suspended though nobody here wants it so: Kueue may have taken it (manageJobsWithoutQueueName).
        return Look.WORKLOAD
    if not work.observed.room:
        return Admission(_waiting(work), held=True)
    return _admitted(work, job, suspend=False)


def _by_kueue(work: Work, job: JobSeen) -> Admission | Look:
    seen = work.observed.workload
    running_as_wanted = not (work.spec.suspend or job.suspended or _was_suspended(work))
    if running_as_wanted:
        return _admitted(work, job)
    if isinstance(seen, NotLooked):
        return Look.WORKLOAD
    if work.spec.suspend:
        return _suspended_in_kueue(work, job, seen)
    if seen.name and not seen.active:
        return _inactive(work, job, seen)
    if not job.suspended or (seen.admitted and not seen.evicted):
        # One that is still suspended Kueue lets go in a moment; or it has stopped it since its Workload was read.
        return _admitted(work, job, again_after=_soon(work) if job.suspended else None)
    return _queued(work, job, seen)


def _suspended_in_kueue(work: Work, job: JobSeen, seen: WorkloadSeen) -> Admission:
    again = _look_again(work, job)
    if seen.name:
        active = SetWorkloadActive(seen.name, active=False) if seen.active else None
        return _suspended(work, job, active=active, again_after=again if active or not job.suspended else None)
    # Without a Workload there is no switch yet; a Job that runs all the same is stopped by its own.
    return _suspended(work, job, suspend=None if job.suspended else True, again_after=again)


def _inactive(work: Work, job: JobSeen, seen: WorkloadSeen) -> Admission:
    """Switched off: by the user's `suspend`, which is over, or by somebody else, whose word counts."""
    if _was_suspended(work):
        message = f"spec.suspend is false again: the Job {job.name} waits for Kueue to admit it."
        return Admission(
            _not_yet(Reason.QUEUED, message),
            held=True,
            active=SetWorkloadActive(seen.name, active=True),
            events=(_resumed(job),),
            again_after=_soon(work),
        )
    by_kueue = seen.evicted.startswith(DEACTIVATED_BY_KUEUE)
    message = wording.switched_off(seen, work.evaluation.namespace, by_kueue=by_kueue)
    return Admission(_not_yet(Reason.EVICTED, message), held=True, again_after=_look_again(work, job))


def _queued(work: Work, job: JobSeen, seen: WorkloadSeen) -> Admission:
    again = _look_again(work, job)
    if seen.problem is not None:
        said = condition("Admitted", "False", seen.problem.reason, wording.of_problem(seen.problem))
        return Admission(said, held=True, problem=seen.problem)
    words = sentence(seen.message)
    if seen.evicted and not seen.evicted.startswith(DEACTIVATED):
        reason = Reason.PREEMPTED if seen.evicted == Reason.PREEMPTED else Reason.EVICTED
        kept = f"What is published stays; the Job {job.name} goes on when Kueue admits it again."
        said = _not_yet(reason, joined(words or f"Kueue stopped the Job: {seen.evicted}.", kept))
        return Admission(said, held=True, again_after=again)
    if not words and not _is_new(work, job):
        no_workload = wording.no_workload(job, work.spec.priority_class_name)
        words = wording.no_words(job, work.evaluation.namespace) if seen.name else no_workload
    if seen.evicted.startswith(DEACTIVATED_BY_KUEUE):
        words = wording.not_taken_up(seen, work.evaluation.namespace)
    words = joined(words, wording.mend_of_quota(words)) or f"The Job {job.name} waits for Kueue to admit it."
    return Admission(_not_yet(Reason.QUEUED, words), held=True, again_after=again)


def _admitted(work: Work, job: JobSeen, *, suspend: bool | None = None, again_after: float | None = None) -> Admission:
    said = condition("Admitted", "True", Reason.ADMITTED, wording.admitted(job))
    events = (_resumed(job),) if suspend is False and _was_suspended(work) else ()
    return Admission(said, held=False, suspend=suspend, events=events, again_after=again_after)


def _suspended(
    work: Work,
    job: JobSeen,
    *,
    suspend: bool | None = None,
    active: SetWorkloadActive | None = None,
    again_after: float | None = None,
) -> Admission:
    message = f"spec.suspend is true: the Job {job.name} runs no pod until it is false. What is published stays."
    told = event(EventReason.SUSPENDED, message)
    return Admission(
        _not_yet(Reason.SUSPENDED, message),
        held=True,
        suspend=suspend,
        active=active,
        events=() if _was_suspended(work) else (told,),
        again_after=again_after,
    )


def _waiting(work: Work) -> ConditionWanted:
    message = sentence(work.observed.room_message) or (
        "As many evaluations run as the operator's maxActive allows: this one waits for its turn, the oldest first."
    )
    return _not_yet(Reason.WAITING, message)


def _not_yet(reason: Reason, message: str) -> ConditionWanted:
    return condition("Admitted", "False", reason, message)


def _resumed(job: JobSeen) -> EventWanted:
    return event(EventReason.RESUMED, f"spec.suspend is false again: the Job {job.name} may go on.")


def _was_suspended(work: Work) -> bool:
    """Whether the last word on it was the user's `suspend`. What was switched off then is switched on again after."""
    told = work.status.condition("Admitted")
    return told is not None and told.reason == Reason.SUSPENDED


def _is_new(work: Work, job: JobSeen) -> bool:
    return (work.observed.now - job.created).total_seconds() < 2 * work.observed.trouble_seconds


def _soon(work: Work) -> float:
    return min(SOON_SECONDS, work.observed.trouble_seconds)


def _look_again(work: Work, job: JobSeen) -> float:
    return _soon(work) if _is_new(work, job) else work.observed.trouble_seconds
