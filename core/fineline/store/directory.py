"""A directory as a store: what a bucket does, done with files.

Objects are written to a temporary file beside their place, flushed to the disk, and then renamed (put) or linked
(put-if-absent), so that nobody ever reads half an object and one of several writers wins. Temporary files have names
of their own that are never listed. Links are followed, for training jobs use them (`latest -> step1000`).

Left out of listings: what is no regular file, links that lead nowhere or into a folder they lie in, and names that are
not UTF-8.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fineline.errors import ObjectChanged, ObjectNotFound, StoreNotFound
from fineline.store.files import (
    COPY_BYTES,
    LOCK_NAME,
    file_errors,
    flush_folder,
    is_own_file,
    temporary_beside,
    write_durably,
)
from fineline.store.interface import Level, StoredObject
from fineline.store.names import check_folder, check_name, check_span, split_prefix

# Links that lie behind one another on one path: enough for `latest -> newest -> step1000`, and few enough that folders
# full of links to each other end in time.
_LINKS_ON_A_PATH = 4
# As many entries as S3 gives in one answer.
_PAGE = 1000
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)


class DirectoryStore:
    """A directory, which need not be there yet: it is made by the first write."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100 - Path.absolute() keeps `..`
        self._list_requests = 0

    @property
    def uri(self) -> str:
        return f"file://{self._root}"

    @property
    def list_requests(self) -> int:
        return self._list_requests

    def __repr__(self) -> str:
        return f"DirectoryStore({self._root!r})"

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        folder, start = split_prefix(self.uri, prefix)
        self._list_requests += 1
        with file_errors(self.uri + prefix):
            for place, item in enumerate(self._walk(folder, start, self._above(folder))):
                self._list_requests += place > 0 and place % _PAGE == 0
                yield item

    def list_level(self, folder: str = "") -> Level:
        folder = check_folder(self.uri, folder)
        objects: list[StoredObject] = []
        folders: list[str] = []
        with file_errors(self.uri + folder):
            for entry, is_folder in self._children(folder):
                name = folder + entry.name
                if is_folder:
                    # A folder without an object is none in S3.
                    if next(self._walk(f"{name}/", "", self._above(f"{name}/")), None) is not None:
                        folders.append(f"{name}/")
                elif (item := _stored(name, entry)) is not None:
                    objects.append(item)
        self._list_requests += max(1, -(-(len(objects) + len(folders)) // _PAGE))
        return Level(tuple(objects), tuple(folders))

    def head(self, name: str) -> StoredObject | None:
        with file_errors(self.uri + name):
            return _stored(name, self._path(name))

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        check_span(start, length)
        with file_errors(self.uri + name), self._opened(name) as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def put(self, name: str, data: bytes | Path) -> None:
        path = self._path(name)
        with file_errors(self.uri + name), temporary_beside(path) as temporary:
            write_durably(temporary, data)
            temporary.replace(path)
            flush_folder(path.parent)

    def put_if_absent(self, name: str, data: bytes | Path) -> bool:
        path = self._path(name)
        with file_errors(self.uri + name):
            if os.path.lexists(path):
                return False
            with temporary_beside(path) as temporary:
                write_durably(temporary, data)
                try:
                    won = _link_if_absent(temporary, path)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    won = rename_if_absent(temporary, path)
                flush_folder(path.parent)
                return won

    def put_if_unchanged(self, name: str, data: bytes | Path, etag: str) -> bool:
        path = self._path(name)
        with file_errors(self.uri + name):
            if _file_with(path, etag) is None:
                return False
            with temporary_beside(path) as temporary, ExitStack() as until_written:
                write_durably(temporary, data)
                try:
                    until_written.enter_context(_locked(path.parent))
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise
                replaced = _file_with(path, etag)
                if replaced is None:
                    return False
                _make_newer(temporary, replaced)
                temporary.replace(path)
                flush_folder(path.parent)
                return True

    def download(self, item: StoredObject, path: Path) -> None:
        with file_errors(self.uri + item.name), self._opened(item.name) as source:
            self._must_be(item, os.fstat(source.fileno()))
            with file_errors(str(path)), temporary_beside(path) as temporary:
                with temporary.open("xb") as copy:
                    shutil.copyfileobj(source, copy, COPY_BYTES)
                    copied = copy.tell()
                # Overwritten in place while it was copied, or replaced: either way the copy may be a mixture or old.
                self._must_be(item, os.fstat(source.fileno()), copied)
                temporary.replace(path)

    def delete(self, name: str) -> None:
        with file_errors(self.uri + name):
            try:
                self._path(name).unlink()
            except OSError as error:
                if error.errno not in _NOT_THERE and not self._path(name).is_dir():
                    raise

    def at(self, folder: str) -> DirectoryStore:
        return DirectoryStore(self._root + check_folder(self.uri, folder))

    def _path(self, name: str) -> Path:
        return Path(self._root + check_name(self.uri, name))

    def _opened(self, name: str) -> BinaryIO:
        """The file of an object. A pipe is never opened: that would wait for its writer for ever."""
        path = self._path(name)
        try:
            if stat.S_ISREG(path.stat().st_mode):
                return path.open("rb")
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
        raise ObjectNotFound(f"{self.uri}{name}: there is no such file.")

    def _must_be(self, item: StoredObject, found: os.stat_result, copied: int | None = None) -> None:
        if _etag(found) != item.etag or found.st_size != item.size or copied not in (None, item.size):
            raise ObjectChanged(
                f"{self.uri}{item.name}: it was {item.size:,} bytes ({item.etag}) when it was listed and is "
                f"{found.st_size:,} bytes ({_etag(found)}) now. List it again."
            )

    def _children(self, folder: str, start: str = "") -> Sequence[tuple[os.DirEntry[str], bool]]:
        """What lies directly in a folder and whether it is a folder itself, in the order of a whole listing.

        A folder sorts with its `/`, so that `a.txt` comes before `a/b` as their bytes do.
        """
        try:
            with os.scandir(self._root + folder) as entries:
                found = [
                    (entry, _is_folder(entry))
                    for entry in entries
                    if entry.name.startswith(start) and not is_own_file(entry.name) and _is_utf8(entry.name)
                ]
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
            if folder == "" and error.errno == errno.ENOTDIR:
                raise StoreNotFound(f"{self.uri}: this is a file, and a directory is needed.") from error
            return []
        return sorted(found, key=lambda child: (child[0].name + "/" * child[1]).encode())

    def _above(self, folder: str) -> frozenset[tuple[int, int]]:
        """Which directories, by device and inode, lie on the way to a folder, itself included."""
        parts = folder.split("/")
        found = (_stat_or_none(Path(self._root, *parts[:depth])) for depth in range(len(parts)))
        return frozenset((one.st_dev, one.st_ino) for one in found if one is not None)

    def _walk(
        self, folder: str, start: str, above: frozenset[tuple[int, int]], links: int = 0
    ) -> Iterator[StoredObject]:
        """Every object below a folder, but for what lies behind a link to a folder `above` it: that has no end."""
        for entry, is_folder in self._children(folder, start):
            name = folder + entry.name
            if not is_folder:
                if (item := _stored(name, entry)) is not None:
                    yield item
                continue
            found = _stat_or_none(entry)
            if found is None:
                continue
            identity = (found.st_dev, found.st_ino)
            links_here = links + entry.is_symlink()
            if identity not in above and links_here <= _LINKS_ON_A_PATH:
                yield from self._walk(f"{name}/", "", above | {identity}, links_here)


def rename_if_absent(temporary: Path, path: Path) -> bool:
    """Puts a file in its place if there is none, on a file system without hard links (FAT, some network mounts).

    The folder's lock keeps other writers out meanwhile.
    """
    with _locked(path.parent):
        if os.path.lexists(path):
            return False
        temporary.rename(path)
        return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which ends with the process that holds it. Its file stays, for whoever removed it would
    let two writers lock two files."""
    with (folder / LOCK_NAME).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _file_with(path: Path, etag: str) -> os.stat_result | None:
    """What the file is, if it has this etag."""
    found = _stat_or_none(path)
    return found if found is not None and stat.S_ISREG(found.st_mode) and _etag(found) == etag else None


def _make_newer(temporary: Path, replaced: os.stat_result) -> None:
    """Sees to another etag where the clock, which ticks every few milliseconds, gives the same."""
    written = temporary.stat()
    if written.st_mtime_ns <= replaced.st_mtime_ns:
        os.utime(temporary, ns=(written.st_atime_ns, replaced.st_mtime_ns + 1))


def _link_if_absent(temporary: Path, path: Path) -> bool:
    try:
        path.hardlink_to(temporary)
        return True
    except FileExistsError:
        # A network file system may lose the answer, try again and find its own link: two names tell that it is ours.
        return temporary.stat().st_nlink > 1


def _etag(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def _stored(name: str, entry: os.DirEntry[str] | Path) -> StoredObject | None:
    found = _stat_or_none(entry)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    return StoredObject(name, found.st_size, _etag(found), datetime.fromtimestamp(found.st_mtime, UTC))


def _stat_or_none(entry: os.DirEntry[str] | Path) -> os.stat_result | None:
    """None where nothing is any more: files come and go while a training job writes."""
    try:
        return entry.stat()
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
