"""Finds the checkpoints under a prefix from one listing, or from a part of one at a time (`understand`).

The name of a folder is read before the files in it, for a file costs a request: `trainer_state.json`, `.metadata.json`
and `latest` are read only where neither the mapping nor the name tells a position. `inspect` reads them for a selected
checkpoint and says where they disagree. An index is read only where names of shards don't tell how many there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Protocol

from fineline.checkpoints.checkpoint import Checkpoint, Found, NotUnderstood, Position, Problem
from fineline.checkpoints.completeness import (
    Weights,
    marker_missing,
    not_settled,
    read_index,
    safetensors_weights,
    tokenizer_missing,
)
from fineline.checkpoints.folders import Candidate, Folder, Names, Sorted, branch_of, is_too_long, sort_listing
from fineline.checkpoints.formats import CONFIG, GENERATION_CONFIG, READABLE, is_weights_file, preference, refusal
from fineline.checkpoints.identity import files_digest
from fineline.checkpoints.metadata import read_metadata
from fineline.checkpoints.names import MAX_STEP, MAX_TOKENS, TOKENS_A_STEP_WITHOUT_STEPS, Reading
from fineline.checkpoints.placing import Claim, in_order, judge
from fineline.store.interface import Store, StoredObject

_CONCURRENT_READS = 8


@dataclass(frozen=True, slots=True)
class FindOptions:
    """How to read a prefix, as `spec.checkpoints` and a CheckpointSource's `complete` say it.

    - `positions`: by folder name, or by path below the prefix; they count before all else.
    - `tokens_per_step`: tokens of a step, where names and files don't tell tokens.
    - `marker`: name of a file that must be in a complete checkpoint.
    - `tokenizer_needed`: so must a tokenizer.
    - `settle_seconds`: how long nothing in a complete checkpoint has changed.
    - `allow_pickle`: changes what is said of `.bin`; reading them is a later step.
    - `config_elsewhere`: the checkpoints' own config.json is neither needed nor loaded, nor in their digests.
    """

    positions: Mapping[str, Position] = field(default_factory=dict)
    tokens_per_step: int | None = None
    marker: str | None = None
    tokenizer_needed: bool = False
    settle_seconds: float = 0
    allow_pickle: bool = False
    config_elsewhere: bool = False


class Reads(Protocol):
    """The reads of small files that tell what names don't."""

    def metadata(self, store: Store, files: Mapping[str, StoredObject]) -> Reading | None:
        """As `read_metadata`."""
        ...

    def index(self, store: Store, item: StoredObject) -> dict[str, str]:
        """As `read_index`."""
        ...


class _PlainReads:
    metadata = staticmethod(read_metadata)
    index = staticmethod(read_index)


@dataclass(frozen=True, slots=True)
class Understood:
    """What a listing, or a part of one, holds, before it is asked how long nothing has changed and whether two claim
    one place. `said_inside` are the folders whose position is told by a file in them."""

    checkpoints: tuple[Checkpoint, ...]
    not_understood: tuple[NotUnderstood, ...]
    said_inside: frozenset[str]


def find(
    store: Store,
    options: FindOptions | None = None,
    *,
    folders: Collection[str] = (),
    now: datetime | None = None,
) -> Found:
    """Every checkpoint in `store`, ordered by (branch, tokens or step); the store's root may itself be one.

    Lists once, and whole: a listing that fails raises StoreError and gives nothing. No weights are read. `now` is the
    time that `settle_seconds` counts back from, by default this machine's.

    With `folders` (below the root) only these are listed, each with all below it. A checkpoint in one of them is what
    it is in a listing of all, for nothing of it lies outside of its folder; but a folder elsewhere that claims the same
    position is not seen.
    """
    options = options or FindOptions()
    now = now or datetime.now(UTC)
    listed = _below(store, folders) if folders else store.list()
    understood = understand(store, sort_listing(listed, Names(store.uri, options.positions)), options)
    checkpoints = [_settled(checkpoint, options.settle_seconds, now) for checkpoint in understood.checkpoints]
    judged = judge(
        Claim(item.folder, item.position, item.format in READABLE, item.folder in understood.said_inside)
        for item in checkpoints
    )
    kept = [
        replace(item, problem=judged.ambiguous[item.folder]) if item.folder in judged.ambiguous else item
        for item in checkpoints
        if item.folder not in judged.left_out
    ]
    return Found(
        uri=store.uri,
        checkpoints=in_order(kept),
        not_understood=tuple(sorted(understood.not_understood, key=lambda aside: aside.folder)),
        duplicates=judged.duplicates,
    )


