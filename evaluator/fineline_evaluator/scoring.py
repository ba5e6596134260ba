"""What the task library asks of a backend, and what it gets back: plain frozen values, token ids only.

Requests of one unit are handed over at once, in canonical order; the backend decides how to share work between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class LoglikelihoodRequest:
    """The log-probability of `continuation` after `context`, both token ids and neither empty.

    Already cut to the model's window as lm-eval's `hf` does: `len(context) + len(continuation) - 1 <= window`, for the
    last token never enters the model.
    """

    context: tuple[int, ...]
    continuation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loglikelihood:
    """`logprob` in nats, summed over the continuation; `greedy`: every token of it is the most probable one."""

    logprob: float
    greedy: bool


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Text after `prompt` (token ids), until one of the `until` strings or `max_tokens`; greedy at temperature 0."""

    prompt: tuple[int, ...]
    until: tuple[str, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 1234


@dataclass(frozen=True, slots=True)
class LoadReport:
    """How a checkpoint came into the engine. `how`: started, swapped, restarted. `notes`: what a person should know."""

    how: str
    seconds: float
    verified: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Since the last `begin_unit`: tokens that requests asked about, and tokens that the model really computed."""

    scored: int
    computed: int


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a resource's `engine` says; `max_model_len` None means the checkpoint's own window."""

    backend: str = "vllm"
    dtype: str = "bfloat16"
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
    args: dict[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """An engine that holds one checkpoint at a time and scores requests against it."""

    def load(self, folder: Path) -> LoadReport:
        """Loads the checkpoint in `folder` (Hugging Face layout: config.json and safetensors): starts the engine, or
        swaps the weights of the running one, and verifies that the weights in the engine are the file's. A failed
        verification restarts the engine once and says so; a second failure is `CheckpointError` (LoadFailed)."""
        ...

    def begin_unit(self) -> None:
        """Seals: drops everything that an earlier unit left behind (prefix cache, memo, counts)."""
        ...

    def loglikelihoods(self, requests: Sequence[LoglikelihoodRequest]) -> list[Loglikelihood]:
        """One answer a request, in order. `EngineError` (OutOfMemory, EngineFailed)."""
        ...

    def generate(self, requests: Sequence[GenerateRequest]) -> list[str]:
        """The generated text of each request, in order, cut before the stop string."""
        ...

    def counts(self) -> TokenCounts: ...

    def fingerprint(self) -> dict[str, Any]:
        """The numerics fingerprint: everything but the key's inputs that could move the last digits."""
        ...

    def close(self) -> None: ...
