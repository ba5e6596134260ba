"""Log lines, as JSON for machines or as text for people: each says what it is about.

Whatever runs within `about` has kind, namespace and name on its lines, threads included, and kopf's and the client's
lines come in the same form.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

Format = Literal["json", "text"]

_subject: ContextVar[tuple[str, str, str] | None] = ContextVar("subject", default=None)


@contextmanager
def about(kind: str, namespace: str, name: str) -> Iterator[None]:
    """Lines within are about this object."""
    token = _subject.set((kind, namespace, name))
    try:
        yield
    finally:
        _subject.reset(token)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        subject = _subject.get()
        if subject is not None:
            line["kind"], line["namespace"], line["name"] = subject
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        subject = _subject.get()
        where = f" {subject[0]} {subject[1]}/{subject[2]}:" if subject is not None else ""
        # One line each, whatever a message or an answer of the API server holds.
        message = record.getMessage().replace("\n", "\\n")
        line = f"{_time(record)} {record.levelname:<7}{where} {message}"
        if record.exc_info and record.exc_info[0] is not None:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def set_up(form: Format, level: str = "INFO", stream: TextIO | None = None) -> None:
    """All of the process's lines, in this form, from this level on (libraries: from WARNING on)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("fineline", "fineline_operator"):
        logging.getLogger(ours).setLevel(level)
    logging.captureWarnings(capture=True)


def flush() -> None:
    """Before an exit that runs nothing any more."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
