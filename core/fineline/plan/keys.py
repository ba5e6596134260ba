"""A unit's key: the digest of all that its numbers depend on. The same key means the same numbers.

It is computed from a listing and small files, without lm-eval or weights. Pods, slices and the numerics fingerprint are
not in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fineline.engine_arguments import CAPACITY

SCORING_VERSION = 1
"""Raised when the way of scoring changes so that numbers may differ."""

SEED = 1234
"""For few-shot examples, samples of documents and bootstraps."""


@dataclass(frozen=True)
class KeyInputs:
    """Everything that a unit's numbers depend on.

    `task_identity` is the digest of the task's configuration and of its Python, `data_digest` that of its data sets;
    `engine` holds the settings that change numbers.
    """

    checkpoint_digest: str
    task: str
    task_identity: str
    shots: int | None
    limit: int | None
    seed: int
    data_digest: str
    tokenizer_digest: str
    add_bos: bool | None
    allow_code_execution: bool
    engine: Mapping[str, Any]
    scoring_version: int = SCORING_VERSION

    def as_values(self) -> dict[str, Any]:
        """The inputs by name, not copied: a plan asks this for each of its units."""
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = tuple(field.name for field in fields(KeyInputs))


def unit_key(inputs: KeyInputs) -> str:
    """The first 16 hex digits of SHA-256 over the canonical JSON of the inputs."""
    text = json.dumps(inputs.as_values(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def engine_numerics(backend: str, dtype: str, max_model_len: int | None, args: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the engine's settings that belongs into the key: all but those that size the engine or split it over
    devices, which move last digits and stand in the numerics fingerprint."""
    numerics = {name: value for name, value in sorted(args.items()) if name not in CAPACITY}
    return {"backend": backend, "dtype": dtype, "max_model_len": max_model_len, "args": numerics}
