"""A fetched checkpoint: verified before the engine sees it, then loaded, then looked at for sanity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.checkpoints import FindOptions, Inspection, Parameters, Position, find, inspect
from fineline.errors import CheckpointError, SpecError
from fineline.plan import PlannedCheckpoint, PlannedEngine, WorkOrder
from fineline.store import open_store, uri_of
from fineline_evaluator.backends import window_of
from fineline_evaluator.fetch import Fetched
from fineline_evaluator.sanity import TEXT, CheckpointSanity, Tokenized, check_checkpoint
from fineline_evaluator.scoring import Backend, EngineSettings, LoadReport
from fineline_evaluator.tasks import Encoder


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint in the engine, and what is known of it. `window` is the longest input in tokens."""

    planned: PlannedCheckpoint
    folder: Path
    window: int
    parameters: Parameters
    load: LoadReport
    sanity: CheckpointSanity
    fetch_seconds: float


def load_checkpoint(fetched: Fetched, order: WorkOrder, backend: Backend) -> LoadedCheckpoint:
    """Verifies, loads and looks. `CheckpointError` says what is wrong with the checkpoint."""
    folder = fetched.folder
    inspection = inspect_folder(folder)
    config = inspection.config
    try:
        window = window_of(folder, engine_settings(order.engine))
    except SpecError as error:  # of this checkpoint: another one's window may do
        raise CheckpointError(str(error), reason="ContextTooLong") from None
    vocabulary = _embedding_rows(config)
    encoder = Encoder(folder, order.engine.add_bos)
    if encoder.highest_token >= vocabulary:
        message = (
            f"the tokenizer has ids up to {encoder.highest_token}, the embedding {vocabulary} rows: the tokenizer is "
            "another model's; name the right one in spec.checkpoints.tokenizer"
        )
        raise CheckpointError(message, reason="TokenizerMismatch")
    load = backend.load(folder)
    tokens = (encoder.prefix_token, *encoder.continuations([TEXT])[0])
    text = Tokenized(tokens, encoder.eos_token, encoder.unknown_token, vocabulary)
    sanity = check_checkpoint(backend, text, window)
    return LoadedCheckpoint(fetched.checkpoint, folder, window, inspection.parameters, load, sanity, fetched.seconds)


def inspect_folder(folder: Path) -> Inspection:
    """What the files of one fetched checkpoint say, with headers, sizes, index and config in agreement."""
    store = open_store(uri_of(f"{folder}/"))
    found = find(store, FindOptions(positions={folder.name: Position("main", 0)}))
    return inspect(store, found.checkpoints[0])


def engine_settings(engine: PlannedEngine) -> EngineSettings:
    """The plan's engine as the backends take it."""
    return EngineSettings(
        backend=engine.backend,
        dtype=engine.dtype,
        max_model_len=engine.max_model_len,
        tensor_parallel_size=engine.tensor_parallel_size,
        args=dict(engine.args),
    )


def _embedding_rows(config: Mapping[str, Any]) -> int:
    inner = config.get("text_config")
    rows = config.get("vocab_size", inner.get("vocab_size") if isinstance(inner, Mapping) else None)
    if not isinstance(rows, int) or rows < 1:
        raise CheckpointError(f"config.json: vocab_size is {rows!r}, not a number of tokens", reason="ConfigMismatch")
    return rows
