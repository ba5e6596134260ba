"""Credentials in a folder, as Kubernetes mounts a Secret: a file for each, which change when it does."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from fineline.errors import StoreDenied

ACCESS_KEY_FILE = "AWS_ACCESS_KEY_ID"
SECRET_KEY_FILE = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a file's name
TOKEN_FILE = "AWS_SESSION_TOKEN"  # noqa: S105 - a file's name

# A Secret is replaced as a whole, at once; after so many tries something else goes on.
_TRIES = 5

_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials. Never shown: neither value is in the repr."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class CredentialFolder:
    """The credentials in a folder, read again whenever its files have changed. `owner` is named in errors.

    May be used by several threads: what is kept is replaced as a whole.
    """

    def __init__(self, folder: str, owner: str) -> None:
        self._folder = Path(folder)
        self._owner = owner
        self._kept: tuple[_Stamp, Keys] | None = None

    def keys(self) -> Keys:
        """The credentials as they are now. `StoreDenied` names the folder and the file that is missing or empty."""
        for _ in range(_TRIES):
            stamp = self._stamp()
            if self._kept is not None and self._kept[0] == stamp:
                return self._kept[1]
            keys = self._read()
            if self._stamp() == stamp:  # else replaced between one file and the next: the keys would not fit together
                self._kept = stamp, keys
                return keys
        raise StoreDenied(f"{self._owner}: its credentials in {self._folder} change again and again.")

    def _stamp(self) -> _Stamp:
        return tuple(self._stamp_of(name) for name in (ACCESS_KEY_FILE, SECRET_KEY_FILE, TOKEN_FILE))

    def _stamp_of(self, name: str) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._folder / name)  # noqa: PTH116 - asked before each request
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> Keys:
        access_key, secret_key = self._required(ACCESS_KEY_FILE), self._required(SECRET_KEY_FILE)
        has_token = (self._folder / TOKEN_FILE).exists()
        return Keys(access_key, secret_key, self._text(TOKEN_FILE) or None if has_token else None)

    def _required(self, name: str) -> str:
        text = self._text(name)
        if not text:
            raise StoreDenied(f"{self._owner}: {self._folder / name} is empty. Fill the Secret that is mounted.")
        return text

    def _text(self, name: str) -> str:
        try:
            return (self._folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            raise StoreDenied(
                f"{self._owner}: no credentials in {self._folder}: {name} can't be read ({why}). "
                f"Mount a Secret with {ACCESS_KEY_FILE} and {SECRET_KEY_FILE} there."
            ) from error
