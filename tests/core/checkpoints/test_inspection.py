import json
from pathlib import Path

import pytest

from fineline.checkpoints import Checkpoint, Parameters, find, inspect, verify_headers
from fineline.errors import CheckpointError
from fineline.store import open_store
from fineline.store.interface import Store
from support.checkpoints import CONFIG, SHAPES, llama_files, put_all, raw_safetensors
from support.models import make_checkpoint


def only(store: Store) -> Checkpoint:
    (checkpoint,) = find(store).checkpoints
    return checkpoint


def refusal(store: Store, checkpoint: Checkpoint | None = None) -> tuple[str, str]:
    with pytest.raises(CheckpointError) as caught:
        inspect(store, checkpoint or only(store))
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_sound_checkpoint_tells_its_tensors_config_and_parameters(store: Store, shards: int) -> None:
    put_all(store, "step1", llama_files(shards))
    inspection = inspect(store, only(store))
    assert {name: tensor.shape for name, tensor in inspection.tensors.items()} == SHAPES
    assert len(inspection.files) == shards
    assert inspection.config == CONFIG
    assert inspection.parameters == Parameters(112, 112, 48)
    assert inspection.notes == ()


@pytest.mark.parametrize("architecture", ["llama", "llama-tied", "mixtral", "mamba", "gpt-neox"])
def test_what_transformers_writes_is_sound(tmp_path: Path, architecture: str) -> None:
    make_checkpoint(tmp_path / "checkpoint-5", architecture=architecture, shards=2)
    store = open_store(f"file://{tmp_path}/")
    inspection = inspect(store, only(store))
    assert inspection.parameters.total > 10_000


def test_a_truncated_shard_is_named(store: Store) -> None:
    files = llama_files(2)
    name = "model-00002-of-00002.safetensors"
    put_all(store, "step1", files | {name: files[name][:-5]})
    reason, message = refusal(store)
    assert reason == "WeightsUnreadable"
    assert f"step1/{name}: it is truncated" in message


def test_a_header_that_lies_about_the_length_is_refused(store: Store) -> None:
    header = {"w": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}}
    put_all(store, "step1", llama_files() | {"model.safetensors": raw_safetensors(header, b"1234")})
    assert refusal(store)[0] == "WeightsUnreadable"


def test_a_tensor_that_the_index_names_and_its_shard_lacks_is_named(store: Store) -> None:
    files = llama_files(2)
    index = json.loads(files["model.safetensors.index.json"])
    index["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors"
    put_all(store, "step1", files | {"model.safetensors.index.json": json.dumps(index).encode()})
    reason, message = refusal(store)
    assert reason == "TensorMissing"
    assert "model.norm.weight is in model-00001-of-00002.safetensors, and it is not" in message


def test_a_shard_that_only_the_index_knows_is_named(store: Store) -> None:
    files = llama_files(2)
    index = json.loads(files["model.safetensors.index.json"])
    index["weight_map"]["x"] = "model-00003-of-00003.safetensors"
    put_all(store, "step1", files | {"model.safetensors.index.json": json.dumps(index).encode()})
    assert refusal(store)[0] == "ShardMissing"


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"vocab_size": 9}, "ConfigMismatch", "vocab_size is 9"),
        ({"hidden_size": 5}, "ConfigMismatch", "hidden_size is 5"),
        ({"num_hidden_layers": 3}, "TensorMissing", "has 3 layers, and the weights end with layer 1"),
    ],
)
def test_a_config_of_another_model_is_told(store: Store, changes: dict[str, int], reason: str, words: str) -> None:
    put_all(store, "step1", llama_files(config=CONFIG | changes))
    found, message = refusal(store)
    assert (found, words in message) == (reason, True)


@pytest.mark.parametrize("config", [b"", b"[]", b"{", b'{"a": 1, "a": 2}'])
def test_a_config_that_is_no_object_is_named(store: Store, config: bytes) -> None:
    put_all(store, "step1", llama_files() | {"config.json": config})
    reason, message = refusal(store)
    assert reason == "ConfigMismatch"
    assert "step1/config.json" in message


@pytest.mark.parametrize("gone", ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"])
def test_a_file_deleted_after_the_listing_makes_the_checkpoint_vanished(store: Store, gone: str) -> None:
    put_all(store, "step1", llama_files(2))
    checkpoint = only(store)
    store.delete(f"step1/{gone}")
    reason, message = refusal(store, checkpoint)
    assert reason == "CheckpointVanished"
    assert gone in message


def test_an_incomplete_checkpoint_is_refused_with_its_own_reason(store: Store) -> None:
    files = llama_files(2)
    del files["model-00001-of-00002.safetensors"]
    put_all(store, "step1", files)
    assert refusal(store)[0] == "ShardMissing"


def test_headers_can_be_verified_without_a_config(store: Store) -> None:
    put_all(store, "step1", {"model.safetensors": llama_files()["model.safetensors"]})
    assert set(verify_headers(store, only(store))) == {"model.safetensors"}


def test_metadata_that_disagrees_with_the_name_is_noted(store: Store) -> None:
    state = json.dumps({"global_step": 900}).encode()
    put_all(store, "checkpoint-1000", llama_files() | {"trainer_state.json": state})
    (note,) = inspect(store, only(store)).notes
    assert "step 900" in note
    assert "step 1000" in note


@pytest.mark.parametrize(
    ("folder", "tokens"), [("checkpoint-1000", 77), ("step1000-tokens5B", 5 * 10**9), ("step999", None)]
)
def test_tokens_come_from_the_position_and_else_from_the_metadata_of_the_same_step(
    store: Store, folder: str, tokens: int | None
) -> None:
    state = json.dumps({"global_step": 1000, "num_input_tokens_seen": 77}).encode()
    put_all(store, folder, llama_files() | {"trainer_state.json": state})
    assert inspect(store, only(store)).tokens == tokens
