"""A checkpoint whose files and config disagree is found before anything is loaded, and the tensor is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fineline.errors import CheckpointError
from fineline_evaluator.backends import check_tensors
from support.models import ARCHITECTURES, read_tensors
from support.scoring import copy_of

Checkpoint = Callable[..., Path]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shards", [1, 3])
def test_a_whole_checkpoint_passes(checkpoint: Checkpoint, architecture: str, shards: int) -> None:
    check_tensors(checkpoint(architecture, shards=shards))


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors.pop(name)


def put(name: str, *shape: int) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        tensors[name] = torch.zeros(shape)

    return change


@pytest.mark.parametrize(
    ("architecture", "change", "reason", "named"),
    [
        (
            "llama",
            drop("model.layers.1.mlp.up_proj.weight"),
            "TensorMissing",
            r"layers\.1\.mlp\.up_proj\.weight.*128, 64",
        ),
        ("llama", drop("lm_head.weight"), "TensorMissing", r"lm_head\.weight"),
        ("llama-tied", drop("model.embed_tokens.weight"), "TensorMissing", r"embed_tokens"),
        ("mixtral", drop("model.layers.0.block_sparse_moe.experts.2.w3.weight"), "TensorMissing", r"experts\.2\.w3"),
        (
            "llama",
            put("lm_head.weight", 100, 64),
            "ConfigMismatch",
            r"lm_head\.weight has shape \[100, 64\].*\[512, 64\]",
        ),
        ("llama", put("model.layers.2.mlp.up_proj.weight", 128, 64), "ConfigMismatch", r"layers\.2\.mlp"),
        ("mamba", drop("backbone.layers.1.mixer.A_log"), "TensorMissing", r"A_log"),
    ],
)
def test_a_tensor_that_disagrees_with_the_config_is_named(
    checkpoint: Checkpoint,
    tmp_path: Path,
    architecture: str,
    change: Callable[[dict[str, Any]], None],
    reason: str,
    named: str,
) -> None:
    broken = copy_of(checkpoint(architecture), tmp_path / "broken", change)
    with pytest.raises(CheckpointError, match=named) as caught:
        check_tensors(broken)
    assert caught.value.reason == reason


def test_a_head_may_stand_for_the_embedding_that_it_is_tied_to(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def rename(tensors: dict[str, Any]) -> None:
        tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")

    check_tensors(copy_of(checkpoint("llama-tied"), tmp_path / "renamed", rename))


def test_buffers_that_old_libraries_saved_are_let_through(checkpoint: Checkpoint, tmp_path: Path) -> None:
    check_tensors(
        copy_of(checkpoint(), tmp_path / "old", put("model.layers.0.self_attn.rotary_emb.inv_freq", 16)),
    )


def test_a_config_of_fewer_layers_does_not_hide_the_others(checkpoint: Checkpoint, tmp_path: Path) -> None:
    broken = copy_of(checkpoint(), tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(CheckpointError, match=r"layers\.1\..* has no place"):
        check_tensors(broken)


def test_code_that_comes_with_a_checkpoint_is_never_run(checkpoint: Checkpoint, tmp_path: Path) -> None:
    broken = copy_of(checkpoint(), tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    evil = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    (broken / "config.json").write_text(json.dumps(config | evil))
    (broken / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(CheckpointError, match="'evil'") as caught:
        check_tensors(broken)
    assert caught.value.reason == "ArchitectureUnsupported"


def test_a_truncated_file_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    broken = copy_of(checkpoint(), tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: can't be read") as caught:
        check_tensors(broken)
    assert caught.value.reason == "WeightsUnreadable"


def test_a_shard_of_the_index_that_is_missing_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    broken = copy_of(checkpoint(shards=3), tmp_path / "broken")
    (broken / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-00002-of-00003") as caught:
        check_tensors(broken)
    assert caught.value.reason == "ShardMissing"


def test_an_index_can_not_point_out_of_the_folder(checkpoint: Checkpoint, tmp_path: Path) -> None:
    broken = copy_of(checkpoint(shards=3), tmp_path / "broken")
    names = read_tensors(broken)
    (broken / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(names, "../x")}))
    with pytest.raises(CheckpointError, match=r"\.\./x"):
        check_tensors(broken)
