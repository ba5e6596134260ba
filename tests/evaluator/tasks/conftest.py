from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fineline.store import open_store
from fineline_evaluator.tasks import TaskLibrary
from support.models import make_checkpoint
from support.tasks import BENCHMARKS, PlainScorer

WINDOW = 1024


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with random weights."""
    return make_checkpoint(tmp_path_factory.mktemp("llama"), max_position_embeddings=WINDOW)


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same architecture and tokenizer, other weights."""
    return make_checkpoint(tmp_path_factory.mktemp("other-llama"), max_position_embeddings=WINDOW, seed=1)


@pytest.fixture(scope="session")
def scorer(checkpoint: Path) -> PlainScorer:
    return PlainScorer(checkpoint)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> TaskLibrary:
    """Over the real benchmarks."""
    return TaskLibrary(open_store(BENCHMARKS.as_uri() + "/"), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def their_model(checkpoint: Path) -> Any:
    """lm-eval's `hf` on the same checkpoint: 32 bits, one request at a time."""
    pytest.importorskip(
        "accelerate", reason="lm-eval's hf model imports accelerate; install it to compare with lm-eval"
    )
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(checkpoint), dtype="float32", batch_size=1, device="cpu", max_length=WINDOW)
