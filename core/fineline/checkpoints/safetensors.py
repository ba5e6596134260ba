"""Reads the header of a safetensors file, from a store with two ranged reads or from a local file, and trusts nothing.

The format: eight bytes with the header's length (little-endian), the header as a JSON object, then the tensors' bytes
back to back. The rules are those of the safetensors library (`SafeTensors::read_metadata`): a header of at most 100 MB,
offsets that start at zero, follow each other without a hole or an overlap and end with the file, and a length that is
the shape's times the dtype's. The library itself wants the whole file at hand, which a listing of a bucket has not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fineline.checkpoints.bounded import unique_keys
from fineline.errors import CheckpointError
from fineline.store.interface import Store

MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8

BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits an element, of each dtype that safetensors 0.8 knows."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What the header says of a tensor. `dtype` is safetensors' word (`BF16`), `size` is in bytes."""

    dtype: str
    shape: tuple[int, ...]
    size: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def read_header(store: Store, name: str, size: int) -> dict[str, TensorInfo]:
    """The tensors of an object that a listing gave `size` bytes, in file order; two ranged reads.

    CheckpointError (WeightsUnreadable) that names the file, where the header can't be so; StoreError as `Store.get`.
    """
    where = store.uri + name
    length = _header_length(store.get(name, 0, _LENGTH_BYTES), size, where)
    return parse_header(store.get(name, _LENGTH_BYTES, length), length, size, where)


def read_local_header(path: Path) -> dict[str, TensorInfo]:
    """The same for a local file. OSError where the file can't be read at all."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = _header_length(file.read(_LENGTH_BYTES), size, str(path))
        return parse_header(file.read(length), length, size, str(path))


def _header_length(first_bytes: bytes, size: int, where: str) -> int:
    if len(first_bytes) < _LENGTH_BYTES or size < _LENGTH_BYTES + 2:
        _refuse(where, f"it is truncated: {size:,} bytes are too few for a safetensors file")
    length = int.from_bytes(first_bytes, "little")
    if length > MAX_HEADER_BYTES:
        _refuse(where, f"its header claims {length:,} bytes, and {MAX_HEADER_BYTES:,} is the most: not safetensors")
    if _LENGTH_BYTES + length > size:
        _refuse(where, f"it is truncated: its header alone has {length:,} bytes, and the file {size:,}")
    return length


def parse_header(header: bytes, length: int, size: int, where: str) -> dict[str, TensorInfo]:
    """The tensors that a header tells, checked against the file's `size` in bytes. `where` names the file in errors."""
    if len(header) != length:
        _refuse(where, f"its header has {len(header):,} bytes, and claims {length:,}")
    if not header.startswith(b"{"):
        _refuse(where, "its header is not a JSON object")
    try:
        content = json.loads(header.decode(), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        _refuse(where, f"its header is not valid JSON ({str(error)[:100]})")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _refuse(where, "the `__metadata__` of its header is not an object of strings")
    spans = sorted((_span(name, entry, where) for name, entry in content.items()), key=lambda span: span[:2])
    end = 0
    for start, stop, name, _ in spans:
        if start != end:
            _refuse(
                where, f"tensor {_short(name)} starts at byte {start:,} of the data, and the one before ends at {end:,}"
            )
        end = stop
    data = size - _LENGTH_BYTES - length
    if end > data:
        _refuse(where, f"it is truncated: its tensors need {end:,} bytes, and {data:,} are there")
    if end < data:
        _refuse(where, f"{data - end:,} bytes at its end belong to no tensor")
    return {name: tensor for _, _, name, tensor in spans}


def _span(name: str, entry: object, where: str) -> tuple[int, int, str, TensorInfo]:
    """Start and end in the data, name, and what is told of the tensor."""
    if not isinstance(entry, dict):
        _refuse(where, f"tensor {_short(name)} has no dtype, shape and data_offsets")
    dtype, shape, offsets = _three(entry)
    if not isinstance(dtype, str) or dtype not in BITS:
        _refuse(where, f"tensor {_short(name)} has a dtype that is not known: {_short(dtype)}")
    if not _are_counts(shape):
        _refuse(where, f"tensor {_short(name)} has a shape that is none: {_short(shape)}")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(where, f"tensor {_short(name)} has data_offsets that are none: {_short(offsets)}")
    size = offsets[1] - offsets[0]
    if math.prod(shape) * BITS[dtype] != size * 8:
        _refuse(where, f"tensor {_short(name)} has {size:,} bytes, which {dtype} of shape {_short(shape)} has not")
    return offsets[0], offsets[1], name, TensorInfo(dtype, tuple(shape), size)


def _three(entry: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")


def _are_counts(values: object) -> bool:
    """A short list of plain integers that fit 63 bits: what products of stay quick to compute."""
    return (
        isinstance(values, list)
        and len(values) <= 64
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:99] + "…"


def _refuse(where: str, why: str) -> NoReturn:
    raise CheckpointError(f"{where}: {why}. Upload the file again.", reason="WeightsUnreadable")
