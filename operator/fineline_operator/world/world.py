"""What is known of the cluster from watching, for deciding when to look and whose turn it is.

Nothing here is what a reconcile acts on: it reads the objects themselves. The watcher writes, reconciles read. All in
the loop's own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from fineline_operator.evaluations.observed import JobSeen
from fineline_operator.queue import Key
from fineline_operator.world.known import (
    ANALYSIS,
    EVALUATION,
    READERS,
    SOURCE,
    AnalysisKnown,
    EvaluationKnown,
    JobKnown,
    Known,
    SourceKnown,
    lane,
)
from fineline_operator.world.places import Places

PROGRESS_DELAY_SECONDS = 1.0
"""A Job's counts change with each pod: looked at after a moment, so that many changes are one look."""

RESULTS_DELAY_SECONDS = 5.0
"""Many CheckpointEvals may publish into the same results: their analyses are looked at once for all of that time."""

Wake = Callable[[Key, float], None]
_Value = TypeVar("_Value")


class World:
    """All objects of our kinds, and the Jobs of those that have some.

    `wake` is called for a key that should be looked at, `gone` for an object that is no more. `results` is where
    results go, and are looked for, that name no place of their own.
    """

    def __init__(
        self,
        wake: Wake,
        *,
        max_active: int = 0,
        results: str = "",
        gone: Callable[[Known], None] = lambda _: None,
    ) -> None:
        self._wake = wake
        self._gone = gone
        self._results = results
        self._places = Places(max_active, lambda key: wake(key, 0.0))
        self._known: dict[str, dict[Key, Known]] = {EVALUATION: {}, SOURCE: {}, ANALYSIS: {}}
        self._source_keys: dict[str, Key] = {}
        self._news: dict[str, int] = {}
        self._analyses_of: dict[str, set[Key]] = {}
        self._jobs: dict[tuple[str, str], JobKnown] = {}
        self._jobs_of: dict[str, set[tuple[str, str]]] = {}

    # What reconciles ask and tell.

    def get(self, key: Key) -> Known | None:
        return self._known[key.kind].get(key)

    def evaluation(self, key: Key) -> EvaluationKnown | None:
        known = self.get(key)
        return known if isinstance(known, EvaluationKnown) else None

    def lane_of(self, key: Key) -> str:
        known = self.get(key)
        return known.lane if known is not None else lane(key.namespace)

    def unfinished(self, key: Key) -> bool:
        """Whether the key is to be looked at again without any event."""
        known = self.get(key)
        return known is not None and known.unfinished

    def news_of(self, source_uid: str) -> int:
        """How often something was told of the CheckpointEvals of a source: the same number, and nothing is new."""
        return self._news.get(source_uid, 0)

    def jobs_of(self, uid: str) -> tuple[JobSeen, ...]:
        """The Jobs of the object with this uid: at most one that runs, and earlier ones."""
        return tuple(self._jobs[place].seen for place in sorted(self._jobs_of.get(uid, ())))

    def active(self, besides: Key | None = None) -> int:
        """CheckpointEvals that take a place of `maxActive` now, those that are being started included."""
        return self._places.active(besides)

    def waiting_before(self, key: Key) -> int:
        """How many older ones wait for a place."""
        known = self.evaluation(key)
        return self._places.waiting_before(known.age if known is not None else None)

    def set_waiting(self, key: Key, *, waiting: bool) -> None:
        """A reconcile found that the key waits for a place of `maxActive`, or that it no longer does."""
        known = self.evaluation(key)
        if known is not None and waiting:
            self._places.waits(known.age)
        elif known is not None:
            self._places.waits_no_more(known.age)

    @contextmanager
    def starting(self, key: Key) -> Iterator[None]:
        """Around the request that makes a Job, or lets it run: it takes its place before the watcher tells of it."""
        with self._places.starting(key):
            yield

    # What the watcher tells; `job_seen_now` also the reconcile that has just made or changed a Job.

    def read(self, kind: str, body: Mapping[str, Any]) -> None:
        """An object of one of our kinds, as the API server gives it."""
        self.put(READERS[kind](body, self._results))

    def put(self, known: Known) -> None:
        """It is there, and reads so."""
        objects = self._known[known.key.kind]
        before = objects.get(known.key)
        if before == known:
            return
        if before is not None and before.uid != known.uid:
            self.drop(known.key)
            before = None
        objects[known.key] = known
        match known:
            case EvaluationKnown():
                self._put_evaluation(before if isinstance(before, EvaluationKnown) else None, known)
            case SourceKnown():
                self._source_keys[known.uid] = known.key
            case AnalysisKnown():
                self._drop_from_results(before)
                self._analyses_of.setdefault(known.results, set()).add(known.key)
        if _calls_for_a_look(before, known):
            self._wake(known.key, 0.0)

    def drop(self, key: Key, uid: str | None = None) -> None:
        """It is gone; with `uid` only if it is that one."""
        known = self.get(key)
        if known is None or (uid is not None and known.uid != uid):
            return
        match known:
            case EvaluationKnown():
                self._places.waits_no_more(known.age)
                self._wake_source(known)
            case SourceKnown():
                self._source_keys.pop(known.uid, None)
                self._news.pop(known.uid, None)
            case AnalysisKnown():
                self._drop_from_results(known)
        del self._known[key.kind][key]
        self._gone(known)

    def put_job(self, known: JobKnown) -> None:
        before = self._jobs.get(known.place)
        if before == known:
            return
        if before is not None and before.owner_uid != known.owner_uid:
            self.drop_job(*before.place)
            before = None
        self._keep_job(before, known)
        self._wake_owner(known, PROGRESS_DELAY_SECONDS if _only_progress(before, known) else 0.0)

    def drop_job(self, namespace: str, name: str, uid: str | None = None) -> None:
        """It is gone; with `uid` only if it is that one."""
        known = self._jobs.get((namespace, name))
        if known is None or (uid is not None and known.seen.uid != uid):
            return
        del self._jobs[known.place]
        _discard(self._jobs_of, known.owner_uid, known.place)
        self._count(known, None)
        self._wake_owner(known, 0.0)

    def job_seen_now(self, owner: Key, owner_uid: str, seen: JobSeen) -> None:
        """What the API server answered to a reconcile: the event that tells the same needs no further look."""
        known = JobKnown(owner, owner_uid, seen)
        self._keep_job(self._jobs.get(known.place), known)

    def objects(self, kind: str) -> dict[Key, Known]:
        """A copy, to compare a list of the API server with."""
        return dict(self._known[kind])

    def jobs(self) -> dict[tuple[str, str], JobKnown]:
        """A copy, to compare a list of the API server with."""
        return dict(self._jobs)

    def count(self, kind: str) -> int:
        """How many of a kind are known; Jobs too."""
        return len(self._jobs) if kind == "Job" else len(self._known[kind])

    def __len__(self) -> int:
        return len(self._jobs) + sum(len(objects) for objects in self._known.values())

    def _put_evaluation(self, before: EvaluationKnown | None, known: EvaluationKnown) -> None:
        """Whose turn it is, and what looks at CheckpointEvals: the source that made it, and analyses of its results."""
        if not known.unfinished or known.suspended:
            self._places.waits_no_more(known.age)
        elif before is None and known.waiting:
            self._places.waits(known.age)
        finished, published = (before.finished, before.published) if before is not None else (False, 0)
        if known.finished != finished:
            self._wake_source(known)
        if known.published > published or (known.finished and not finished):
            for key in self._analyses_of.get(known.results, ()):
                self._wake(key, RESULTS_DELAY_SECONDS)

    def _wake_source(self, evaluation: EvaluationKnown) -> None:
        """Not one of another namespace: anybody can write any label."""
        key = self._source_keys.get(evaluation.source_uid)
        if key is not None and key.namespace == evaluation.key.namespace:
            self._news[evaluation.source_uid] = self.news_of(evaluation.source_uid) + 1
            self._wake(key, 0.0)

    def _drop_from_results(self, known: Known | None) -> None:
        if isinstance(known, AnalysisKnown):
            _discard(self._analyses_of, known.results, known.key)

    def _keep_job(self, before: JobKnown | None, known: JobKnown) -> None:
        self._jobs[known.place] = known
        self._jobs_of.setdefault(known.owner_uid, set()).add(known.place)
        self._count(before, known)

    def _count(self, before: JobKnown | None, after: JobKnown | None) -> None:
        was, is_now = (known is not None and known.active for known in (before, after))
        if after is not None and is_now:
            self._places.taken(after.owner)
        if before is not None and was:
            self._places.given_back(before.owner)
            if not is_now:
                self._places.free()

    def _wake_owner(self, job: JobKnown, delay: float) -> None:
        """Not where the owner is gone, and its Jobs follow it; nor where it has ended, or after a restart all that has
        ended would be looked at."""
        owner = self.get(job.owner)
        if owner is not None and owner.uid == job.owner_uid and owner.unfinished:
            self._wake(job.owner, delay)


def _calls_for_a_look(before: Known | None, after: Known) -> bool:
    """What is new, what a person changed, and where there is something to do again: somebody took the status away. Not
    the operator's own status writes."""
    if before is None:
        return after.unfinished
    return before.asked != after.asked or (after.unfinished and not before.unfinished)


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


def _discard(sets: dict[str, set[_Value]], key: str, value: _Value) -> None:
    """Takes the value out of the key's set, and the set away where it is empty."""
    found = sets.get(key)
    if found is not None:
        found.discard(value)
        if not found:
            del sets[key]
