"""What is known of the cluster from watching: small frozen values, for deciding when to look and whose turn it is.

Nothing here is what a reconcile acts on: it reads the objects themselves. The watcher writes, reconciles read. All in
the loop's own thread.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from fineline_operator.evaluations.observed import JobSeen
from fineline_operator.queue import Key

KIND = "CheckpointEval"
RETRY_ANNOTATION = "fineline.dev/retry"
PROGRESS_DELAY_SECONDS = 1.0
"""A Job's counts change with each pod: looked at after a moment, so that many changes are one look."""

Wake = Callable[[Key, float], None]


@dataclass(frozen=True, slots=True)
class EvaluationKnown:
    """A CheckpointEval. `created` is the API server's own text, which sorts by time; `retry` the annotation's value and
    `handled_retry` the one that the status answers to."""

    key: Key
    uid: str
    generation: int
    created: str
    deleting: bool
    suspended: bool
    queue_name: str
    finished: bool
    retry: str
    handled_retry: str
    waiting: bool
    lane: str

    @property
    def unfinished(self) -> bool:
        """Whether there is, or may be, something to do without any further change."""
        return not self.deleting and (not self.finished or (bool(self.retry) and self.retry != self.handled_retry))

    @property
    def age(self) -> tuple[str, Key]:
        """The order of turns: the oldest first."""
        return self.created, self.key


@dataclass(frozen=True, slots=True)
class JobKnown:
    """A Job, and which CheckpointEval owns it."""

    namespace: str
    evaluation_uid: str
    evaluation_name: str
    seen: JobSeen

    @property
    def key(self) -> Key:
        return Key(KIND, self.namespace, self.evaluation_name)

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.seen.name

    @property
    def active(self) -> bool:
        """Whether it takes one of the places of `maxActive`: not where Kueue decides, and not while it is suspended."""
        return not self.seen.queue_name and not self.seen.finished and not self.seen.suspended


def lane(namespace: str, *uris: str) -> str:
    """What waits for the same buckets on behalf of the same namespace.

    >>> lane("evals", "s3://pretrain/amber-7b/", "s3://evals/results/", "")
    'evals/pretrain/evals'
    """
    return sys.intern("/".join([namespace, *dict.fromkeys(filter(None, map(_bucket, uris)))]))


def _bucket(uri: str) -> str:
    try:
        return urlsplit(uri).netloc
    except ValueError:  # not a URI: the reconcile says so
        return ""


def evaluation_known(body: Mapping[str, Any]) -> EvaluationKnown:
    """The little that is kept of a CheckpointEval. Lenient: what can't be read is told by the reconcile, not here."""
    metadata, spec, status = (_map(body.get(part)) for part in ("metadata", "spec", "status"))
    namespace = sys.intern(str(metadata.get("namespace", "")))
    conditions = {
        item.get("type"): item for item in status.get("conditions") or () if isinstance(item, Mapping)
    }  # fmt: skip
    admitted = conditions.get("Admitted", {})
    return EvaluationKnown(
        key=Key(KIND, namespace, str(metadata.get("name", ""))),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation") or 0),
        created=str(metadata.get("creationTimestamp") or ""),
        deleting=bool(metadata.get("deletionTimestamp")),
        suspended=bool(spec.get("suspend")),
        queue_name=sys.intern(str(spec.get("queueName") or "")),
        finished=conditions.get("Succeeded", {}).get("status") in ("True", "False"),
        retry=str(_map(metadata.get("annotations")).get(RETRY_ANNOTATION) or ""),
        handled_retry=str(status.get("retry") or ""),
        waiting=admitted.get("status") == "False" and admitted.get("reason") == "Waiting",
        lane=lane(
            namespace,
            str(_map(spec.get("checkpoints")).get("uri") or ""),
            str(spec.get("results") or ""),
            str(_map(spec.get("suite")).get("datasets") or ""),
        ),
    )


