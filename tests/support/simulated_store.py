"""A bucket in memory with a clock of its own and pages of any size, for tests of thousands of histories.

It stands in for versitygw, which takes milliseconds a request and whose clock and page size can't be chosen. What a
page and a level are is as in S3; the tests of walking on real stores are beside those that use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from fineline.errors import ObjectNotFound, StoreUnavailable
from fineline.store.interface import Level, StoredObject

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedStore:
    """`now` is the true time in seconds, of which the store's clock is `ahead`. Request `fails_at` has no answer."""

    def __init__(self, page: int = 1000, uri: str = "s3://bucket/run/") -> None:
        self.page = page
        self.uri = uri
        self.now = 0.0
        self.ahead = 0.0
        self.objects: dict[str, StoredObject] = {}
        self.written: dict[str, float] = {}
        self.content: dict[str, bytes] = {}
        self.list_requests = 0
        self.fails_at: int | None = None
        self.reads: list[str] = []
        self._etags = 0

    def write(self, name: str, content: bytes | None = None, size: int = 1000) -> None:
        """Puts an object, which is another one than before."""
        self._etags += 1
        modified = BEGINNING + timedelta(seconds=self.now + self.ahead)
        self.objects[name] = StoredObject(name, size, f"etag{self._etags}", modified)
        self.written[name] = self.now
        if content is not None:
            self.content[name] = content

    def delete(self, name: str) -> None:
        for of in (self.objects, self.written, self.content):
            of.pop(name, None)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        names = sorted((name for name in self.objects if name.startswith(prefix)), key=str.encode)
        for start in range(0, max(len(names), 1), self.page):
            self._answer()
            yield from [self.objects[name] for name in names[start : start + self.page]]

    def list_level(self, folder: str = "") -> Level:
        objects, folders = [], set()
        for name in sorted(self.objects, key=str.encode):
            if name.startswith(folder):
                rest, below, _ = name[len(folder) :].partition("/")
                if below:
                    folders.add(f"{folder}{rest}/")
                else:
                    objects.append(self.objects[name])
        for _ in range(0, max(len(objects) + len(folders), 1), self.page):
            self._answer()
        return Level(tuple(objects), tuple(sorted(folders, key=str.encode)))

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads.append(name)
        if name not in self.content:
            raise ObjectNotFound(f"{self.uri}{name}: is not there.")
        return self.content[name][start : None if length is None else start + length]

    def _answer(self) -> None:
        self.list_requests += 1
        if self.list_requests == self.fails_at:
            raise StoreUnavailable(f"{self.uri}: no answer.")
