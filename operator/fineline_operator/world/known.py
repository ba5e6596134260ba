"""The little that is kept of each object: small frozen values, read from bodies as the API server gives them.

Lenient: what can't be read is told by the reconcile, which reads the object itself, not here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fineline.resources.fields import GROUP
from fineline.sources.batches import SOURCE_UID_LABEL
from fineline_operator.evaluations.observed import JobSeen
from fineline_operator.jobs.seen import job_seen
from fineline_operator.queue import Key

EVALUATION = "CheckpointEval"
SOURCE = "CheckpointSource"
ANALYSIS = "TrajectoryAnalysis"

RETRY_ANNOTATION = f"{GROUP}/retry"
WAKE_ANNOTATION = f"{GROUP}/wake"
"""Any new value calls for a look at the CheckpointSource: what takes notices of uploads writes it."""


@dataclass(frozen=True, slots=True)
class EvaluationKnown:
    """A CheckpointEval. `created` is the API server's own text, which sorts by time; `retry` the annotation's value and
    `handled_retry` the one that the status answers to; `source_uid` is "" where no CheckpointSource made it; `results`
    is where its results go; `published` counts the units that the status says are published."""

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
    source_uid: str
    results: str
    published: int

    @property
    def unfinished(self) -> bool:
        """Whether there is, or may be, something to do without any further change."""
        return not self.deleting and (not self.finished or (bool(self.retry) and self.retry != self.handled_retry))

    @property
    def asked(self) -> tuple[object, ...]:
        """What a person asks for: a change of it calls for a look. The operator's own status is none of it."""
        return self.generation, self.deleting, self.retry

    @property
    def age(self) -> tuple[str, Key]:
        """The order of turns: the oldest first."""
        return self.created, self.key


@dataclass(frozen=True, slots=True)
class SourceKnown:
    """A CheckpointSource. `wake` is the annotation's value."""

    key: Key
    uid: str
    generation: int
    deleting: bool
    wake: str
    lane: str

    @property
    def unfinished(self) -> bool:
        """As long as it exists: checkpoints may come at any time."""
        return not self.deleting

    @property
    def asked(self) -> tuple[object, ...]:
        """What a change of calls for a look."""
        return self.generation, self.deleting, self.wake


@dataclass(frozen=True, slots=True)
class AnalysisKnown:
    """A TrajectoryAnalysis. `results` is where the results lie that it analyses."""

    key: Key
    uid: str
    generation: int
    deleting: bool
    results: str
    lane: str

    @property
    def unfinished(self) -> bool:
        """As long as it exists: results may come at any time, also from elsewhere."""
        return not self.deleting

    @property
    def asked(self) -> tuple[object, ...]:
        """What a change of calls for a look."""
        return self.generation, self.deleting


Known = EvaluationKnown | SourceKnown | AnalysisKnown


@dataclass(frozen=True, slots=True)
class JobKnown:
    """A Job, and what owns it: a CheckpointEval or a TrajectoryAnalysis, of the kind, name and uid that it says."""

    owner: Key
    owner_uid: str
    seen: JobSeen

    @property
    def place(self) -> tuple[str, str]:
        return self.owner.namespace, self.seen.name

    @property
    def active(self) -> bool:
        """Whether it takes one of the places of `maxActive`: not where Kueue decides, and not while it is suspended."""
        return (
            self.owner.kind == EVALUATION
            and not self.seen.queue_name
            and not self.seen.finished
            and not self.seen.suspended
        )


def lane(namespace: str, *uris: str) -> str:
    """What waits for the same buckets on behalf of the same namespace.

    >>> lane("evals", "s3://pretrain/amber-7b/", "s3://evals/results/", "")
    'evals/pretrain/evals'
    """
    return sys.intern("/".join([namespace, *dict.fromkeys(filter(None, map(_bucket, uris)))]))


def evaluation_known(body: Mapping[str, Any], results: str = "") -> EvaluationKnown:
    """A CheckpointEval; `results` is where results go that name no place of their own."""
    metadata, spec, status = (_map(body.get(part)) for part in ("metadata", "spec", "status"))
    key = key_of(EVALUATION, body)
    conditions = {
        item.get("type"): item for item in status.get("conditions") or () if isinstance(item, Mapping)
    }  # fmt: skip
    admitted = conditions.get("Admitted", {})
    results = str(spec.get("results") or results)
    return EvaluationKnown(
        key=key,
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
        lane=lane(key.namespace, _text(spec, "checkpoints", "uri"), results, _text(spec, "suite", "datasets")),
        source_uid=sys.intern(_text(metadata, "labels", SOURCE_UID_LABEL)),
        results=_folder(results),
        published=int(_map(status.get("progress")).get("published") or 0),
    )


def source_known(body: Mapping[str, Any], results: str = "") -> SourceKnown:
    """A CheckpointSource; `results` as above."""
    metadata, spec = _map(body.get("metadata")), _map(body.get("spec"))
    template = _map(spec.get("template"))
    key, results = key_of(SOURCE, body), str(template.get("results") or results)
    return SourceKnown(
        key=key,
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        wake=_text(metadata, "annotations", WAKE_ANNOTATION),
        lane=lane(key.namespace, str(spec.get("uri") or ""), results, _text(template, "suite", "datasets")),
    )


def analysis_known(body: Mapping[str, Any], results: str = "") -> AnalysisKnown:
    """A TrajectoryAnalysis; `results` as above."""
    metadata, spec = _map(body.get("metadata")), _map(body.get("spec"))
    key, results = key_of(ANALYSIS, body), str(spec.get("results") or results)
    return AnalysisKnown(
        key=key,
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        results=_folder(results),
        lane=lane(key.namespace, results, *map(str, spec.get("references") or ())),
    )


READERS: Mapping[str, Callable[[Mapping[str, Any], str], Known]] = {
    EVALUATION: evaluation_known,
    SOURCE: source_known,
    ANALYSIS: analysis_known,
}
"""What reads a body, by kind."""


def job_known(body: Mapping[str, Any]) -> JobKnown | None:
    """A Job that one of our kinds owns; None for any other."""
    metadata = body["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        ours = str(owner.get("apiVersion", "")).startswith(f"{GROUP}/") and owner.get("kind") in (EVALUATION, ANALYSIS)
        if owner.get("controller") and ours:
            key = Key(owner["kind"], sys.intern(str(metadata.get("namespace", ""))), owner["name"])
            return JobKnown(key, owner["uid"], job_seen(body))
    return None


def key_of(kind: str, body: Mapping[str, Any]) -> Key:
    """The key of an object of that kind."""
    metadata = _map(body.get("metadata"))
    return Key(kind, sys.intern(str(metadata.get("namespace", ""))), str(metadata.get("name", "")))


def _folder(uri: str) -> str:
    """The same for `s3://a/b` and `s3://a/b/`, so that URIs can be compared."""
    return sys.intern(f"{uri.rstrip('/')}/" if uri else "")


def _bucket(uri: str) -> str:
    try:
        return urlsplit(uri).netloc
    except ValueError:  # not a URI: the reconcile says so
        return ""


def _text(block: Mapping[str, Any], part: str, name: str) -> str:
    return str(_map(block.get(part)).get(name) or "")


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
