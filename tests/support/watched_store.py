"""A store in memory, and one that tells every call before it is done: to count calls, to end a program at one, or to
let something else happen in between."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from fineline.errors import ObjectNotFound
from fineline.store import Level, Store, StoredObject

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryStore:
    """A bucket as a dictionary: an etag is of the content, as S3's is."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    uri = "memory://bucket/"

    @property
    def list_requests(self) -> int:
        raise NotImplementedError

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for name in sorted(self.objects):
            if name.startswith(prefix) and (found := self.head(name)) is not None:
                yield found

    def list_level(self, folder: str = "") -> Level:
        rests = [(item, item.name.removeprefix(folder)) for item in self.list(folder)]
        folders = sorted({f"{folder}{rest.split('/')[0]}/" for _, rest in rests if "/" in rest})
        return Level(tuple(item for item, rest in rests if "/" not in rest), tuple(folders))

    def head(self, name: str) -> StoredObject | None:
        data = self.objects.get(name)
        return None if data is None else StoredObject(name, len(data), hashlib.md5(data).hexdigest(), WHEN)

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        if name not in self.objects:
            raise ObjectNotFound(f"{self.uri}{name}: there is no such object.")
        return self.objects[name][start:][:length]

    def put(self, name: str, data: bytes | Path) -> None:
        self.objects[name] = data if isinstance(data, bytes) else data.read_bytes()

    def put_if_absent(self, name: str, data: bytes | Path) -> bool:
        if name in self.objects:
            return False
        self.put(name, data)
        return True

    def put_if_unchanged(self, name: str, data: bytes | Path, etag: str) -> bool:
        found = self.head(name)
        if found is None or found.etag != etag:
            return False
        self.put(name, data)
        return True

    def download(self, item: StoredObject, path: Path) -> None:
        path.write_bytes(self.get(item.name))

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)

    def at(self, folder: str) -> Store:
        raise NotImplementedError


class WatchedStore:
    """Another store, with `before(method, name)` called ahead of every call; what it raises is what the call raises."""

    def __init__(self, store: Store, before: Callable[[str, str], None] | None = None) -> None:
        self._store = store
        self._before = before
        self.calls: Counter[str] = Counter()

    def _call(self, method: str, name: str) -> None:
        self.calls[method] += 1
        if self._before is not None:
            self._before(method, name)

    @property
    def uri(self) -> str:
        return self._store.uri

    @property
    def list_requests(self) -> int:
        return self._store.list_requests

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self._call("list", prefix)
        return self._store.list(prefix)

    def list_level(self, folder: str = "") -> Level:
        self._call("list_level", folder)
        return self._store.list_level(folder)

    def head(self, name: str) -> StoredObject | None:
        self._call("head", name)
        return self._store.head(name)

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self._call("get", name)
        return self._store.get(name, start, length)

    def put(self, name: str, data: bytes | Path) -> None:
        self._call("put", name)
        self._store.put(name, data)

    def put_if_absent(self, name: str, data: bytes | Path) -> bool:
        self._call("put_if_absent", name)
        return self._store.put_if_absent(name, data)

    def put_if_unchanged(self, name: str, data: bytes | Path, etag: str) -> bool:
        self._call("put_if_unchanged", name)
        return self._store.put_if_unchanged(name, data, etag)

    def download(self, item: StoredObject, path: Path) -> None:
        self._call("download", item.name)
        self._store.download(item, path)

    def delete(self, name: str) -> None:
        self._call("delete", name)
        self._store.delete(name)

    def at(self, folder: str) -> Store:
        return WatchedStore(self._store.at(folder), self._before)
