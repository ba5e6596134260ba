"""Positions from the small files that training programs leave inside a checkpoint.

`trainer_state.json` of the Hugging Face Trainer (`global_step`, `num_input_tokens_seen`), `.metadata.json` of OLMo-core
and others (the same under several names), `latest` of DeepSpeed (the name of a step folder).
"""

from __future__ import annotations

from collections.abc import Mapping

from fineline.checkpoints.bounded import read_object
from fineline.checkpoints.names import LONGEST_NAME, MAX_STEP, MAX_TOKENS, Reading, read_name
from fineline.errors import CheckpointError, ObjectNotFound
from fineline.store.interface import Store, StoredObject

FILES = ("trainer_state.json", ".metadata.json", "latest")

# A trainer's state holds its whole log: a few MB after a long run.
_MOST_BYTES = 64 * 2**20
_STEPS = ("global_step", "step", "iteration")
_TOKENS = ("num_input_tokens_seen", "global_train_tokens_seen", "tokens_seen", "consumed_tokens", "tokens")


def read_metadata(store: Store, files: Mapping[str, StoredObject]) -> Reading | None:
    """The position that the files in a folder tell (by their names in it); None where none of them tells a step.

    A file that can't be read tells nothing; a store that does not answer raises as `Store.get` does.
    """
    for name in FILES:
        if name in files:
            reading = _read(store, name, files[name])
            if reading is not None:
                return reading
    return None


def _read(store: Store, name: str, item: StoredObject) -> Reading | None:
    try:
        if name == "latest":
            return read_name(store.get(item.name, 0, 4 * LONGEST_NAME).decode(errors="replace").strip())
        content = read_object(store, item, most=_MOST_BYTES, reason="MetadataUnreadable")
    except (CheckpointError, ObjectNotFound):
        return None
    step = _first_count(content, _STEPS, MAX_STEP)
    if step is None:
        return None
    # The Trainer writes 0 where it was not told to count.
    return Reading(step, _first_count(content, _TOKENS, MAX_TOKENS) or None)


def _first_count(content: Mapping[str, object], keys: tuple[str, ...], most: int) -> int | None:
    for key in keys:
        value = content.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value <= most:
            return value
    return None
