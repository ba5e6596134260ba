"""A Job that has not ended: bring it in line with the spec, and say how it gets on."""

from __future__ import annotations

from fineline.resources.reasons import EventReason, Reason
from fineline_operator.evaluations.admission import Admission, admission
from fineline_operator.evaluations.conditions import admitted_as_it_stands, going_on
from fineline_operator.evaluations.decision import Action, Decision, DeleteJob, Look, PatchJob
from fineline_operator.evaluations.observed import JobSeen, NotLooked, PodsSeen
from fineline_operator.evaluations.pods import pods_of
from fineline_operator.evaluations.problems import with_a_plan
from fineline_operator.evaluations.work import Work
from fineline_operator.jobs import parallelism, ttl_seconds
from fineline_operator.telling.events import EventWanted, event
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.words import counted

INDEX_PART = 6
"""An index that ended makes the next listing come after this part of the usual pause."""


def run(work: Work, job: JobSeen) -> Decision:
    """What a Job in progress calls for."""
    if job.deleting:
        return _wait_for_its_end(work, job)
    if _made_from_another_spec(work, job) and _has_no_pods(job):
        return _replace(work, job)
    stands = admission(work, job)
    if isinstance(stands, Look):
        return Decision(look=stands)
    actions = _actions(work, job, stands)
    events = (*work.planned_events, *_job_events(work, job), *stands.events)
    if stands.problem is not None:
        return with_a_plan(work, stands.problem, stands.condition, job=job, actions=actions, events=events)
    if stands.held:
        conditions = going_on(work.planned, stands.condition, stands.condition.reason, stands.condition.message)
        status = work.status_with(conditions, job=job)
        return Decision(actions=actions, status=status, events=events, again_after=stands.again_after)
    return _get_on(work, job, stands, actions, events)


def _get_on(
    work: Work, job: JobSeen, stands: Admission, actions: tuple[Action, ...], events: tuple[EventWanted, ...]
) -> Decision:
    """Pods run, or are about to: list the results now and then, and look whether a pod is in trouble."""
    commits = work.observed.commits
    if isinstance(commits, Problem):
        return with_a_plan(work, commits, stands.condition, job=job, actions=actions, events=events)
    listing = _seconds_to_the_next_listing(work, job)
    if listing is not None and listing <= 0 and isinstance(commits, NotLooked):
        return Decision(look=Look.COMMITS)
    pods = pods_of(work.observed, job)
    if isinstance(pods, Look):
        return Decision(look=pods)
    if isinstance(work.observed.pods, PodsSeen) and work.observed.pods.namespace_ending:
        return _give_way(work, job, stands)
    reason, message = (pods.reason, pods.message) if pods.reason else _headline(work, job)
    status = work.status_with(going_on(work.planned, stands.condition, reason, message), job=job)
    pauses = [pause for pause in (listing, pods.again_after, stands.again_after) if pause is not None and pause > 0]
    return Decision(
        actions=actions,
        status=status,
        events=(*events, *work.failure_events),
        again_after=min(pauses, default=None),
    )


def _give_way(work: Work, job: JobSeen, stands: Admission) -> Decision:
    """The namespace is being deleted. Kubernetes takes pods before Jobs, and the Job controller keeps a failed pod with
    `backoffLimitPerIndex` until the next one is made, which it can't be there any more: each would wait for the other.
    """
    message = (
        f"The namespace {work.evaluation.namespace} is being deleted: the Job {job.name} goes first, for its pods "
        "would hold that up."
    )
    conditions = going_on(work.planned, stands.condition, Reason.PROGRESSING, message)
    return Decision(actions=(DeleteJob(job.name, job.uid),), status=work.status_with(conditions, job=job))


