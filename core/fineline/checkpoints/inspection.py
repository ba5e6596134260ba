"""Looks into the files of one selected checkpoint, which `find` does not: config, index, headers, metadata.

What is read is small (a few ranged reads a file, no tensors), and every error is a CheckpointError that names the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fineline.checkpoints.bounded import read_object
from fineline.checkpoints.checkpoint import Checkpoint, Format, Position
from fineline.checkpoints.completeness import read_index
from fineline.checkpoints.formats import CONFIG, INDEX
from fineline.checkpoints.metadata import read_metadata
from fineline.checkpoints.names import Reading
from fineline.checkpoints.parameters import Parameters, count, input_embedding, layers_of
from fineline.checkpoints.safetensors import TensorInfo, read_header
from fineline.errors import CheckpointError, ObjectNotFound
from fineline.store.interface import Store, StoredObject

_MOST_CONFIG_BYTES = 4 * 2**20
_CONCURRENT_READS = 8
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the files of a checkpoint say. `tensors` are those of all files together, `files` the same for each file by
    its name in the weights' folder. `tokens` are those of the position, else those that the metadata inside tells: a
    listing can't. `notes` are sentences on what disagrees without making the checkpoint wrong."""

    checkpoint: Checkpoint
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]
    files: Mapping[str, Mapping[str, TensorInfo]]
    parameters: Parameters
    tokens: int | None
    notes: tuple[str, ...] = ()


def inspect(store: Store, checkpoint: Checkpoint, config: Mapping[str, Any] | None = None) -> Inspection:
    """The full check of a complete checkpoint. `config` is that from elsewhere, if the resource names one.

    CheckpointError with reason ConfigMissing, ConfigMismatch, WeightsUnreadable, ShardMissing, TensorMissing or
    CheckpointVanished, or the checkpoint's own problem; StoreError where the store does not answer.
    """
    if checkpoint.problem is not None:
        raise CheckpointError(checkpoint.problem.message, reason=checkpoint.problem.reason)
    if config is None:
        config = read_config(store, checkpoint)
    files = verify_headers(store, checkpoint)
    tensors: dict[str, TensorInfo] = {}
    for held in files.values():
        tensors.update(held)
    _check_agreement(checkpoint, tensors, config)
    reading = read_metadata(store, _in_weights_folder(checkpoint))
    return Inspection(
        checkpoint=checkpoint,
        config=config,
        tensors=tensors,
        files=files,
        parameters=count(tensors, config),
        tokens=_tokens(checkpoint.position, reading),
        notes=_notes(checkpoint, reading),
    )


