"""The small JSON records beside a unit's results: what was tried, and what failed for good; and the manifest.

Readers ignore fields that they don't know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from fineline.errors import ResultError
from fineline.results.version import SCHEMA_VERSION


@dataclass(frozen=True)
class FailureRecord:
    """A permanent failure of a unit. `scope` is checkpoint or task: what a person must mend.

    `at` is the time in ISO 8601, UTC; `retry` is that of the order under which it failed: another one forgets it.
    """

    reason: str
    message: str
    scope: str
    at: str
    attempts: int = 0
    retry: str = ""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class AttemptRecord:
    """One try of a unit, written before it starts: a try that kills its pod leaves this behind.

    `doing` is what the pod was about to do, `error` what it ended with, where it lived to tell; `retry` is that of the
    order under which it was tried.
    """

    number: int
    at: str
    pod: str
    doing: str = ""
    error: str = ""
    retry: str = ""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def now(cls, number: int, pod: str, *, doing: str, error: str = "", retry: str = "") -> Self:
        return cls(number, datetime.now(UTC).isoformat(timespec="seconds"), pod, doing, error, retry)


Record = TypeVar("Record", FailureRecord, AttemptRecord)


def record_to_json(record: FailureRecord | AttemptRecord) -> bytes:
    """A record as it is stored."""
    return _json(asdict(record))


def record_from_json(kind: type[Record], data: bytes, name: str) -> Record:
    """A stored record. `ResultError` names what is none, or of a newer schema version."""
    return kind(**_known(kind, data, name))


@dataclass(frozen=True)
class RunLabels:
    """What the evaluation's resource says of the run (`spec.run`): no number depends on it, analyses compare by it."""

    family: str | None = None
    parameters: int | None = None
    tokens_per_step: int | None = None
    strategy: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: object) -> Self:
        """Labels from the values of a record; what is missing or of another kind is not known."""
        found = values if isinstance(values, Mapping) else {}
        family, strategy = found.get("family"), found.get("strategy")
        counts = {
            name: found.get(name) if type(found.get(name)) is int else None
            for name in ("parameters", "tokens_per_step")
        }
        return cls(
            family=family if isinstance(family, str) else None,
            strategy={str(label): str(value) for label, value in strategy.items()}
            if isinstance(strategy, Mapping)
            else {},
            **counts,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` made; of anything else, what can be understood."""
        try:
            found = cls.of(json.loads(text))
            found.to_json().encode()  # half a character can be escaped, and not be written down
        except (ValueError, RecursionError):
            return cls()
        return found

    def to_json(self) -> str:
        """The labels in one line, the same for the same labels."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True)
class Manifest:
    """What a result was made with; stands in the schema metadata of metrics.arrow.

    `key_inputs` is what the key was computed from, in clear; `numerics_fingerprint` what else could move the last
    digits. `seconds` has fetch, load, score, metrics; `tokens` has scored and computed. `labels` are the run's, not
    known (all empty) in manifests of older versions.
    """

    key_inputs: Mapping[str, Any]
    software: Mapping[str, str]
    device: str
    seconds: Mapping[str, float]
    tokens: Mapping[str, int]
    prompts_cut: int
    numerics_fingerprint: Mapping[str, Any]
    sanity: Mapping[str, Any]
    load: Mapping[str, Any]
    samples_file: str = ""
    samples_rows: int = 0
    samples_digest: str = ""
    notes: tuple[str, ...] = ()
    data_digests: Mapping[str, str] = field(default_factory=dict)
    labels: RunLabels = RunLabels()
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        return _json(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Self:
        values = _known(cls, data, name)
        notes, labels = tuple(values.get("notes", ())), RunLabels.of(values.get("labels"))
        return cls(**{**values, "notes": notes, "labels": labels})


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, sort_keys=True, indent=1).encode()


def _known(cls: type[Any], data: bytes, name: str) -> dict[str, Any]:
    try:
        values = json.loads(data)
        version = values["schema_version"]
    except (ValueError, KeyError, TypeError):
        raise ResultError(f"{name}: not a Fineline record (truncated, or another program's)") from None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ResultError(
            f"{name}: has schema version {version}; this Fineline reads up to {SCHEMA_VERSION}: upgrade it"
        )
    names = {item.name for item in fields(cls)}
    known = {key: value for key, value in values.items() if key in names}
    try:
        cls(**known)
    except TypeError as error:
        raise ResultError(f"{name}: not a whole record: {error}") from None
    return known
