"""Tiny models and engines for the evaluator's tests: each is made once a session, for a start takes seconds.

Only one vLLM engine lives at a time in a process; `vllm_engine` is that one, and a test that loads another
architecture into it makes it start afresh, which is what it would do in a pod.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fineline_evaluator.backends import open_backend
from fineline_evaluator.scoring import Backend, EngineSettings
from support.models import make_checkpoint

CACHE_BYTES = 1 << 26

Checkpoint = Callable[..., Path]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A tiny checkpoint by its arguments (those of `make_checkpoint`), made when it is first asked for. Tests must not
    change it: `copy_of` a checkpoint may be broken."""
    made: dict[str, Path] = {}
    base = tmp_path_factory.mktemp("checkpoints")

    def make(architecture: str = "llama", seed: int = 0, **further: Any) -> Path:
        name = "-".join([architecture, str(seed), *(f"{key}={value}" for key, value in sorted(further.items()))])
        if name not in made:
            made[name] = make_checkpoint(base / name, architecture=architecture, seed=seed, **further)
        return made[name]

    return make


@pytest.fixture(scope="session")
def vllm_settings() -> EngineSettings:
    return EngineSettings(backend="vllm", dtype="float32", args={"kv_cache_memory_bytes": CACHE_BYTES, "threads": 1})


@pytest.fixture(scope="session")
def vllm_engine(vllm_settings: EngineSettings) -> Iterator[Backend]:
    """vLLM in fp32; holds whatever the test before loaded."""
    backend = open_backend(vllm_settings)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def reference_engine() -> Iterator[Backend]:
    """transformers in fp32; holds whatever the test before loaded."""
    backend = open_backend(EngineSettings(backend="transformers", dtype="float32", args={"threads": 1}))
    yield backend
    backend.close()
