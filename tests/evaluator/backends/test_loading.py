"""Each load is verified: what is in the engine is what is in the file, or the load says that it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fineline.errors import CheckpointError
from fineline_evaluator.backends import open_backend, verification, worker
from fineline_evaluator.backends import vllm as vllm_backend
from fineline_evaluator.scoring import Backend, EngineSettings
from support.scoring import copy_of, furthest, one_token_choices, plainly, several_token_choices

pytestmark = pytest.mark.engine
Checkpoint = Callable[..., Path]
TOLERANCE = 1e-4
REQUESTS = one_token_choices(6, shots=40) + several_token_choices([5, 64])


def nothing(_worker: Any) -> None:
    """In place of a remedy: vLLM is left alone with its trap."""


def scored_right(engine: Backend, folder: Path) -> bool:
    engine.begin_unit()
    return furthest(engine.loglikelihoods(REQUESTS), plainly(folder, REQUESTS)) <= TOLERANCE


def scaled(name: str, factor: float = 1.0001) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors[name].mul_(factor)


def half_of(other: Path) -> Callable[[dict[str, Any]], None]:
    from support.models import read_tensors

    def change(tensors: dict[str, Any]) -> None:
        tensors.update({name: tensor for name, tensor in read_tensors(other).items() if ".layers.1." in name})

    return change


@pytest.mark.parametrize(
    ("architecture", "name", "told"),
    [
        ("llama", "model.layers.1.self_attn.k_proj.weight", "qkv_proj"),
        ("llama", "model.layers.0.mlp.up_proj.weight", "gate_up_proj"),
        ("llama", "model.layers.1.mlp.down_proj.weight", "down_proj"),
        ("llama", "model.layers.0.input_layernorm.weight", "input_layernorm"),
        ("llama", "lm_head.weight", "lm_head"),
        ("llama", "model.embed_tokens.weight", "embed_tokens"),
        ("llama-tied", "model.embed_tokens.weight", "embed_tokens"),
    ],
)
def test_a_weight_in_the_engine_that_is_not_the_files_is_named(
    vllm_engine: Backend, checkpoint: Checkpoint, tmp_path: Path, architecture: str, name: str, told: str
) -> None:
    mine = checkpoint(architecture)
    vllm_engine.load(mine)
    engine = vllm_engine._running()  # type: ignore[attr-defined]
    measured = engine.llm.collective_rpc(worker.measure)
    assert verification.compare(mine, measured, engine.facts.packed) == verification.Verdict((), ())
    other = copy_of(mine, tmp_path / "other", scaled(name))
    wrong = verification.compare(other, measured, engine.facts.packed).wrong
    assert wrong
    assert all(told in each for each in wrong)


def test_half_a_load_is_named(vllm_engine: Backend, checkpoint: Checkpoint, tmp_path: Path) -> None:
    mine = checkpoint()
    vllm_engine.load(mine)
    engine = vllm_engine._running()  # type: ignore[attr-defined]
    half = copy_of(mine, tmp_path / "half", half_of(checkpoint(seed=1)))
    wrong = verification.compare(half, engine.llm.collective_rpc(worker.measure), engine.facts.packed).wrong
    assert len(wrong) == 6
    assert all(".layers.1." in each for each in wrong)


def test_a_missing_tensor_is_found_before_the_engine_is_touched(
    vllm_engine: Backend, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    mine = checkpoint()
    vllm_engine.load(mine)
    broken = copy_of(mine, tmp_path / "broken", lambda tensors: tensors.pop("model.norm.weight"))
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight is missing"):
        vllm_engine.load(broken)
    assert vllm_engine.load(checkpoint(seed=1)).how == "swapped"
    assert scored_right(vllm_engine, checkpoint(seed=1))


def test_a_file_that_breaks_while_it_is_loaded_leaves_an_engine_that_can_start_again(
    vllm_engine: Backend, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = checkpoint()
    vllm_engine.load(mine)
    broken = copy_of(mine, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200_000])
    with monkeypatch.context() as after_the_check:
        after_the_check.setattr(vllm_backend, "check_tensors", lambda folder: None)
        with pytest.raises(CheckpointError) as caught:
            vllm_engine.load(broken)
    assert caught.value.reason == "LoadFailed"
    assert vllm_engine.load(mine).how == "started"
    assert scored_right(vllm_engine, mine)


def test_a_tied_head_that_a_swap_left_behind_is_caught(
    vllm_engine: Backend, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (checkpoint("llama-tied", seed) for seed in range(3))
    vllm_engine.load(first)
    assert vllm_engine.load(second).how == "swapped"
    assert scored_right(vllm_engine, second)
    monkeypatch.setattr(worker, "after_reload", nothing)
    report = vllm_engine.load(third)
    assert report.how == "restarted"
    assert report.verified
    assert "embed_tokens" in report.notes[0]
    assert scored_right(vllm_engine, third)


def test_experts_in_the_wrong_layout_are_caught(
    vllm_engine: Backend, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (checkpoint("mixtral", seed) for seed in range(3))
    vllm_engine.load(first)
    assert scored_right(vllm_engine, first)
    assert vllm_engine.load(second).how == "swapped"
    assert scored_right(vllm_engine, second)
    monkeypatch.setattr(worker, "before_reload", nothing)
    report = vllm_engine.load(third)
    assert report.how == "restarted"
    assert "canary prompts differ" in report.notes[0]
    assert scored_right(vllm_engine, third)


def test_an_architecture_that_runs_as_transformers_own_module_is_swapped_too(
    vllm_engine: Backend, reference_engine: Backend, checkpoint: Checkpoint
) -> None:
    vllm_engine.load(checkpoint("gpt-neox", 0))
    report = vllm_engine.load(checkpoint("gpt-neox", 1))
    assert (report.how, report.verified) == ("swapped", True)
    reference_engine.load(checkpoint("gpt-neox", 1))
    vllm_engine.begin_unit()
    assert furthest(vllm_engine.loglikelihoods(REQUESTS), reference_engine.loglikelihoods(REQUESTS)) <= TOLERANCE


def test_half_precision_is_verified_and_agrees_roughly(vllm_engine: Backend, checkpoint: Checkpoint) -> None:
    vllm_engine.close()
    engine = open_backend(EngineSettings(dtype="bfloat16", args={"kv_cache_memory_bytes": 1 << 26, "threads": 1}))
    first, second = (checkpoint(seed=seed, shards=2) for seed in (3, 4))
    assert engine.load(first).verified
    assert engine.load(second).how == "swapped"
    engine.begin_unit()
    assert furthest(engine.loglikelihoods(REQUESTS[:20]), plainly(second, REQUESTS[:20])) < 1.0
    engine.close()


def test_mamba_runs_with_the_prefix_cache_off_or_says_what_to_set(
    vllm_engine: Backend, reference_engine: Backend, checkpoint: Checkpoint
) -> None:
    """vLLM's CPU build has no kernel for it; on a GPU it is scored."""
    mine = checkpoint("mamba")
    reference_engine.load(mine)
    assert furthest(reference_engine.loglikelihoods(REQUESTS), plainly(mine, REQUESTS)) <= TOLERANCE
    if torch.cuda.is_available():
        vllm_engine.load(mine)
        assert vllm_engine.fingerprint()["prefix_cache"] is False
        assert scored_right(vllm_engine, mine)
    else:
        with pytest.raises(CheckpointError, match=r"set spec\.engine\.backend: transformers") as caught:
            vllm_engine.load(mine)
        assert caught.value.reason == "ArchitectureUnsupported"