def understand(store: Store, listing: Sorted, options: FindOptions, reads: Reads | None = None) -> Understood:
    """The checkpoints of a sorted listing, each judged by its own files. Reads the small files that must be read."""
    reads = reads or _PlainReads()
    not_understood = [NotUnderstood(path, _unsafe(path)) for path in listing.unsafe]
    candidates = list(listing.named.values())
    said_inside = set()
    unnamed = list(listing.unnamed.values())
    for candidate, reading in zip(unnamed, _read_inside(store, unnamed, reads), strict=True):
        if reading is None:
            not_understood.append(NotUnderstood(candidate.path, _no_position(candidate)))
        else:
            candidate.position = reading
            candidates.append(candidate)
            said_inside.add(candidate.path)
    checkpoints = []
    for candidate in candidates:
        if is_too_long(candidate):
            not_understood.append(NotUnderstood(candidate.path, _long(candidate.path)))
        else:
            checkpoints.append(_checkpoint(store, candidate, options, reads))
    return Understood(tuple(checkpoints), tuple(not_understood), frozenset(said_inside))


def explain_empty(found: Found) -> str:
    """One sentence on why there is nothing to evaluate in what was found, and what to do."""
    if found.checkpoints:
        first = next(checkpoint for checkpoint in found.checkpoints if checkpoint.problem)
        message = first.problem.message if first.problem else ""
        return f"{found.uri}: none of the {len(found.checkpoints):,} checkpoints is complete. The first: {message}"
    if found.not_understood:
        names = ", ".join(ascii(aside.folder or ".") for aside in found.not_understood[:5])
        return (
            f"{found.uri}: {len(found.not_understood):,} folders hold weights, and the position of none can be read: "
            f"{names}. {found.not_understood[0].message}"
        )
    return (
        f"{found.uri}: no checkpoint is there: no config.json with model.safetensors or its shards, and no other known "
        "format. Check the URI."
    )


def _below(store: Store, folders: Collection[str]) -> Iterable[StoredObject]:
    """What lies in these folders. None is listed twice: what sorts behind a folder and starts with it lies in it."""
    prefixes: list[str] = []
    for prefix in sorted(f"{folder.removesuffix('/')}/" for folder in folders):
        if not prefixes or not prefix.startswith(prefixes[-1]):
            prefixes.append(prefix)
    if len(prefixes) == 1:
        return store.list(prefixes[0])
    with ThreadPoolExecutor(min(_CONCURRENT_READS, len(prefixes))) as pool:
        return list(chain.from_iterable(pool.map(lambda prefix: list(store.list(prefix)), prefixes)))


def _read_inside(store: Store, candidates: Sequence[Candidate], reads: Reads) -> list[Reading | None]:
    if not candidates:
        return []
    with ThreadPoolExecutor(min(_CONCURRENT_READS, len(candidates))) as pool:
        return list(pool.map(lambda candidate: _read_candidate(store, candidate, reads), candidates))


def _read_candidate(store: Store, candidate: Candidate, reads: Reads) -> Reading | None:
    own = [folder for folder in candidate.folders if folder.path == candidate.path]
    for folder in own + candidate.weights():
        reading = reads.metadata(store, folder.files)
        if reading is not None:
            return reading
    return None


