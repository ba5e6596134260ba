"""What a store is: the one interface over a bucket prefix and a directory.

Names are relative to the store's root, with `/` between parts and none at the start. Every method raises only
`fineline.errors.StoreError` and its kinds, with the URI in the message; passing faults were already retried, with
bounds and jitter. Stores are safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing.

    `etag` changes whenever the content may have: S3's ETag without its quotes; on a directory it is made of the file's
    modification time in nanoseconds and its size. `size` is in bytes, `modified` in UTC.
    """

    name: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a listing, as a delimiter gives it: the objects directly there, and the folders (ending in `/`)."""

    objects: tuple[StoredObject, ...]
    folders: tuple[str, ...]


class Store(Protocol):
    """A bucket prefix (`s3://bucket/prefix/`) or a directory (`file:///folder/`)."""

    @property
    def uri(self) -> str:
        """The root's URI; always ends in `/`."""
        ...

    @property
    def list_requests(self) -> int:
        """How many requests for a listing, or for the next page of one, this object has made. On a directory as many
        as S3 would need, of 1,000 entries each."""
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object below `prefix` (a string prefix of names, as in S3), paged and whole, in order of names' UTF-8
        bytes. An empty or missing directory or prefix gives nothing; a missing bucket is `StoreNotFound`."""
        ...

    def list_level(self, folder: str = "") -> Level:
        """The objects and folders directly in `folder` (empty, or ending in `/`)."""
        ...

    def head(self, name: str) -> StoredObject | None:
        """The object, or None where there is none."""
        ...

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of an object, or `length` of them from `start` (fewer at the end). `ObjectNotFound` if missing."""
        ...

    def put(self, name: str, data: bytes | Path) -> None:
        """Writes an object whole, or not at all: bytes, or the content of a local file."""
        ...

    def put_if_absent(self, name: str, data: bytes | Path) -> bool:
        """Writes the object only if there is none; says whether it did. Of any number of writers one gets True."""
        ...

    def put_if_unchanged(self, name: str, data: bytes | Path, etag: str) -> bool:
        """Writes the object only if it is there with this etag; says whether it did. Of any number of writers with one
        etag, one gets True, and what it wrote has another etag unless it is the same bytes.

        What else happens to the object at the same moment: on S3 it is seen, whatever it is. A directory knows these
        writers alone: what `put` or `delete` does between the comparison and the rename is overwritten, as it is
        between two `put`. The same goes for every writer where a server does not know `If-Match` on writes, whether it
        says so or not, and where a file system has no locks: whoever relies on more must use `put_if_absent`."""
        ...

    def download(self, item: StoredObject, path: Path) -> None:
        """The object as a local file, whole, streamed. `ObjectChanged` if it is not the one that was listed any more
        (by etag and size), `ObjectNotFound` if it is gone, `StoreFull` if the disk has no room. No partial file is
        left behind."""
        ...

    def delete(self, name: str) -> None:
        """Removes the object; nothing happens where there is none."""
        ...

    def at(self, folder: str) -> Store:
        """The same store, rooted at a folder below this one."""
        ...
