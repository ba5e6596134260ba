"""Reads a small JSON file of a checkpoint: never more of it than a bound, never anything but a plain object."""

from __future__ import annotations

import json
from typing import Any

from fineline.errors import CheckpointError
from fineline.store.interface import Store, StoredObject


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads`: a key that stands twice is an error, for readers differ on which of the two counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def read_object(store: Store, item: StoredObject, *, most: int, reason: str) -> dict[str, Any]:
    """The JSON object in a file of at most `most` bytes; CheckpointError with `reason` where it is none."""
    where = store.uri + item.name
    if item.size > most:
        raise CheckpointError(
            f"{where}: has {item.size:,} bytes, and {most:,} is the most that is read.", reason=reason
        )
    # What is there may have grown since it was listed.
    data = store.get(item.name, 0, most)
    try:
        content = json.loads(data.decode(), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{where}: is not valid JSON ({str(error)[:100]}). Upload the file again.", reason=reason
        ) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{where}: is not a JSON object. Upload the file again.", reason=reason)
    return content
