"""Local files that are written whole or not at all, and what the operating system says about them.

For both ends: a directory as a store, and the file that a download becomes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from fineline.errors import StoreDenied, StoreError, StoreFull

COPY_BYTES = 4 << 20
LOCK_NAME = ".fineline-lock.tmp"

is_own_file = re.compile(r"\.fineline-[0-9a-z]+\.tmp").fullmatch
"""Whether a file name is that of a temporary file or a lock, which are never listed."""

# A temporary file that nobody wrote to for so long belongs to a process that was killed.
_STALE_SECONDS = 24 * 3600
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
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
            if is_own_file(entry.name) and entry.name != LOCK_NAME:
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat().st_mtime < oldest:
                        Path(entry.path).unlink()


def write_durably(temporary: Path, data: bytes | Path) -> None:
    with temporary.open("xb") as file:
        if isinstance(data, Path):
            with data.open("rb") as source:
                shutil.copyfileobj(source, file, COPY_BYTES)
        else:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
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
def file_errors(place: str) -> Iterator[None]:
    """Turns what the operating system says into the store's errors, with the URI or path."""
    try:
        yield
    except OSError as error:
        raise error_of(error, place) from error


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
