"""The documents of tasks: from a mirror, checked against what its manifest says, or from the hub.

Splits are read when they are asked for, so that a task needs only those it scores or draws few-shot examples from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fineline import datasets as mirrors
from fineline.errors import ObjectChanged, ObjectNotFound, TaskError
from fineline.store import Store, StoredObject

_READ_AT_ONCE = 4 << 20


class Splits(Protocol):
    """The splits of one data set, by name; a `datasets.Dataset` each. lm-eval subscribes to it as to a DatasetDict."""

    def __getitem__(self, split: str) -> Any: ...


class Source(Protocol):
    """Where data sets come from."""

    def splits(self, task: str, path: str, config: str | None) -> Splits:
        """The splits of a hub data set. Nothing is read yet."""
        ...

    def digest(self, names: list[str]) -> str:
        """The digest over these data sets (`<path>/<config>`), as a key holds it."""
        ...


class MirrorSource:
    """A mirror's files, kept below `cache` once they were fetched. Raises TaskError: SplitMissing, DataMismatch."""

    def __init__(self, store: Store, cache: Path) -> None:
        self._store = store
        self._cache = cache
        self._mirror = mirrors.read_mirror(store)

    def splits(self, task: str, path: str, config: str | None) -> Splits:
        return _MirrorSplits(self, task, path, config)

    def digest(self, names: list[str]) -> str:
        held = [self._mirror.resolve(path, config) or f"{path}/{config}" for path, _, config in map(_parted, names)]
        return mirrors.data_digest(held, self._mirror.digests)

    def read(self, task: str, path: str, config: str | None, split: str) -> Any:
        """One split as a `datasets.Dataset`."""
        name = self._mirror.resolve(path, config)
        file = None if name is None else self._mirror.files.get((name, split))
        if file is None:
            held = ", ".join(self._mirror.splits(name)) if name is not None else "no such data set"
            raise TaskError(
                f"{task}: the mirror {self._mirror.uri} lacks split {split!r} of {path}, config "
                f"{config or mirrors.DEFAULT_CONFIG} (it has: {held}); add it with `fineline datasets mirror`",
                reason="SplitMissing",
            )
        local = self._fetch(task, file)
        try:
            return _read_table(local)
        except Exception as error:
            local.unlink(missing_ok=True)
            raise TaskError(
                f"{task}: {self._mirror.uri}{file.name} is no {local.suffix[1:]} that can be read: {error}",
                reason="DataMismatch",
            ) from error

    def _fetch(self, task: str, file: mirrors.MirrorFile) -> Path:
        identity = hashlib.sha256(
            json.dumps([self._mirror.uri, file.name, file.size, file.etag, file.sha256]).encode()
        ).hexdigest()
        local = self._cache / "data" / f"{identity[:32]}.{file.name.rpartition('.')[2]}"
        if local.exists() and local.stat().st_size == file.size:
            return local
        item = self._store.head(file.name)
        if item is None or (file.etag is not None and item.etag != file.etag) or item.size != file.size:
            raise self._mismatch(task, file)
        local.parent.mkdir(parents=True, exist_ok=True)
        self._download(task, file, item, local)
        if file.sha256 is not None and _sha256(local) != file.sha256:
            local.unlink(missing_ok=True)
            raise self._mismatch(task, file)
        return local

    def _download(self, task: str, file: mirrors.MirrorFile, item: StoredObject, local: Path) -> None:
        try:
            self._store.download(item, local)
        except (ObjectChanged, ObjectNotFound):
            raise self._mismatch(task, file) from None

    def _mismatch(self, task: str, file: mirrors.MirrorFile) -> TaskError:
        return TaskError(
            f"{task}: {self._mirror.uri}{file.name} is not the file that the mirror's manifest or listing told of; "
            "mirror the data set again, then start a new evaluation",
            reason="DataMismatch",
        )


class HubSource:
    """The Hugging Face hub, through `datasets`. `revisions` pins data sets (`<path>/<config>`) to commits."""

    def __init__(self, revisions: Mapping[str, str | None] | None = None) -> None:
        self._revisions = dict(revisions or {})

    def splits(self, task: str, path: str, config: str | None) -> Splits:
        return _HubSplits(task, path, config, self._revisions.get(f"{path}/{config or mirrors.DEFAULT_CONFIG}"))

    def digest(self, names: list[str]) -> str:
        return mirrors.hub_digest(names, self._revisions)


class _MirrorSplits:
    def __init__(self, source: MirrorSource, task: str, path: str, config: str | None) -> None:
        self._source, self._task, self._path, self._config = source, task, path, config
        self._read: dict[str, Any] = {}

    def __getitem__(self, split: str) -> Any:
        if split not in self._read:
            self._read[split] = self._source.read(self._task, self._path, self._config, split)
        return self._read[split]


class _HubSplits:
    def __init__(self, task: str, path: str, config: str | None, revision: str | None) -> None:
        self._task, self._path, self._config, self._revision = task, path, config, revision
        self._read: dict[str, Any] = {}

    def __getitem__(self, split: str) -> Any:
        if split not in self._read:
            self._read[split] = self._load(split)
        return self._read[split]

    def _load(self, split: str) -> Any:
        import datasets

        try:
            return datasets.load_dataset(self._path, self._config, split=split, revision=self._revision)
        except ValueError as error:  # what `datasets` raises for a config or split that the hub lacks
            raise TaskError(
                f"{self._task}: the hub has no split {split!r} of {self._path}, config {self._config or 'default'}: "
                f"{error}",
                reason="SplitMissing",
            ) from error
        except Exception as error:
            raise TaskError(
                f"{self._task}: {self._path} could not be had from the hub: {error}; name a mirror in suite.datasets "
                "where the cluster has no way out",
                permanent=False,
            ) from error


def _read_table(file: Path) -> Any:
    import datasets
    import pyarrow.json
    import pyarrow.parquet

    read = pyarrow.parquet.read_table if file.suffix == ".parquet" else pyarrow.json.read_json
    return datasets.Dataset(datasets.table.InMemoryTable(read(str(file))))


def _parted(name: str) -> tuple[str, str, str]:
    return name.rpartition("/")


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(_READ_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
