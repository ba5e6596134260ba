"""The CheckpointEvals of a source: which checkpoints share one, what they are called, what is in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fineline.resources.checkpoint_source import CheckpointSourceSpec
from fineline.resources.fields import GROUP, LONGEST_FOLDER_NAME, VERSION
from fineline.sources.listing import Walked
from fineline.sources.observed import MadeEvaluation, NewEvaluation, SourceIdentity

SOURCE_LABEL = f"{GROUP}/source"
"""The source's name, as far as it is a label's value; for people."""

SOURCE_UID_LABEL = f"{GROUP}/source-uid"
"""The source's uid, which its CheckpointEvals are found by."""

TEMPLATE_ANNOTATION = f"{GROUP}/template"
"""The digest of what results depend on besides the checkpoint."""

MOST_AT_ONCE = 64
"""CheckpointEvals that one look creates; the next goes on."""

_LONGEST_NAME = 63
_LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True)
class Cut:
    """Batches to make now, each in order. `due` is when the rest that is left must be one; None where none is left."""

    batches: tuple[tuple[Walked, ...], ...]
    due: datetime | None = None


def cut(waiting: Sequence[Walked], spec: CheckpointSourceSpec, now: datetime, *, idle: bool) -> Cut:
    """Full batches of those that wait, in order, and the rest where the source is `idle` (no CheckpointEval of it runs)
    or the one that was complete first has waited long enough.

    A checkpoint is complete `settleSeconds` after its last change. Where a store's clock is ahead so that this is yet
    to come, it has waited long enough.
    """
    whole = len(waiting) - len(waiting) % spec.batch
    parts = [waiting[start : start + spec.batch] for start in range(0, whole, spec.batch)]
    due = None
    if rest := waiting[whole:]:
        due = min(_due(item, spec, now) for item in rest)
        if idle or due <= now:
            parts.append(rest)
            due = None
    return Cut(tuple(tuple(part) for part in parts), due)


def _due(item: Walked, spec: CheckpointSourceSpec, now: datetime) -> datetime:
    complete = item.changed + timedelta(seconds=spec.complete.settle_seconds)
    return complete + timedelta(seconds=spec.max_wait_seconds) if complete <= now else now


def template_digest(spec: CheckpointSourceSpec, results_uri: str, units: str = "") -> str:
    """10 hex digits over what an evaluation's outcome depends on besides its checkpoints: the run's name, suite,
    engine, results, where checkpoints lie and how they are read.

    `units` is `UnitRecipe.digest`: the same names with other content (a ConfigMap, a mirror, a tokenizer, a newer lock)
    are another template. Positions are not in it, for they are in members.
    """
    template = spec.template
    reading = {"positions", "positions_from"}
    values = {
        "uri": _folder(spec.uri),
        "results": _folder(results_uri),
        "run": template.run.name,
        "suite": template.suite.model_dump(mode="json", exclude_defaults=True),
        "engine": template.engine.model_dump(mode="json", exclude_defaults=True),
        "checkpoints": spec.checkpoints.model_dump(mode="json", exclude_defaults=True, exclude=reading),
        "units": units,
    }
    return _digest(json.dumps(values, sort_keys=True))[:10]


def evaluation_name(source: SourceIdentity, template: str, number: int) -> str:
    """The name of the `number`-th CheckpointEval of a source for a template: a DNS label.

    >>> evaluation_name(SourceIdentity("amber-7b", "evals", "8e2f"), "0f3a", 12)
    'amber-7b-4ea704ba-12'

    Not the members name it but its turn: whoever creates the next one takes the next number, so of two operators that
    look at once, and may see different checkpoints, one alone succeeds, and the other looks again. No checkpoint gets
    into two of them.
    """
    ending = f"{_mark(source, template)}-{number}"
    front = source.name.replace(".", "-")[: _LONGEST_NAME - len(ending) - 1].strip("-")
    return f"{front}-{ending}" if front else ending


def number_of(name: str, source: SourceIdentity, template: str) -> int:
    """The number in a name made by `evaluation_name`; 0 for any other name.

    >>> source = SourceIdentity("amber-7b", "evals", "8e2f")
    >>> number_of("amber-7b-4ea704ba-12", source, "0f3a"), number_of("by-hand-12", source, "0f3a")
    (12, 0)
    """
    digits = name.rpartition("-")[2]
    number = int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 10 else 0
    return number if evaluation_name(source, template, number) == name else 0


def last_number(made: Iterable[MadeEvaluation], source: SourceIdentity, template: str) -> int:
    """The highest number that is taken; 0 where none is."""
    return max((number_of(item.name, source, template) for item in made), default=0)


def evaluation_body(
    source: SourceIdentity, spec: CheckpointSourceSpec, template: str, new: NewEvaluation
) -> dict[str, Any]:
    """The CheckpointEval to create. It goes with its source, where that is an object with a uid."""
    labels = {SOURCE_UID_LABEL: source.uid} if source.uid else {}
    if name := source.name[:_LONGEST_LABEL].strip("-."):
        labels[SOURCE_LABEL] = name
    metadata: dict[str, Any] = {"name": new.name, "labels": labels, "annotations": {TEMPLATE_ANNOTATION: template}}
    if source.namespace:
        metadata["namespace"] = source.namespace
    if source.uid:
        metadata["ownerReferences"] = [
            {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "CheckpointSource",
                "name": source.name,
                "uid": source.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ]
    pinned = [_pinned(checkpoint) for checkpoint in new.checkpoints]
    checkpoints = {"uri": spec.uri} | spec.checkpoints.as_yaml_values() | {"pinned": pinned}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "CheckpointEval",
        "metadata": metadata,
        "spec": spec.template.as_yaml_values() | {"checkpoints": checkpoints},
    }


def _pinned(checkpoint: Walked) -> dict[str, Any]:
    """The folder only says where to look. The URI's own has no name, and one of more characters than a CheckpointEval
    takes is found by a listing of all."""
    member, folder = checkpoint.member, checkpoint.folder
    told = {"folder": folder} if 0 < len(folder) <= LONGEST_FOLDER_NAME else {}
    return {"branch": member.branch, "step": member.step, "digest": member.digest} | told


def _mark(source: SourceIdentity, template: str) -> str:
    return _digest(f"{source.uid}/{template}")[:8]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _folder(uri: str) -> str:
    return uri.removesuffix("/") + "/"
