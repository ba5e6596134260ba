"""What only a GPU can show: `.venv/bin/pytest -m gpu tests/evaluator/backends/test_gpu.py` on a machine with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fineline_evaluator.backends import open_backend
from fineline_evaluator.scoring import Backend, EngineSettings
from support.scoring import one_token_choices, several_token_choices

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: run `.venv/bin/pytest -m gpu` on one"),
]
Checkpoint = Callable[..., Path]


@pytest.fixture
def engine() -> Iterator[Backend]:
    backend = open_backend(EngineSettings(backend="vllm", dtype="bfloat16", args={"kv_cache_memory_bytes": 1 << 28}))
    yield backend
    backend.close()


def test_a_swap_on_a_gpu_scores_as_a_fresh_engine_does(engine: Backend, checkpoint: Checkpoint) -> None:
    requests = one_token_choices(20, shots=70) + several_token_choices([16, 17, 33])
    one, other = checkpoint(seed=1, dtype="bfloat16"), checkpoint(seed=2, dtype="bfloat16")
    assert engine.load(one).how == "started"
    engine.begin_unit()
    fresh = engine.loglikelihoods(requests)
    assert engine.load(other).how == "swapped"
    report = engine.load(one)
    engine.begin_unit()
    assert (report.how, report.verified) == ("swapped", True)
    assert engine.loglikelihoods(requests) == fresh
    assert "cuda" in str(engine.fingerprint()["device"]).lower() or engine.fingerprint()["driver"]
