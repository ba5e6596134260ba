"""A mirror of data sets: the contract that lets keys be computed from a listing.

Layout: `<hub data set>/<config>/<split>.parquet` (or `.jsonl`), such as `cais/mmlu/anatomy/test.parquet`; the config of
a data set that has none is `default`. `mirror.json` at the root holds a digest a data set (`<hub data set>/<config>`)
with the SHA-256 of its files. A mirror without it works too: then a digest is made of the listing (name, size, etag),
which changes when files are copied, though their content does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from fineline.errors import SpecError
from fineline.store import Store
from fineline.suites.definition import digest_of

MANIFEST_NAME = "mirror.json"
FORMATS = ("parquet", "jsonl")
DEFAULT_CONFIG = "default"

_VERSION = 1


@dataclass(frozen=True, slots=True)
class MirrorFile:
    """One split of a data set. `etag` is the listing's, `sha256` the manifest's: one of them is there."""

    name: str
    size: int
    etag: str | None
    sha256: str | None

    @property
    def dataset(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def split(self) -> str:
        return self.name.rpartition("/")[2].rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Mirror:
    """What a mirror holds: the digest of each data set, and its files by (data set, split)."""

    uri: str
    digests: Mapping[str, str]
    files: Mapping[tuple[str, str], MirrorFile]

    def resolve(self, path: str, config: str | None) -> str | None:
        """The name under which the mirror holds a hub data set; None where it does not. Without a config (or with
        `default`) it is `default`, else the only one there is."""
        name = f"{path}/{config or DEFAULT_CONFIG}"
        if name in self.digests:
            return name
        if config not in (None, DEFAULT_CONFIG):
            return None
        configs = [name for name in self.digests if name.rpartition("/")[0] == path]
        return configs[0] if len(configs) == 1 else None

    def splits(self, dataset: str) -> list[str]:
        """The splits that are there of a data set."""
        return sorted(split for name, split in self.files if name == dataset)


def read_mirror(store: Store) -> Mirror:
    """What a mirror holds, from its manifest, else from its listing. SpecError where the manifest can't be read."""
    found = store.head(MANIFEST_NAME)
    if found is not None:
        return _from_manifest(store.uri, store.get(MANIFEST_NAME))
    files = [MirrorFile(item.name, item.size, item.etag, None) for item in store.list() if _is_split(item.name)]
    return _mirror(store.uri, files)


def read_manifest(store: Store) -> dict[str, str]:
    """The digest of each data set in a mirror, by `<hub data set>/<config>`."""
    return dict(read_mirror(store).digests)


def write_manifest(store: Store, files: Iterable[MirrorFile]) -> Mirror:
    """Writes mirror.json over these files, each with its SHA-256, and returns what it says."""
    mirror = _mirror(store.uri, files)
    datasets: dict[str, Any] = {name: {"digest": digest, "files": {}} for name, digest in mirror.digests.items()}
    for file in mirror.files.values():
        place = datasets[file.dataset]["files"]
        place[file.name.rpartition("/")[2]] = {"size": file.size, "sha256": file.sha256}
    text = json.dumps({"version": _VERSION, "datasets": datasets}, indent=1, sort_keys=True)
    store.put(MANIFEST_NAME, text.encode())
    return mirror


def data_digest(names: Iterable[str], manifest: Mapping[str, str]) -> str:
    """What a key holds of a task's data: the digest over those of its data sets. One that the mirror lacks counts as
    missing, so that filling it in changes the key."""
    return digest_of({name: manifest.get(name) for name in sorted(set(names))})


def hub_digest(names: Iterable[str], revisions: Mapping[str, str | None]) -> str:
    """The same without a mirror: the hub's revisions, null where none is pinned."""
    return digest_of({f"hub:{name}": revisions.get(name) for name in sorted(set(names))})


@lru_cache(maxsize=4)
def _from_manifest(uri: str, content: bytes) -> Mirror:
    """Kept, for each evaluation that is planned reads the same one."""
    where = f"{uri}{MANIFEST_NAME}"
    try:
        parsed = json.loads(content)
        version = parsed["version"]
        if version > _VERSION:
            raise SpecError(f"{where}: version {version} is newer than {_VERSION}, the newest that this Fineline reads")
        files = [
            MirrorFile(f"{name}/{file}", int(values["size"]), None, str(values["sha256"]))
            for name, dataset in parsed["datasets"].items()
            for file, values in dataset["files"].items()
        ]
        stated = {str(name): str(dataset["digest"]) for name, dataset in parsed["datasets"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpecError(f"{where}: not a mirror's manifest ({error}); make it again, or remove it") from None
    mirror = _mirror(uri, files)
    wrong = sorted(name for name in stated if stated[name] != mirror.digests.get(name))
    if wrong:
        raise SpecError(f"{where}: the digest of {wrong[0]} is not that of the files it lists; make it again")
    return mirror


def _mirror(uri: str, files: Iterable[MirrorFile]) -> Mirror:
    by_split = {(file.dataset, file.split): file for file in sorted(files, key=lambda file: file.name)}
    by_dataset: dict[str, list[MirrorFile]] = {}
    for file in by_split.values():
        by_dataset.setdefault(file.dataset, []).append(file)
    digests = {
        name: digest_of([[file.name, file.size, file.sha256 or file.etag] for file in by_dataset[name]])
        for name in sorted(by_dataset)
    }
    return Mirror(uri, MappingProxyType(digests), MappingProxyType(by_split))


def _is_split(name: str) -> bool:
    return name.count("/") >= 2 and name.rpartition(".")[2] in FORMATS