def _headline(work: Work, job: JobSeen) -> tuple[Reason, str]:
    """Running is not said in the first seconds: a short evaluation's status is not written for that alone."""
    observed = work.observed
    seconds = (observed.now - job.started).total_seconds() if job.started is not None and not job.suspended else 0.0
    at_once = f"at most {counted(_pods_at_once(work, job), 'pod')} at once"
    if seconds >= observed.trouble_seconds and (job.ready > 0 or job.ended_indexes > 0):
        units = counted(work.plan.todo, "unit")
        return Reason.RUNNING, f"The Job {job.name} does {units} in {_slices(work)}, {at_once}."
    return Reason.PROGRESSING, f"The Job {job.name} is made and its pods start: {_slices(work)}, {at_once}."


def _slices(work: Work) -> str:
    return counted(work.plan.slices, "slice")


def _wait_for_its_end(work: Work, job: JobSeen) -> Decision:
    message = f"The Job {job.name} is being deleted. It is made again once it is gone; what is published stays."
    conditions = going_on(work.planned, admitted_as_it_stands(work.status), Reason.PROGRESSING, message)
    return Decision(status=work.status_with(conditions, job=job), events=work.planned_events)


def _replace(work: Work, job: JobSeen) -> Decision:
    message = (
        f"The Job {job.name} has no pods and was made from an older spec.pods, queueName or priorityClassName: it is "
        "made again from the present one."
    )
    conditions = going_on(work.planned, admitted_as_it_stands(work.status), Reason.PROGRESSING, message)
    return Decision(
        actions=(DeleteJob(job.name, job.uid),),
        status=work.status_with(conditions, job=job, job_name=""),
        events=(*work.planned_events, event(EventReason.JOB_REPLACED, message)),
    )


def _made_from_another_spec(work: Work, job: JobSeen) -> bool:
    return bool(job.made_from) and job.made_from != work.observed.wanted_from


def _has_no_pods(job: JobSeen) -> bool:
    return job.suspended and job.active == 0 and job.terminating == 0


def _pods_at_once(work: Work, job: JobSeen) -> int:
    """What the Job's `parallelism` should be. While it runs in a queue it stays: Kueue stops a Job that asks for other
    than it was admitted with, and queues it again."""
    if job.queue_name and not job.suspended:
        return job.parallelism
    return parallelism(work.spec, job.completions)


def _actions(work: Work, job: JobSeen, stands: Admission) -> tuple[Action, ...]:
    pods, ttl = _pods_at_once(work, job), ttl_seconds(work.spec)
    patch = PatchJob(
        job.name,
        parallelism=pods if pods != job.parallelism else None,
        suspend=stands.suspend,
        ttl_seconds=ttl if job.ttl_seconds not in (None, ttl) else None,
    )
    changes = patch != PatchJob(job.name)
    return (*((patch,) if changes else ()), *((stands.active,) if stands.active is not None else ()))


def _job_events(work: Work, job: JobSeen) -> tuple[EventWanted, ...]:
    events = [*work.job_events(job)]
    edited = work.status.observed_generation != work.evaluation.generation
    resized = _pods_at_once(work, job) != parallelism(work.spec, job.completions)
    if edited and (resized or _made_from_another_spec(work, job)):
        applies = (
            "nothing of the edited spec.pods applies to it (Kueue would stop it for another parallelism)"
            if job.queue_name
            else "of the edited spec.pods only parallelism applies to it"
        )
        message = (
            f"The Job {job.name} runs as it was made: {applies}, and queueName and priorityClassName do not. Set "
            "spec.suspend to true, and false once its pods are gone, to have it made again."
        )
        events.append(event(EventReason.NOT_APPLIED, message))
    return tuple(events)


def _seconds_to_the_next_listing(work: Work, job: JobSeen) -> float | None:
    """None while the Job is suspended or has not started; zero or less: now.

    Measured from the last listing, else from the start. An index that ended since makes it sooner, not at once: a
    thousand slices may end within a minute.
    """
    observed, last = work.observed, work.commits
    since = last.at if last is not None else job.started
    if since is None or job.suspended:
        return None
    counted = last.ended_indexes if last is not None else 0
    pause = observed.progress_seconds / (1 if job.ended_indexes == counted else INDEX_PART)
    # Clocks differ: a start in the future must not put it off for longer than the pause.
    return min(pause, pause - (observed.now - since).total_seconds())
