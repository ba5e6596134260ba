"""Which names a store takes, and what is said about those it refuses. The same for a bucket and a directory.

A name is one or more parts with `/` between them. A part is not empty, not `.` and not `..`; a name has no NUL, fits
UTF-8 and has at most 1,024 bytes, as in S3. Names are taken literally: nothing is percent-decoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fineline.errors import StoreError

LONGEST_NAME_BYTES = 1024

# A part that is empty, `.` or `..`, or a NUL: what could leave the root, or mean another name on another store.
_UNSAFE = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\0").search


def is_safe_name(name: str) -> bool:
    """Whether a listed key can be used as a name; quick, for it is asked once per listed object.

    >>> [is_safe_name(name) for name in ("a/b.txt", "..a/...", "a//b", "a/../b", "folder/", "/a", "")]
    [True, True, False, False, False, False, False]
    """
    return _UNSAFE(name) is None


def safe_folders(folders: Sequence[str]) -> Sequence[str]:
    """Those of a level's listed folders, each with `/` at its end, whose names can be used. Asked of all at once first:
    hardly ever is one among them that can't.

    >>> safe_folders(["step1/", "../", "/", "step2/"])
    ['step1/', 'step2/']
    """
    if is_safe_name("/".join(folder[:-1] for folder in folders)):
        return folders
    return [folder for folder in folders if is_safe_name(folder[:-1])]


def check_name(uri: str, name: str) -> str:
    """The name, or a StoreError that says why it is none. `uri` is the root's, for the message."""
    if not is_safe_name(name):
        raise _refused(uri, name, "a part of it is empty, `.` or `..`, or it holds a NUL")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise _refused(uri, name, "it can't be written as UTF-8") from None
    if length > LONGEST_NAME_BYTES:
        raise _refused(uri, name[:64] + "…", f"it has {length:,} bytes, and {LONGEST_NAME_BYTES:,} is the most")
    return name


def check_folder(uri: str, folder: str) -> str:
    """The folder with `/` at its end (empty for the root), or a StoreError as for a name."""
    bare = folder.removesuffix("/")
    if not folder:
        return ""
    return check_name(uri, bare) + "/"


def split_prefix(uri: str, prefix: str) -> tuple[str, str]:
    """A listing's string prefix as the folder that it lies in and how names there must start."""
    folder, _, start = prefix.rpartition("/")
    if "\0" in start:
        raise _refused(uri, prefix, "it holds a NUL")
    if prefix.startswith("/"):
        raise _refused(uri, prefix, "it starts with `/`")
    return check_folder(uri, folder + "/" if folder else ""), start


def check_span(start: int, length: int | None) -> None:
    """A span that no object can have is a mistake in the program, not a fault of the store."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"start and length must not be negative: {start}, {length}")


def _refused(uri: str, name: str, why: str) -> StoreError:
    return StoreError(
        f"{uri}: {name!r} is not a name for an object: {why}. Rename it.", reason="NameInvalid", permanent=True
    )