class World:
    """All CheckpointEvals and their Jobs.

    `wake` is called for a key that should be looked at, `gone` for a CheckpointEval that is no more.
    """

    def __init__(
        self,
        wake: Wake,
        *,
        max_active: int = 0,
        gone: Callable[[EvaluationKnown], None] = lambda _: None,
    ) -> None:
        self._wake = wake
        self._gone = gone
        self._max_active = max_active
        self._evaluations: dict[Key, EvaluationKnown] = {}
        self._jobs: dict[tuple[str, str], JobKnown] = {}
        self._jobs_of: dict[str, set[tuple[str, str]]] = {}
        self._active: dict[Key, int] = {}
        self._starting: dict[Key, int] = {}
        self._waiting: list[tuple[str, Key]] = []

    # What reconciles ask and tell.

    def evaluation(self, key: Key) -> EvaluationKnown | None:
        return self._evaluations.get(key)

    def lane_of(self, key: Key) -> str:
        known = self._evaluations.get(key)
        return known.lane if known is not None else lane(key.namespace)

    def unfinished(self, key: Key) -> bool:
        """Whether the key is to be looked at again without any event."""
        known = self._evaluations.get(key)
        return known is not None and known.unfinished

    def jobs_of(self, uid: str) -> tuple[JobSeen, ...]:
        """The Jobs of the CheckpointEval with this uid: at most one that runs, and those of earlier attempts."""
        return tuple(self._jobs[place].seen for place in sorted(self._jobs_of.get(uid, ())))

    def active(self, besides: Key | None = None) -> int:
        """CheckpointEvals that take a place of `maxActive` now, those that are being started included."""
        return len((self._active.keys() | self._starting.keys()) - {besides})

    def waiting_before(self, key: Key) -> int:
        """How many older ones wait for a place."""
        known = self._evaluations.get(key)
        return bisect_left(self._waiting, known.age) if known is not None else len(self._waiting)

    def set_waiting(self, key: Key, *, waiting: bool) -> None:
        """A reconcile found that the key waits for a place of `maxActive`, or that it no longer does."""
        known = self._evaluations.get(key)
        if known is None:
            return
        place = bisect_left(self._waiting, known.age)
        there = place < len(self._waiting) and self._waiting[place] == known.age
        if waiting and not there:
            self._waiting.insert(place, known.age)
        elif there and not waiting:
            del self._waiting[place]
            self._wake_waiting()

    @contextmanager
    def starting(self, key: Key) -> Iterator[None]:
        """Around the request that makes a Job, or lets it run: it takes its place before the watcher tells of it."""
        self._starting[key] = self._starting.get(key, 0) + 1
        try:
            yield
        finally:
            self._starting[key] -= 1
            if not self._starting[key]:
                del self._starting[key]
                self._wake_waiting()

    # What the watcher tells; `job_seen_now` also the reconcile that has just made or changed a Job.

    def put_evaluation(self, known: EvaluationKnown) -> None:
        before = self._evaluations.get(known.key)
        if before == known:
            return
        if before is not None and before.uid != known.uid:
            self.drop_evaluation(known.key)
            before = None
        self._evaluations[known.key] = known
        if not known.unfinished or known.suspended:
            self.set_waiting(known.key, waiting=False)
        elif before is None and known.waiting:
            insort(self._waiting, known.age)
        if _calls_for_a_look(before, known):
            self._wake(known.key, 0.0)

    def drop_evaluation(self, key: Key, uid: str | None = None) -> None:
        """It is gone; with `uid` only if it is that one."""
        known = self._evaluations.get(key)
        if known is None or (uid is not None and known.uid != uid):
            return
        self.set_waiting(key, waiting=False)
        del self._evaluations[key]
        self._gone(known)

    def put_job(self, known: JobKnown) -> None:
        before = self._jobs.get(known.place)
        if before == known:
            return
        if before is not None and before.evaluation_uid != known.evaluation_uid:
            self.drop_job(*before.place)
            before = None
        self._jobs[known.place] = known
        self._jobs_of.setdefault(known.evaluation_uid, set()).add(known.place)
        self._count(before, known)
        self._wake_owner(known, PROGRESS_DELAY_SECONDS if _only_progress(before, known) else 0.0)

    def drop_job(self, namespace: str, name: str, uid: str | None = None) -> None:
        """It is gone; with `uid` only if it is that one."""
        known = self._jobs.get((namespace, name))
        if known is None or (uid is not None and known.seen.uid != uid):
            return
        del self._jobs[known.place]
        places = self._jobs_of[known.evaluation_uid]
        places.discard(known.place)
        if not places:
            del self._jobs_of[known.evaluation_uid]
        self._count(known, None)
        self._wake_owner(known, 0.0)

    def job_seen_now(self, namespace: str, evaluation_uid: str, evaluation_name: str, seen: JobSeen) -> None:
        """What the API server answered to a reconcile: the event that tells the same needs no further look."""
        known = JobKnown(namespace, evaluation_uid, evaluation_name, seen)
        before = self._jobs.get(known.place)
        self._jobs[known.place] = known
        self._jobs_of.setdefault(evaluation_uid, set()).add(known.place)
        self._count(before, known)

    def evaluations(self) -> dict[Key, EvaluationKnown]:
        """A copy, to compare a list of the API server with."""
        return dict(self._evaluations)

    def jobs(self) -> dict[tuple[str, str], JobKnown]:
        """A copy, to compare a list of the API server with."""
        return dict(self._jobs)

    def counts(self) -> dict[str, int]:
        """How many are known, by resource."""
        return {"checkpointevals": len(self._evaluations), "jobs": len(self._jobs)}

    def __len__(self) -> int:
        return len(self._evaluations) + len(self._jobs)

    def _count(self, before: JobKnown | None, after: JobKnown | None) -> None:
        change = 0
        for known, sign in ((before, -1), (after, 1)):
            if known is not None and known.active:
                self._active[known.key] = self._active.get(known.key, 0) + sign
                if not self._active[known.key]:
                    del self._active[known.key]
                change += sign
        if change < 0:
            self._wake_waiting()

    def _wake_owner(self, job: JobKnown, delay: float) -> None:
        """Not where the CheckpointEval is gone, and its Jobs follow it."""
        owner = self._evaluations.get(job.key)
        if owner is not None and owner.uid == job.evaluation_uid:
            self._wake(job.key, delay)

    def _wake_waiting(self) -> None:
        """As many of the oldest as there are places."""
        places = self._max_active - self.active() if self._max_active else len(self._waiting)
        for _, key in self._waiting[: max(places, 0)]:
            self._wake(key, 0.0)


def _calls_for_a_look(before: EvaluationKnown | None, after: EvaluationKnown) -> bool:
    """Not the operator's own status writes: only what a person changed, and what is new."""
    if before is None:
        return after.unfinished
    return (
        (before.generation, before.deleting, before.retry) != (after.generation, after.deleting, after.retry)
        or (before.finished and not after.finished)  # somebody took the status away
    )  # fmt: skip


def _only_progress(before: JobKnown | None, after: JobKnown) -> bool:
    """Whether nothing but counts and times changed, or it is new: then its first pods follow within a moment."""
    if before is None:
        return not after.seen.finished
    return before.seen == replace(
        after.seen,
        active=before.seen.active,
        ready=before.seen.ready,
        terminating=before.seen.terminating,
        completed_indexes=before.seen.completed_indexes,
        failed_indexes=before.seen.failed_indexes,
        started=before.seen.started,
    )


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
