"""Reads what a decision about one CheckpointSource rests on, but for its stores: the API server's side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fineline.errors import SpecError
from fineline.resources.checkpoint_source import CheckpointSource, CheckpointSourceSpec
from fineline.resources.reading import validated
from fineline.resources.source_reasons import SourceReason
from fineline.resources.source_status import CheckpointSourceStatus
from fineline.sources.batches import SOURCE_UID_LABEL, TEMPLATE_ANNOTATION
from fineline.sources.deciding import MadeEvaluation
from fineline.sources.listing import Member
from fineline_operator.api import Api, NotFound, path_of
from fineline_operator.config_maps import config_map, positions_file
from fineline_operator.evaluations.reading import evaluation_seen
from fineline_operator.settings import OperatorSettings, allows
from fineline_operator.sources.observed import Source, SourceSeen
from fineline_operator.stores import not_allowed
from fineline_operator.telling.problems import Problem
from fineline_operator.world import WAKE_ANNOTATION


@dataclass(frozen=True, slots=True)
class Files:
    """The ConfigMaps that a source names: None where it names none."""

    suite: Mapping[str, str] | None = None
    positions: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The CheckpointEvals of a source, and which of them it owns: those alone are its to delete."""

    evaluations: tuple[MadeEvaluation, ...]
    owned: frozenset[str]


class SourceReader:
    """Reads through the API, anew each time."""

    def __init__(self, api: Api, settings: OperatorSettings) -> None:
        self._api = api
        self._settings = settings

    async def source(self, namespace: str, name: str) -> tuple[SourceSeen, Source | Problem] | None:
        """The source, or what was seen of it and why it can't be meant. None where it is gone."""
        try:
            body = await self._api.get(path_of("checkpointsources", namespace, name))
        except NotFound:
            return None
        seen = source_seen(body)
        try:
            spec = validated(CheckpointSource, body, f"{namespace}/{name}").spec
        except SpecError as error:
            return seen, Problem(SourceReason.SPEC_INVALID, str(error))
        return seen, meant(seen, spec, self._settings)

    async def files(self, source: Source) -> Files:
        """`SpecError` where one of them is not there, or lacks its key."""
        suite, positions = source.spec.template.suite.config_map, source.spec.checkpoints.positions_from
        api, namespace = self._api, source.seen.namespace
        return Files(
            None if suite is None else await config_map(api, namespace, suite, "spec.template.suite.configMap"),
            None if positions is None else await positions_file(api, namespace, positions.config_map),
        )

    async def made(self, source: SourceSeen) -> Made:
        """Its CheckpointEvals as they are now, by a list that no cache answers."""
        evaluations: dict[str, MadeEvaluation] = {}
        owned: set[str] = set()
        path = path_of("checkpointevals", source.namespace)
        async for body in self._api.list(path, label_selector=f"{SOURCE_UID_LABEL}={source.uid}"):
            one = made_evaluation(body)
            evaluations[one.uid] = one
            if any(owner.get("uid") == source.uid for owner in body["metadata"].get("ownerReferences") or ()):
                owned.add(one.uid)
        return Made(tuple(evaluations.values()), frozenset(owned))

    async def is_own(self, source: SourceSeen, name: str) -> bool:
        """Whether the CheckpointEval of that name was made by this source, or is gone."""
        try:
            body = await self._api.get(path_of("checkpointevals", source.namespace, name), metadata_only=True)
        except NotFound:
            return True
        return (body["metadata"].get("labels") or {}).get(SOURCE_UID_LABEL) == source.uid


def source_seen(body: Mapping[str, Any]) -> SourceSeen:
    """The part of a CheckpointSource that can always be read."""
    metadata = body["metadata"]
    return SourceSeen(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        wake=(metadata.get("annotations") or {}).get(WAKE_ANNOTATION, ""),
        status=CheckpointSourceStatus.read(body),
    )


def meant(seen: SourceSeen, spec: CheckpointSourceSpec, settings: OperatorSettings) -> Source | Problem:
    """What a spec means under the operator's settings, or why it can't be meant."""
    results, datasets = spec.template.results or settings.results, settings.datasets
    if results is None:
        message = "spec.template.results: is not set, and the operator's settings have no results URI: set one of them"
        return Problem(SourceReason.RESULTS_NOT_SET, message)
    try:
        problem = not_allowed(_uris(spec, results, datasets), seen.namespace, settings)
    except SpecError as error:
        return Problem(SourceReason.SPEC_INVALID, str(error))
    return problem or Source(seen, spec, results, datasets, _queue_problem(spec, seen.namespace, settings))


def made_evaluation(body: Mapping[str, Any]) -> MadeEvaluation:
    """A CheckpointEval of a source. One that is opened again by its retry annotation has not ended."""
    seen = evaluation_seen(body)
    succeeded = seen.status.condition("Succeeded")
    finished = seen.status.finished and not seen.opened_again
    return MadeEvaluation(
        name=seen.name,
        uid=seen.uid,
        members=frozenset(_members(body)),
        template=(body["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION, ""),
        finished=finished,
        succeeded=finished and succeeded is not None and succeeded.status == "True",
        created=seen.created,
        ended=seen.status.completion_time if finished else None,
    )


def _members(body: Mapping[str, Any]) -> list[Member]:
    pinned = ((body.get("spec") or {}).get("checkpoints") or {}).get("pinned") or ()
    return [Member(pin.get("branch", "main"), pin["step"], pin["digest"]) for pin in pinned if pin.get("digest")]


def _uris(spec: CheckpointSourceSpec, results: str, datasets: str | None) -> list[tuple[str, str]]:
    named = {
        "spec.uri": spec.uri,
        "spec.checkpoints.tokenizer": spec.checkpoints.tokenizer,
        "spec.checkpoints.config": spec.checkpoints.config,
        "spec.template.suite.datasets": spec.template.suite.datasets or datasets,
        "spec.template.results": results,
    }
    return [(field, uri) for field, uri in named.items() if uri is not None]


def _queue_problem(spec: CheckpointSourceSpec, namespace: str, settings: OperatorSettings) -> Problem | None:
    if spec.sqs is None:
        return None
    queue = next((queue for queue in settings.queues if queue.url == spec.sqs), None)
    if queue is None:
        message = f"spec.sqs: {spec.sqs}: is none of the queues in the operator's settings (queues)"
    elif not allows(queue.namespaces, namespace):
        message = f"spec.sqs: {spec.sqs}: the namespace {namespace} may not use this queue"
    else:
        return None
    return Problem(
        SourceReason.QUEUE_NOT_ALLOWED,
        f"{message}. Have it added there, or leave sqs out. The prefix is listed all the same, every "
        f"{spec.poll_seconds} s",
    )
