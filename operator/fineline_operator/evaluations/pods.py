"""Do the Job's pods get ahead? What keeps one from it is told once it has lasted; what passes quickly never is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fineline.resources.reasons import Reason
from fineline_operator.evaluations import wording
from fineline_operator.evaluations.decision import Look
from fineline_operator.evaluations.observed import JobSeen, NotLooked, Observed, PodsSeen

MANY_RESTARTS = 50
"""Pods that were evicted or disrupted count for no attempt; more than so many are told."""


@dataclass(frozen=True, slots=True)
class Pods:
    """The headline that the pods call for; an empty reason where all is well. `again_after` in seconds."""

    reason: str = ""
    message: str = ""
    again_after: float | None = None


def pods_of(observed: Observed, job: JobSeen) -> Pods | Look:
    """What is wrong with the pods, if anything, or that they must be looked at.

    They are looked at only while some that should be there are missing, not ready or terminating, or have failed and
    were replaced; and not in the Job's first seconds: a short evaluation never costs a list of pods.
    """
    if job.suspended or job.started is None:
        return Pods()  # nobody has made pods yet: the Job's next event tells
    if _settled(job):
        return _restarted_often(job) if _said_before(observed, job) else Pods()
    early = observed.trouble_seconds - _seconds(observed, job.started)
    if early > 0:
        return Pods(again_after=min(early, observed.trouble_seconds))  # clocks differ
    if isinstance(observed.pods, NotLooked):
        return Look.PODS
    return _trouble(observed, job, observed.pods)


def _trouble(observed: Observed, job: JobSeen, pods: PodsSeen) -> Pods:
    lasting = [item for item in pods.troubles if _seconds(observed, item.since) >= observed.trouble_seconds]
    if lasting:
        return Pods(lasting[0].reason, wording.of_trouble(lasting[0]), observed.trouble_seconds)
    if pods.restarts > MANY_RESTARTS:
        often = _restarted_often(job)
        return Pods(often.reason, often.message, observed.trouble_seconds)
    soon = observed.trouble_seconds / 2
    if pods.troubles:
        left = min(observed.trouble_seconds - _seconds(observed, item.since) for item in pods.troubles)
        return Pods(again_after=min(soon, left))
    # Where one has failed, the next is made after a pause that doubles each time, from 10 s to 10 min.
    if job.active == 0 and job.terminating == 0 and job.ended_indexes == 0 and not pods.made:
        message = wording.no_pods(job.name, observed.evaluation.namespace)
        return Pods(Reason.PODS_NOT_CREATED, message, observed.trouble_seconds)
    return Pods(again_after=soon)


def _settled(job: JobSeen) -> bool:
    """Whether as many pods run as there should, none hangs, and none failed but those that ended their index."""
    wanted = min(job.parallelism, job.completions - job.ended_indexes)
    all_there = job.active >= wanted and job.ready >= job.active and job.terminating == 0
    return all_there and job.failed_pods <= job.failed_indexes


def _restarted_often(job: JobSeen) -> Pods:
    message = (
        f"Pods of the Job {job.name} were evicted or disrupted more than {MANY_RESTARTS} times, which counts for no "
        "attempt. Look for what drains its nodes; spec.pods.deadlineSeconds bounds how long it may go on."
    )
    return Pods(Reason.RESTARTED_OFTEN, message)


def _said_before(observed: Observed, job: JobSeen) -> bool:
    """Restarts of a Job never get fewer: once told, it stays true without looking again."""
    told = observed.evaluation.status.condition("Succeeded")
    same_job = observed.evaluation.status.job_name == job.name
    return same_job and told is not None and told.reason == Reason.RESTARTED_OFTEN


def _seconds(observed: Observed, since: datetime) -> float:
    return (observed.now - since).total_seconds()
