"""Whether everything a checkpoint needs is there, told from a listing: sentences that name what is missing.

Markers can lie and uploads can come in any order, so the files themselves are always looked at. What a listing can't
tell (that the index and the headers agree with the files) is `inspection`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from fineline.checkpoints.bounded import read_object
from fineline.checkpoints.checkpoint import Problem
from fineline.checkpoints.formats import CONFIG, GENERATION_CONFIG, INDEX, SHARD, SINGLE
from fineline.checkpoints.identity import tokenizer_files
from fineline.errors import CheckpointError, ObjectNotFound
from fineline.store.interface import Store, StoredObject

# DeepSeek-V3's index, of 91,991 tensors, has 9 MB.
MOST_INDEX_BYTES = 64 * 2**20
_LEAST_WEIGHTS_BYTES = 10

Files = Mapping[str, StoredObject]
"""The files directly in a folder, by their names in it."""
IndexReader = Callable[[StoredObject], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Weights:
    """The files that an engine loads, as far as they are there, and what is missing of them."""

    loaded: tuple[StoredObject, ...]
    problem: Problem | None


def read_index(store: Store, item: StoredObject) -> dict[str, str]:
    """The file name of each tensor, from an index; CheckpointError (WeightsUnreadable) where it is no such thing."""
    content = read_object(store, item, most=MOST_INDEX_BYTES, reason="WeightsUnreadable")
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"{store.uri}{item.name}: has no weight_map. Upload it again.", reason="WeightsUnreadable"
        )
    for name in set(map(_as_text, weight_map.values())):
        if not name.endswith(".safetensors") or "/" in name or "\\" in name or not name.isprintable():
            raise CheckpointError(
                f"{store.uri}{item.name}: {name[:100]!r} in its weight_map is not a safetensors file of the same "
                "folder. Upload it again.",
                reason="WeightsUnreadable",
            )
    return weight_map


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def safetensors_weights(folder: str, files: Files, read: IndexReader, *, config_elsewhere: bool) -> Weights:
    """What is loaded of a folder of safetensors, and what is missing.

    Shards named `model-00001-of-00006.safetensors` tell by their names how many they are. `read` is asked for the index
    only where names don't tell: shards of two counts (a second upload over a first), or other names.
    """
    shards: dict[str, list[str]] = {}
    others = []
    for name in files:
        if name.endswith(".safetensors") and name != SINGLE:
            found = SHARD(name)
            if found:
                shards.setdefault(found[2], []).append(name)
            else:
                others.append(name)
    problem = None
    if SINGLE in files:
        weights: Collection[str] = (SINGLE,)
        if shards:
            problem = Problem(
                "WeightsAmbiguous",
                f"{folder}: holds {SINGLE} and also {min(min(shards.values()))}. Remove the one that is not meant.",
            )
    elif len(shards) == 1:
        count, weights = shards.popitem()
        problem = _missing_shards(folder, weights, count)
        weights = (*weights, INDEX)
    elif shards or others:
        weights, problem = _from_index(folder, files, read)
    else:
        weights = (INDEX,)
        problem = Problem(
            "ShardMissing", f"{folder}: none of the shards of {INDEX} is there. Upload them.", passing=True
        )
    loaded = [files[name] for name in (*weights, CONFIG, GENERATION_CONFIG) if name in files]
    if config_elsewhere:
        loaded = [item for item in loaded if item is not files.get(CONFIG)]
    problem = problem or _missing_beside(folder, files, weights, config_elsewhere=config_elsewhere)
    return Weights(tuple(loaded), problem)


def _missing_shards(folder: str, names: Collection[str], count: str) -> Problem | None:
    there = set(names)
    expected = (f"model-{number:0{len(count)}}-of-{count}.safetensors" for number in range(1, int(count) + 1))
    return _missing(folder, (name for name in expected if name not in there), int(count) - len(there))


def _from_index(folder: str, files: Files, read: IndexReader) -> tuple[Collection[str], Problem | None]:
    if INDEX not in files:
        return (), None
    try:
        weights = sorted(set(read(files[INDEX]).values()))
    except CheckpointError as error:
        return (INDEX,), Problem(error.reason, str(error))
    except ObjectNotFound:
        return (), Problem("Incomplete", f"{folder}: {INDEX} is gone since it was listed. Upload it.", passing=True)
    gone = [name for name in weights if name not in files]
    return (*weights, INDEX), _missing(folder, gone, len(gone))


def _missing(folder: str, names: Iterable[str], count: int) -> Problem | None:
    first = list(islice(names, 3))
    if not first:
        return None
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    are = "is" if count == 1 else "are"
    return Problem(
        "ShardMissing", f"{folder}: {', '.join(first)}{more} {are} missing. Upload what is missing.", passing=True
    )


def _missing_beside(folder: str, files: Files, weights: Collection[str], *, config_elsewhere: bool) -> Problem | None:
    if SINGLE not in weights and INDEX not in files:
        return Problem("Incomplete", f"{folder}: {INDEX} is missing. Upload it.", passing=True)
    for name in weights:
        if files[name].size < _LEAST_WEIGHTS_BYTES:
            return Problem(
                "Incomplete",
                f"{folder}: {name} is truncated: {files[name].size} bytes. Upload it again.",
                passing=True,
            )
    if CONFIG not in files and not config_elsewhere:
        return Problem(
            "ConfigMissing",
            f"{folder}: {CONFIG} is missing. Upload it, or name one that fits under `checkpoints.config`.",
            passing=True,
        )
    return None


def marker_missing(folders: Collection[str], inventory: Collection[StoredObject], marker: str | None) -> Problem | None:
    """The marker that is asked for and is in none of `folders`."""
    if marker is None:
        return None
    names = {f"{folder}/{marker}" if folder else marker for folder in folders}
    if any(item.name in names for item in inventory):
        return None
    return Problem("Incomplete", f"{min(folders) or '.'}: the marker {marker} is missing.", passing=True)


def tokenizer_missing(folders: Collection[str], inventory: Collection[StoredObject]) -> Problem | None:
    """None of `folders` holds a tokenizer."""
    if any(tokenizer_files(inventory, folder) for folder in folders):
        return None
    message = "carries no tokenizer. Upload it, or name the folder of one under `checkpoints.tokenizer`."
    return Problem("TokenizerMissing", f"{min(folders) or '.'}: {message}", passing=True)


def not_settled(newest: StoredObject, age: float, settle_seconds: float) -> Problem | None:
    """That the newest file of a checkpoint changed `age` seconds ago, where that is less than `settle_seconds`."""
    if age >= settle_seconds:
        return None
    return Problem(
        "Incomplete",
        f"{newest.name}: changed {age:.0f} s ago; the checkpoint counts as complete once nothing in it has "
        f"changed for {settle_seconds:g} s.",
        passing=True,
    )
