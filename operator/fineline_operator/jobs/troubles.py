"""What keeps a Job's pods from working, out of what was kept of their bodies: pure.

Pods are told of as they stand now. A failure counts while its slice has not ended, and for a while after the pod that
took its place has begun: one that is out of memory every ten minutes runs well in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from fineline.resources.reasons import Reason
from fineline_operator.evaluations.observed import PodsSeen, PodTrouble
from fineline_operator.jobs.pods import PodProjection

FAILURE_REMEMBERED = timedelta(minutes=15)
"""So long is a pod's failure told while the pod in its place has no trouble of its own."""

_WORST_FIRST = (
    # Nothing runs until a person acts,
    Reason.INVALID_IMAGE_NAME, Reason.ERR_IMAGE_NEVER_PULL, Reason.CREATE_CONTAINER_CONFIG_ERROR,
    Reason.CREATE_CONTAINER_ERROR, Reason.RUN_CONTAINER_ERROR, Reason.IMAGE_PULL_BACK_OFF, Reason.ERR_IMAGE_PULL,
    # attempts are used up,
    Reason.OOM_KILLED, Reason.POD_EVICTED, Reason.POD_FAILED, Reason.NODE_LOST,
    # or it may be only a matter of time.
    Reason.FAILED_MOUNT, Reason.UNSCHEDULABLE, Reason.CONTAINER_CREATING,
)  # fmt: skip


def pods_seen(pods: Iterable[PodProjection], now: datetime, *, job: str | None = None) -> PodsSeen:
    """The troubles of the pods, the worst first, and how often pods were replaced without counting as failed.

    `job` leaves out the pods of other Jobs, such as one of an earlier attempt that has not been cleared away yet.
    """
    by_index: defaultdict[tuple[str, int], list[PodProjection]] = defaultdict(list)
    for pod in pods:
        if job is None or pod.job == job:
            by_index[pod.job, pod.index].append(pod)
    troubles = [trouble for tries in by_index.values() if (trouble := _of_index(tries, now)) is not None]
    return PodsSeen(
        troubles=tuple(sorted(troubles, key=_order)),
        restarts=sum(max(pod.restarts for pod in tries) for tries in by_index.values()),
        made=bool(by_index),
    )


def _of_index(tries: list[PodProjection], now: datetime) -> PodTrouble | None:
    """The trouble of one slice's pods: of the newest, else of the one that failed last."""
    newest = max(tries, key=lambda pod: (pod.created, pod.name))
    if newest.done:
        return None
    if newest.trouble is not None and newest.told_from <= now:
        return newest.trouble
    failed = [pod for pod in tries if pod.failed and pod.trouble is not None and pod is not newest]
    if not failed:
        return None
    last = max(failed, key=lambda pod: (pod.created, pod.name)).trouble
    return last if last is not None and now - last.since < FAILURE_REMEMBERED else None


def _order(trouble: PodTrouble) -> tuple[int, datetime, str]:
    # Of equals the one that has lasted longest: it stays the first while others come and go.
    rank = next((number for number, reason in enumerate(_WORST_FIRST) if reason == trouble.reason), len(_WORST_FIRST))
    return rank, trouble.since, trouble.pod
