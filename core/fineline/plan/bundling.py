"""A plan as the entries of ConfigMaps, and back: what the operator writes and pods have mounted.

A slice is an entry `slice-00007.json.gz`, or `slice-00007.json.gz.000`, `.001`, … where one ConfigMap can't hold it.
All but the last ConfigMap are chunks; the last one, the index, has what is left of the slices and `plan.json`: the
plan's facts, with the digest of each slice. The same plan gives the same bytes, but for the time in `plan.json`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from fineline.errors import SpecError
from fineline.plan.facts import PLAN_FILE, PlanFacts, facts_of
from fineline.plan.models import PLAN_VERSION, Slice
from fineline.plan.planning import Plan
from fineline.results import FailedUnit

CHUNK_BYTES = 900 << 10
"""What the entries of one ConfigMap may have together, in base64 and with their names: the API server takes 1 MiB."""

MOST_CHUNKS = 64
MOST_SLICE_BYTES = 256 << 20
"""What a slice may unpack to: more is a mistake, or meant to fill the reader's memory."""

_ENTRY_OVERHEAD_BYTES = 16
_PART_BYTES = (CHUNK_BYTES - 256) // 4 * 3
# What the numbers in plan.json may still grow by when the digest and the number of chunks are known.
_FACTS_ROOM_BYTES = 128
_is_part = re.compile(r"\.\d{3}").fullmatch


@dataclass(frozen=True)
class Bundle:
    """A plan's entries, ConfigMap by ConfigMap: `chunks` are written first, `index` last."""

    chunks: tuple[Mapping[str, bytes], ...]
    index: Mapping[str, bytes]
    facts: PlanFacts


def bundle(plan: Plan, slices: Sequence[Slice], *, made: datetime, failed_before: Sequence[FailedUnit] = ()) -> Bundle:
    """Packs a plan that was cut into these slices. `made` is the time that its `plan.json` tells, `failed_before` the
    first of the plan's failed units in words.

    `SpecError`, reason PlanTooLarge, where it would need too many ConfigMaps.
    """
    packed: list[tuple[str, bytes]] = []
    digests: list[str] = []
    for part in slices:
        text = part.to_json()
        if len(text) > MOST_SLICE_BYTES:
            raise _too_large(plan)
        digests.append(hashlib.sha256(text).hexdigest())
        packed += _entries(slice_name(part.index), gzip.compress(text, mtime=0))
    facts = facts_of(plan, slices, digests, made, failed_before)
    chunks = _filled(packed)
    # plan.json takes the room that the last slices leave, if it is enough.
    last = chunks.pop() if chunks else {}
    if _size(last) + _entry_size(PLAN_FILE, facts.to_json()) + _FACTS_ROOM_BYTES > CHUNK_BYTES:
        chunks.append(last)
        last = {}
    if len(chunks) >= MOST_CHUNKS:
        raise _too_large(plan)
    facts = facts.model_copy(update={"chunks": len(chunks)})
    facts = facts.model_copy(update={"digest": _digest(facts, [*chunks, last])})
    return Bundle(tuple(chunks), {**last, PLAN_FILE: facts.to_json()}, facts)


def read_facts(data: bytes, origin: str) -> PlanFacts:
    """What `plan.json` says. `SpecError` names `origin` and what is wrong."""
    try:
        version = json.loads(data)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SpecError(f"{origin}: not a plan's {PLAN_FILE}: truncated, or another program's") from None
    if version != PLAN_VERSION:
        raise SpecError(f"{origin}: plan version {version!r}; this Fineline reads {PLAN_VERSION}; plan again")
    try:
        return PlanFacts.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"{origin}: not a plan's {PLAN_FILE}: {f'{path}: ' if path else ''}{first['msg']}") from None


def read_slice(folder: Path, index: int) -> Slice:
    """One slice of the plan that is mounted at a folder. `SpecError` names the file and what is wrong."""
    facts = read_facts(_content(folder / PLAN_FILE), str(folder / PLAN_FILE))
    if not 0 <= index < facts.slices:
        raise SpecError(f"{folder}: the plan has {facts.slices} slices, counted from 0; there is no slice {index}")
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise SpecError(f"{folder}: can't be read: {error.strerror}") from None
    packed = {name: _content(folder / name) for name in _names_of(slice_name(index), names)}
    return _slice(packed, index, facts, f"{folder}/")