def _checkpoint(store: Store, candidate: Candidate, options: FindOptions, reads: Reads) -> Checkpoint:
    main = _main_weights(candidate)
    problem = refusal(main.format, candidate.path or ".", main.path, main.files, allow_pickle=options.allow_pickle)
    if main.format in READABLE:
        weights = safetensors_weights(
            main.path or ".", main.files, partial(reads.index, store), config_elsewhere=options.config_elsewhere
        )
    else:
        weights = Weights(_loaded_as_listed(main), None)
    problem = problem or weights.problem or _rivals(candidate, main)
    inventory = tuple(item for folder in candidate.folders for item in folder.files.values())
    folders = (candidate.path, main.path)
    problem = problem or marker_missing(folders, inventory, options.marker)
    if problem is None and options.tokenizer_needed:
        problem = tokenizer_missing(folders, inventory)
    return Checkpoint(
        folder=candidate.path,
        weights_folder=main.path,
        position=_position(candidate, options.tokens_per_step),
        format=main.format,
        inventory=inventory,
        loaded=weights.loaded,
        digest=files_digest(weights.loaded, main.path),
        size=sum(item.size for item in weights.loaded),
        problem=problem,
    )


def _main_weights(candidate: Candidate) -> Folder:
    """Of the folders with weights the one in the best format, nearest to the checkpoint's own folder."""
    return min(candidate.weights() or candidate.folders, key=lambda folder: (*_rank(folder), folder.path))


def _rank(folder: Folder) -> tuple[int, int]:
    return preference(folder.format), folder.path.count("/") + bool(folder.path)


def _rivals(candidate: Candidate, main: Folder) -> Problem | None:
    """Two folders of readable weights, equally near (`step1000/model` and `step1000/ema`): nobody can say which."""
    rivals = sorted(folder.path for folder in candidate.folders if folder is not main and _rank(folder) == _rank(main))
    if not rivals or main.format not in READABLE:
        return None
    return Problem(
        "WeightsAmbiguous",
        f"{candidate.path or '.'}: holds weights in {main.path} and in {rivals[0]}. Move the one that is not meant.",
    )


def _loaded_as_listed(folder: Folder) -> tuple[StoredObject, ...]:
    return tuple(
        item
        for name, item in folder.files.items()
        if is_weights_file(folder.format, name) or name in (CONFIG, GENERATION_CONFIG)
    )


def _position(candidate: Candidate, tokens_per_step: int | None) -> Position:
    said = candidate.position
    if said is None:
        raise AssertionError(candidate.path)
    if isinstance(said, Position):
        branch, step, tokens = said.branch, said.step, said.tokens
    else:
        branch, tokens = branch_of(candidate.path, said), said.tokens
        if said.step is not None:
            step = said.step
        else:
            a_step = tokens_per_step or TOKENS_A_STEP_WITHOUT_STEPS
            step = min(((tokens or 0) + a_step // 2) // a_step, MAX_STEP)
    if tokens is None and tokens_per_step is not None:
        tokens = min(step * tokens_per_step, MAX_TOKENS)
    return Position(branch, step, tokens)


def _settled(checkpoint: Checkpoint, settle_seconds: float, now: datetime) -> Checkpoint:
    if checkpoint.problem is not None or settle_seconds <= 0:
        return checkpoint
    newest = max(checkpoint.inventory, key=lambda item: item.modified)
    problem = not_settled(newest, (now - newest.modified).total_seconds(), settle_seconds)
    return checkpoint if problem is None else replace(checkpoint, problem=problem)


def _no_position(candidate: Candidate) -> str:
    name = candidate.path.rpartition("/")[2] or "the folder itself"
    return (
        f"{name}: holds weights, and neither its name nor a trainer_state.json, .metadata.json or latest in it tells a "
        "step. Give its position under `checkpoints.positions`, by its name."
    )


def _unsafe(path: str) -> str:
    return f"{ascii(path)[:200]}: has empty, `.` or `..` parts or characters that can't be printed. Rename it."


def _long(path: str) -> str:
    return f"{ascii(path)[:200]}: has a part of more than 256 characters. Rename it."