def read_config(store: Store, checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint's own config.json. CheckpointError (ConfigMissing, ConfigMismatch)."""
    item = _in_weights_folder(checkpoint).get(CONFIG)
    if item is None:
        raise CheckpointError(
            f"{checkpoint.name}: {CONFIG} is missing. Upload it, or name one under `checkpoints.config`.",
            reason="ConfigMissing",
        )
    try:
        return read_object(store, item, most=_MOST_CONFIG_BYTES, reason="ConfigMismatch")
    except ObjectNotFound:
        raise _vanished(store, item) from None


def verify_headers(store: Store, checkpoint: Checkpoint) -> dict[str, dict[str, TensorInfo]]:
    """The tensors of each weights file by its name in the weights' folder, with headers, sizes and index in agreement.

    CheckpointError with reason WeightsUnreadable, ShardMissing, TensorMissing, CheckpointVanished or FormatUnsupported.
    """
    if checkpoint.format is not Format.SAFETENSORS:
        raise CheckpointError(f"{checkpoint.name}: its weights are not safetensors.", reason="FormatUnsupported")
    start = len(checkpoint.weights_folder) + 1 if checkpoint.weights_folder else 0
    weights = [item for item in checkpoint.loaded if item.name.endswith(".safetensors")]
    if not weights:
        raise CheckpointError(f"{checkpoint.name}: no weights are there.", reason="ShardMissing")
    with ThreadPoolExecutor(min(_CONCURRENT_READS, len(weights))) as pool:
        headers = list(pool.map(lambda item: _header(store, item), weights))
    files = {item.name[start:]: header for item, header in zip(weights, headers, strict=True)}
    index = next((item for item in checkpoint.loaded if item.name[start:] == INDEX), None)
    if index is not None:
        try:
            weight_map = read_index(store, index)
        except ObjectNotFound:
            raise _vanished(store, index) from None
        _check_index(store.uri + index.name, weight_map, files)
    return files


def _header(store: Store, item: StoredObject) -> dict[str, TensorInfo]:
    try:
        return read_header(store, item.name, item.size)
    except ObjectNotFound:
        raise _vanished(store, item) from None


def _vanished(store: Store, item: StoredObject) -> CheckpointError:
    return CheckpointError(f"{store.uri}{item.name}: was deleted after it was listed.", reason="CheckpointVanished")


def _check_index(where: str, weight_map: Mapping[str, str], files: Mapping[str, Mapping[str, TensorInfo]]) -> None:
    for name, file in weight_map.items():
        if file not in files:
            raise CheckpointError(
                f"{where}: names {file[:100]}, which is not among the shards that lie beside it. Upload both again.",
                reason="ShardMissing",
            )
        if name not in files[file]:
            raise CheckpointError(
                f"{where}: says that tensor {name[:200]} is in {file}, and it is not. Upload both again.",
                reason="TensorMissing",
            )


def _check_agreement(checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo], config: Mapping[str, Any]) -> None:
    """Vocabulary, width and number of layers: what a config of another model would get wrong. The engine compares the
    rest when it has built the model."""
    found = input_embedding(tensors)
    vocabulary, width = _number(config, ("vocab_size",)), _number(config, _WIDTHS)
    if found is not None:
        name, tensor = found
        rows, columns = tensor.shape
        if vocabulary is not None and rows < vocabulary:
            raise _mismatch(checkpoint, f"vocab_size is {vocabulary}, and {name[:200]} has {rows} rows")
        # Some architectures embed in fewer dimensions than the layers have, and say so.
        if (
            width is not None
            and columns != width
            and "embedding_size" not in config
            and "word_embed_proj_dim" not in config
        ):
            raise _mismatch(checkpoint, f"hidden_size is {width}, and {name[:200]} has {columns} columns")
    layers, there = _number(config, _LAYERS), layers_of(tensors)
    if layers is not None and layers > 0 and there and (last := max(there)) < layers - 1:
        raise CheckpointError(
            f"{checkpoint.name}: {CONFIG} has {layers} layers, and the weights end with layer {last} (counted from 0). "
            "Upload the missing shards, or the config that belongs to them.",
            reason="TensorMissing",
        )


def _mismatch(checkpoint: Checkpoint, what: str) -> CheckpointError:
    return CheckpointError(
        f"{checkpoint.name}: {CONFIG} and weights disagree: {what}. Upload the config that belongs to these weights.",
        reason="ConfigMismatch",
    )


def _number(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    return next((config[key] for key in keys if type(config.get(key)) is int), None)


def _in_weights_folder(checkpoint: Checkpoint) -> dict[str, StoredObject]:
    prefix = f"{checkpoint.weights_folder}/" if checkpoint.weights_folder else ""
    return {
        item.name[len(prefix) :]: item
        for item in checkpoint.inventory
        if item.name.startswith(prefix) and "/" not in item.name[len(prefix) :]
    }


def _tokens(position: Position, reading: Reading | None) -> int | None:
    told = reading.tokens if reading is not None and reading.step == position.step else None
    return told if position.tokens is None else position.tokens


def _notes(checkpoint: Checkpoint, reading: Reading | None) -> tuple[str, ...]:
    if reading is None or reading.step == checkpoint.position.step:
        return ()
    stated = f"its metadata says step {reading.step}, and its name or mapping step {checkpoint.position.step}"
    return (f"{checkpoint.name}: {stated}, which is used.",)