def read_slices(entries: Mapping[str, bytes]) -> tuple[Slice, ...]:
    """All slices, from the entries of all of a plan's ConfigMaps together. `SpecError` names the entry."""
    facts = read_facts(entries.get(PLAN_FILE, b""), PLAN_FILE)
    return tuple(
        _slice({name: entries[name] for name in _names_of(slice_name(index), entries)}, index, facts, "")
        for index in range(facts.slices)
    )


def slice_name(index: int) -> str:
    return f"slice-{index:05d}.json.gz"


def _entries(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if _entry_size(name, data) <= CHUNK_BYTES:
        yield name, data
        return
    for number, start in enumerate(range(0, len(data), _PART_BYTES)):
        yield f"{name}.{number:03d}", data[start : start + _PART_BYTES]


def _filled(entries: Sequence[tuple[str, bytes]]) -> list[dict[str, bytes]]:
    """Fills one ConfigMap after the other, in order."""
    chunks: list[dict[str, bytes]] = []
    room = 0
    for name, data in entries:
        size = _entry_size(name, data)
        if size > room:
            chunks.append({})
            room = CHUNK_BYTES
        chunks[-1][name] = data
        room -= size
    return chunks


def _size(entries: Mapping[str, bytes]) -> int:
    return sum(_entry_size(name, data) for name, data in entries.items())


def _entry_size(name: str, data: bytes) -> int:
    return (len(data) + 2) // 3 * 4 + len(name) + _ENTRY_OVERHEAD_BYTES


def _digest(facts: PlanFacts, chunks: Sequence[Mapping[str, bytes]]) -> str:
    """Over all that the plan says but the time. How it is packed is in it too, for ConfigMaps are named by it: another
    version's compression must not give other bytes under the same name."""
    said = facts.model_dump(mode="json", exclude={"digest", "made"})
    said["packed"] = [
        {name: hashlib.sha256(data).hexdigest() for name, data in sorted(chunk.items())} for chunk in chunks
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _too_large(plan: Plan) -> SpecError:
    units, checkpoints = len(plan.todo), len(plan.order.checkpoints)
    return SpecError(
        f"spec.checkpoints.select: a plan of {units:,} units of {checkpoints:,} checkpoints needs more than "
        f"{MOST_CHUNKS} ConfigMaps. Take fewer at once (such as every: 2, or last: 100), and the others in a "
        "CheckpointEval of their own.",
        reason="PlanTooLarge",
    )


def _names_of(name: str, there: Collection[str]) -> list[str]:
    """The entries that a slice is in: its own, or its parts in order."""
    if name in there:
        return [name]
    return sorted(other for other in there if other.startswith(name) and _is_part(other[len(name) :]))


def _slice(packed: Mapping[str, bytes], index: int, facts: PlanFacts, folder: str) -> Slice:
    origin = folder + slice_name(index)
    if not packed:
        raise SpecError(f"{origin}: is missing, though the plan has {facts.slices} slices; plan again")
    text = _unpacked(b"".join(packed.values()), origin)
    if hashlib.sha256(text).hexdigest() != facts.slice_digests[index]:
        raise SpecError(f"{origin}: not the slice that {PLAN_FILE} names (its digest differs); plan again")
    return Slice.from_json(text, origin)


def _unpacked(data: bytes, origin: str) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(data, MOST_SLICE_BYTES + 1)
    except zlib.error as error:
        raise SpecError(f"{origin}: not gzip, or damaged ({error}); plan again") from None
    if len(text) > MOST_SLICE_BYTES:
        raise SpecError(f"{origin}: unpacks to more than {MOST_SLICE_BYTES >> 20} MiB; plan again")
    if not unpacking.eof or unpacking.unused_data:
        raise SpecError(f"{origin}: truncated, or a part of it is missing; plan again")
    return text


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: can't be read: {error.strerror}; a plan's ConfigMaps are mounted there") from None
