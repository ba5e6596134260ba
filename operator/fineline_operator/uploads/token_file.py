"""Who may post to the webhook: who knows the token in a file."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from pathlib import Path
from urllib.parse import unquote

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


class Token:
    """The token in a file, as Kubernetes mounts a Secret: read again when it changes."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._stamp: _Stamp | None = None
        self._digest: bytes | None = None
        self._told = ""

    def admits(self, authorization: str, path: str) -> bool:
        """Whether the header says `Bearer TOKEN`, or the path as it was sent ends in the token. Where there is no
        token nobody is let in."""
        expected = self._expected()
        scheme, _, bearer = authorization.partition(" ")
        last = path.partition("?")[0].rpartition("/")[2]
        given = (bearer.strip() if scheme.lower() == "bearer" else "", last, unquote(last))
        # All are compared, and digests, so that neither the time nor the length tells anything.
        fits = [hmac.compare_digest(_digest(text), expected or b"") for text in given]
        return expected is not None and any(fits)

    def check(self) -> None:
        """Tell in the log now, rather than with the first request, where there is no token."""
        self._expected()

    def _expected(self) -> bytes | None:
        try:
            found = os.stat(self._file)  # noqa: PTH116 - asked for each request
            stamp = found.st_mtime_ns, found.st_ino, found.st_size
            if stamp == self._stamp:
                return self._digest
            text = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._refuse_all(None, error.strerror if isinstance(error, OSError) else "it is not text")
            return None
        if not text:
            self._refuse_all(stamp, "it is empty")
            return None
        self._stamp, self._digest, self._told = stamp, _digest(text), ""
        return self._digest

    def _refuse_all(self, stamp: _Stamp | None, why: str | None) -> None:
        """Nobody is let in, and the log says so, once for the same words."""
        self._stamp, self._digest = stamp, None
        words = f"webhook.tokenFile: {self._file} can't be used ({why}): every post is refused until it holds a token"
        if words != self._told:
            logger.error("%s", words)
        self._told = words


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
