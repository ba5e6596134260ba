"""What `spec.engine` comes to: allowed arguments, fixed sizes, the window, the threads. Imports neither vLLM nor torch.

Batch and cache sizes are settings and never what happens to be free: they move the last digits of every answer.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.engine_arguments import refusal
from fineline.errors import CheckpointError, SpecError
from fineline_evaluator.scoring import EngineSettings

DTYPES = ("auto", "bfloat16", "float16", "float32")
BACKENDS = ("vllm", "transformers")

_WINDOW_FIELDS = ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len", "seq_length", "max_sequence_length")
_DEFAULT_WINDOW = 2048
_RECURRENT_MARKS = ("mamba", "ssm", "state_size", "linear_conv", "rwkv", "recurrent", "lru_width", "conv_L_cache")
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Sizes:
    """Batch and cache sizes of an engine. `block_size` None: the prefix cache is off and blocks don't matter."""

    block_size: int | None
    kv_cache_memory_bytes: int
    max_num_batched_tokens: int
    max_num_seqs: int


def check_settings(settings: EngineSettings) -> None:
    """`SpecError` naming the field that can't be meant."""
    if settings.backend not in BACKENDS:
        raise SpecError(f"spec.engine.backend: {settings.backend!r} is not one of {', '.join(BACKENDS)}")
    if settings.dtype not in DTYPES:
        raise SpecError(f"spec.engine.dtype: {settings.dtype!r} is not one of {', '.join(DTYPES)}")
    if settings.max_model_len is not None and settings.max_model_len < 2:
        raise SpecError(f"spec.engine.maxModelLen: {settings.max_model_len} is too short; 2 tokens are the least")
    refused = refusal(settings.backend, settings.args)
    if refused is not None:
        raise SpecError(f"spec.engine.args.{refused[0]}: {refused[1]}")


def sizes(settings: EngineSettings, *, gpu: bool, recurrent: bool) -> Sizes:
    """The sizes in force. Small blocks waste few tokens where a prefix ends within one: 16 on a GPU; vLLM's CPU kernels
    want multiples of 32."""
    args = settings.args
    return Sizes(
        block_size=None if recurrent else int(args.get("block_size", 16 if gpu else 32)),
        kv_cache_memory_bytes=int(args.get("kv_cache_memory_bytes", (8 if gpu else 1) * _GIB)),
        max_num_batched_tokens=int(args.get("max_num_batched_tokens", 8192 if gpu else 2048)),
        max_num_seqs=int(args.get("max_num_seqs", 256)),
    )


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint; `CheckpointError` where it is missing or no JSON object."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing; a checkpoint needs it", reason="ConfigMissing") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is no JSON: {error}", reason="ConfigMismatch") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: is JSON but no object", reason="ConfigMismatch")
    return config


def window(config: dict[str, Any], settings: EngineSettings) -> int:
    """How many tokens may enter the model: `spec.engine.maxModelLen`, else what the config says, else 2048 (as
    lm-eval's `hf` has it for models without positions)."""
    inner = config.get("text_config")
    text = inner if isinstance(inner, dict) else config
    stated = next((int(text[field]) for field in _WINDOW_FIELDS if isinstance(text.get(field), int)), None)
    if settings.max_model_len is None:
        return stated or _DEFAULT_WINDOW
    if stated is not None and settings.max_model_len > stated:
        raise SpecError(
            f"spec.engine.maxModelLen: {settings.max_model_len} is more than the checkpoint's window of {stated} tokens"
        )
    return settings.max_model_len


def has_recurrent_state(config: dict[str, Any]) -> bool:
    """State-space and linear-attention models: their state can't be cut at a block, so the prefix cache is off."""
    if any(mark in str(config.get("model_type", "")).lower() for mark in _RECURRENT_MARKS):
        return True
    return any(key.startswith(_RECURRENT_MARKS) and value for key, value in config.items())


def threads(settings: EngineSettings) -> int:
    """Threads on a CPU: `spec.engine.args.threads`, else OMP_NUM_THREADS, else the cores that this process may use."""
    stated = settings.args.get("threads") or os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    try:
        return max(1, int(stated)) if stated else _usable_cores()
    except ValueError as error:
        raise SpecError(f"spec.engine.args.threads: {stated!r} is no whole number") from error


def _usable_cores() -> int:
    """The smaller of the affinity mask and the control group's quota: a pod with a limit of 4 sees all cores."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(affinity, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return affinity
