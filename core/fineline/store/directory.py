"""A directory as a store: what a bucket does, done with files.

Objects are written to a temporary file beside their place, flushed to the disk, and then renamed (put) or linked
(put-if-absent), so that nobody ever reads half an object and one of several writers wins. Temporary files have names
of their own that are never listed. Links are followed, for training jobs use them (`latest -> step1000`).

Left out of listings: what is no regular file, links that lead nowhere or into a folder they lie in, and names that are
not UTF-8.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fineline.errors import ObjectChanged, ObjectNotFound, StoreDenied, StoreError, StoreFull, StoreNotFound
from fineline.store.interface import Level, StoredObject
from fineline.store.names import check_folder, check_name, check_span, split_prefix

# Links that lie behind one another on one path: enough for `latest -> newest -> step1000`, and few enough that folders
# full of links to each other end in time.
_LINKS_ON_A_PATH = 4
_COPY_BYTES = 4 << 20
# A temporary file that nobody wrote to for so long belongs to a process that was killed.
_STALE_SECONDS = 24 * 3600
_LOCK_NAME = ".fineline-lock.tmp"
_OWN_FILE = re.compile(r"\.fineline-[0-9a-z]+\.tmp").fullmatch
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)


class DirectoryStore:
    """A directory, which need not be there yet: it is made by the first write."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100 - Path.absolute() keeps `..`

    @property
    def uri(self) -> str:
        return f"file://{self._root}"

    def __repr__(self) -> str:
        return f"DirectoryStore({self._root!r})"

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        folder, start = split_prefix(self.uri, prefix)
        with _errors_of(self.uri + prefix):
            yield from self._walk(folder, start, self._above(folder))

    def list_level(self, folder: str = "") -> Level:
        folder = check_folder(self.uri, folder)
        objects: list[StoredObject] = []
        folders: list[str] = []
        with _errors_of(self.uri + folder):
            for entry, is_folder in self._children(folder):
                name = folder + entry.name
                if is_folder:
                    # A folder without an object is none in S3.
                    if next(self._walk(f"{name}/", "", self._above(f"{name}/")), None) is not None:
                        folders.append(f"{name}/")
                elif (item := _stored(name, entry)) is not None:
                    objects.append(item)
        return Level(tuple(objects), tuple(folders))

    def head(self, name: str) -> StoredObject | None:
        with _errors_of(self.uri + name):
            return _stored(name, self._path(name))

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        check_span(start, length)
        with _errors_of(self.uri + name), self._opened(name) as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def put(self, name: str, data: bytes | Path) -> None:
        path = self._path(name)
        with _errors_of(self.uri + name), _temporary_beside(path) as temporary:
            _write_durably(temporary, data)
            temporary.replace(path)
            _flush_folder(path.parent)

    def put_if_absent(self, name: str, data: bytes | Path) -> bool:
        path = self._path(name)
        with _errors_of(self.uri + name):
            if os.path.lexists(path):
                return False
            with _temporary_beside(path) as temporary:
                _write_durably(temporary, data)
                try:
                    won = _link_if_absent(temporary, path)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    won = rename_if_absent(temporary, path)
                _flush_folder(path.parent)
                return won

    def download(self, item: StoredObject, path: Path) -> None:
        with _errors_of(self.uri + item.name), self._opened(item.name) as source:
            self._must_be(item, os.fstat(source.fileno()))
            with _local_errors(path), _temporary_beside(path) as temporary:
                with temporary.open("xb") as copy:
                    shutil.copyfileobj(source, copy, _COPY_BYTES)
                    copied = copy.tell()
                # Overwritten in place while it was copied, or replaced: either way the copy may be a mixture or old.
                self._must_be(item, os.fstat(source.fileno()), copied)
                temporary.replace(path)

    def delete(self, name: str) -> None:
        with _errors_of(self.uri + name):
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
                    if entry.name.startswith(start) and not _OWN_FILE(entry.name) and _is_utf8(entry.name)
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

    A lock file in the folder keeps other writers out meanwhile. The lock ends with the process that holds it; the file
    stays, for whoever removed it would let two writers lock two files.
    """
    with (path.parent / _LOCK_NAME).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.lexists(path):
            return False
        temporary.rename(path)
        return True


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


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """A name in the same folder for a file that is about to be `path`; whatever is left under it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path.parent)
    temporary = path.parent / f".fineline-{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale(folder: Path) -> None:
    oldest = time.time() - _STALE_SECONDS
    with os.scandir(folder) as entries:
        for entry in entries:
            if _OWN_FILE(entry.name) and entry.name != _LOCK_NAME:
                found = _stat_or_none(entry)
                if found is not None and found.st_mtime < oldest:
                    Path(entry.path).unlink(missing_ok=True)


def _write_durably(temporary: Path, data: bytes | Path) -> None:
    with temporary.open("xb") as file:
        if isinstance(data, Path):
            with data.open("rb") as source:
                shutil.copyfileobj(source, file, _COPY_BYTES)
        else:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Makes a new name last through a power cut. Some network mounts can't, and need not: their server does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _errors_of(uri: str) -> Iterator[None]:
    """Turns what the operating system says into the store's errors, with the URI."""
    try:
        yield
    except OSError as error:
        raise error_of(error, uri) from error


@contextlib.contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    """The same for the local end of a download: it is that disk that is full, not the store."""
    try:
        yield
    except OSError as error:
        raise error_of(error, str(path)) from error


def error_of(error: OSError, place: str) -> StoreError:
    """What the operating system said about a file or folder, as one of the store's errors."""
    said = os.strerror(error.errno) if error.errno else str(error)
    where = place if error.filename is None else f"{place} ({error.filename})"
    if error.errno in _NO_ROOM:
        return StoreFull(f"{place}: no room left ({said}). Free some space or use a larger volume.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreDenied(f"{where}: not allowed ({said}). Grant this user access, or use another directory.")
    if error.errno == errno.ENAMETOOLONG:
        return StoreError(f"{place}: the name is too long for this file system.", reason="NameInvalid", permanent=True)
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return StoreError(f"{where}: a file stands where a folder is needed, or a folder where a file is.")
    return StoreError(f"{where}: {said}.")
