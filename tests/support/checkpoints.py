"""Checkpoints for tests of finding and reading: a few hundred bytes each, and a store that is only a listing.

`support.models` makes checkpoints that an engine can load; these are for names, files and headers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fineline.errors import ObjectNotFound
from fineline.store.interface import Level, Store, StoredObject

UPLOADED = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = {"model_type": "llama", "vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 2}
SHAPES = {
    "model.embed_tokens.weight": (8, 4),
    "model.layers.0.mlp.up_proj.weight": (6, 4),
    "model.layers.1.mlp.up_proj.weight": (6, 4),
    "lm_head.weight": (8, 4),
}


def safetensors_bytes(shapes: Mapping[str, tuple[int, ...]], fill: int = 0) -> bytes:
    """A safetensors file of F32 tensors, written by the safetensors library."""
    import numpy as np
    from safetensors.numpy import save

    return bytes(save({name: np.full(shape, fill, dtype=np.float32) for name, shape in shapes.items()}))


def raw_safetensors(header: object, data: bytes = b"") -> bytes:
    """A file of the format with any header: an object that is written as JSON, or the header's bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def llama_files(shards: int = 1, *, config: Mapping[str, Any] = CONFIG, fill: int = 0) -> dict[str, bytes]:
    """The files of a tiny Llama, by name: config.json, and one safetensors file or shards with their index."""
    files = {"config.json": json.dumps(config).encode()}
    if shards == 1:
        return files | {"model.safetensors": safetensors_bytes(SHAPES, fill)}
    weight_map: dict[str, str] = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        held = dict(list(SHAPES.items())[number::shards])
        files[name] = safetensors_bytes(held, fill)
        weight_map |= dict.fromkeys(held, name)
    return files | {"model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": weight_map}).encode()}


def put_all(store: Store, folder: str, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        store.put(f"{folder}/{name}" if folder else name, data)


class ListedStore:
    """A bucket of which only a listing is known, and the content of some objects: for names that no directory holds.

    Counts the reads of content, so that a test can say how many there were.
    """

    def __init__(self, objects: Iterable[StoredObject | str], content: Mapping[str, bytes] | None = None) -> None:
        self.objects = [listed(item) if isinstance(item, str) else item for item in objects]
        self.content = dict(content or {})
        self.reads: list[str] = []

    @property
    def uri(self) -> str:
        return "s3://bucket/run/"

    @property
    def list_requests(self) -> int:
        raise NotImplementedError

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        ordered = sorted(self.objects, key=lambda item: item.name.encode("utf-8", "surrogatepass"))
        return (item for item in ordered if item.name.startswith(prefix))

    def list_level(self, folder: str = "") -> Level:
        raise NotImplementedError

    def head(self, name: str) -> StoredObject | None:
        return next((item for item in self.objects if item.name == name), None)

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads.append(name)
        if name not in self.content:
            raise ObjectNotFound(f"{self.uri}{name}: is not there.")
        return self.content[name][start : None if length is None else start + length]

    def put(self, name: str, data: bytes | Path) -> None:
        raise NotImplementedError

    def put_if_absent(self, name: str, data: bytes | Path) -> bool:
        raise NotImplementedError

    def put_if_unchanged(self, name: str, data: bytes | Path, etag: str) -> bool:
        raise NotImplementedError

    def download(self, item: StoredObject, path: Path) -> None:
        raise NotImplementedError

    def delete(self, name: str) -> None:
        raise NotImplementedError

    def at(self, folder: str) -> Store:
        raise NotImplementedError


def listed(name: str, *, size: int = 1000, etag: str = "etag", modified: datetime = UPLOADED) -> StoredObject:
    return StoredObject(name, size, etag, modified)
