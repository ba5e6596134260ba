"""What training programs leave in a bucket, file by file, and what is said of it: docs/watching.md tells the same."""

from __future__ import annotations

import pytest

from fineline.checkpoints import Checkpoint, FindOptions, Position, find
from support.checkpoints import ListedStore

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json")

TRAINER = (
    "config.json", "generation_config.json", *SHARDS, *TOKENIZER, "optimizer.pt", "scheduler.pt", "rng_state_0.pth",
    "rng_state_1.pth", "training_args.bin", "trainer_state.json",
)  # fmt: skip
FSDP_SHARDED = (
    "pytorch_model_fsdp_0/.metadata", "pytorch_model_fsdp_0/__0_0.distcp", "optimizer_0/.metadata",
    "optimizer_0/__0_0.distcp", *TOKENIZER, "scheduler.pt", "rng_state_0.pth", "trainer_state.json",
)  # fmt: skip
ZERO_3 = (
    "config.json", "global_step1000/mp_rank_00_model_states.pt", "latest", "zero_to_fp32.py", *TOKENIZER,
    "global_step1000/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "trainer_state.json",
)  # fmt: skip
OLMO_CORE = (
    "config.json", "train/rank0.pt", "train/rank1.pt", "model_and_optim/.metadata", "model_and_optim/__0_0.distcp",
    ".metadata.json",
)  # fmt: skip
TORCHTITAN = (".metadata", "__0_0.distcp", "__1_0.distcp")
TORCHTITAN_LAST_IN_HF = (*SHARDS, "sharded/shard-00001-model-00001-of-00002.safetensors")
NANOTRON = (
    "config.yaml", "checkpoint_metadata.json", "lr_scheduler/lr_scheduler.pt", "optimizer/optimizer_config.json",
    "optimizer/optimizer_pp-0-of-1_tp-0-of-1_exp-0-of-1.pt", "random/tp-0-of-1_dp-0-of-1_pp-0-of-1.pt",
    "model/model/decoder/0/pp_block/mlp/down_proj/model_weight_pp-rank-0-of-1_tp-rank-0-of-1.safetensors",
    "model/model/final_layer_norm/pp_block/model_weight.safetensors",
    "model_config.json",
)  # fmt: skip


def only(folder: str, names: tuple[str, ...], **options: bool | str) -> Checkpoint:
    store = ListedStore(sorted(f"{folder}/{name}" for name in names))
    (found,) = find(store, FindOptions(**options)).checkpoints  # type: ignore[arg-type]
    assert found.position == Position("main", 1000)
    return found


def test_the_trainer_s_checkpoint_is_complete_with_its_last_file_as_marker() -> None:
    assert only("checkpoint-1000", TRAINER, marker="trainer_state.json").complete
    before = only("checkpoint-1000", TRAINER[:-1], marker="trainer_state.json").problem
    assert before is not None
    assert before.message == "checkpoint-1000: the marker trainer_state.json is missing."
    # The marker alone is not believed: an upload in another order lacks a shard.
    lacking = only("checkpoint-1000", tuple(n for n in TRAINER if n != SHARDS[1]), marker="trainer_state.json").problem
    assert lacking is not None
    assert (lacking.reason, lacking.passing) == ("ShardMissing", True)


def test_what_is_left_out_of_the_upload_is_not_missed() -> None:
    kept = tuple(name for name in TRAINER if not name.startswith(("optimizer", "rng", "scheduler", "training_args")))
    assert only("checkpoint-1000", kept, marker="trainer_state.json").complete


@pytest.mark.parametrize(
    ("folder", "names", "converter"),
    [
        ("checkpoint-1000", FSDP_SHARDED, "format_utils dcp_to_torch"),
        ("checkpoint-1000", ZERO_3, "zero_to_fp32.py"),
        ("step1000", OLMO_CORE, "src/examples/huggingface/convert_checkpoint_to_hf.py"),
        ("step-1000", TORCHTITAN, "scripts/checkpoint_conversion/convert_to_hf.py"),
        ("1000", NANOTRON, "convert_nanotron_to_hf.py"),
    ],
    ids=["trainer with sharded FSDP", "trainer with ZeRO-3", "OLMo-core", "torchtitan", "nanotron"],
)
def test_what_has_to_be_converted_is_told_with_its_converter(
    folder: str, names: tuple[str, ...], converter: str
) -> None:
    problem = only(folder, names).problem
    assert problem is not None
    assert (problem.reason, problem.passing) == ("FormatUnsupported", False)
    assert converter in problem.message


@pytest.mark.parametrize(
    ("folder", "names"),
    [("step1000", OLMO_CORE), ("step-1000", TORCHTITAN), ("1000", NANOTRON), ("checkpoint-1000", ZERO_3)],
)
def test_a_converted_checkpoint_beside_is_the_one_that_is_read(folder: str, names: tuple[str, ...]) -> None:
    converted = ("config.json", *SHARDS, *TOKENIZER)
    beside = "step1000-hf" if folder == "1000" else f"{folder}-hf"
    objects = [*(f"{folder}/{name}" for name in names), *(f"{beside}/{name}" for name in converted)]
    (found,) = find(ListedStore(sorted(objects))).checkpoints
    assert (found.folder, found.position, found.complete) == (beside, Position("main", 1000), True)


def test_torchtitan_s_last_checkpoint_in_safetensors_lacks_a_config() -> None:
    problem = only("step-1000", TORCHTITAN_LAST_IN_HF).problem
    assert problem is not None
    assert problem.reason == "ConfigMissing"
    assert only("step-1000", TORCHTITAN_LAST_IN_HF, config_elsewhere=True).complete
