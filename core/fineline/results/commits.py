"""Reads one commit: its rows and its run's labels, or a sentence on why it can't be read."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from fineline.errors import ObjectNotFound, ResultError
from fineline.results import arrow
from fineline.results.records import RunLabels
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.store import Store, StoredObject

_TRIES = 3
_MOST_LABELS = 64 * 1024
"""In characters; what a CheckpointEval may say has half of it."""


@dataclass(frozen=True, slots=True)
class ReadCommit:
    """A commit as it was read: its rows, with the columns of METRICS, or why there are none.

    `labels` are its run's as JSON, None where its manifest knows none. Neither rows nor notice: it is gone.
    """

    item: StoredObject
    rows: pa.Table | None = None
    labels: str | None = None
    notice: str = ""


def read_commit(store: Store, item: StoredObject) -> ReadCommit:
    """The commit as it lies there now."""
    try:
        table = arrow.from_file(store.get(item.name), store.uri + item.name)
    except (ResultError, ObjectNotFound) as error:
        return ReadCommit(item, notice=f"{error}; left out")
    missing = [name for name in METRICS.names if name not in table.column_names]
    if missing:
        notice = f"{store.uri}{item.name}: lacks the columns {', '.join(missing)}; left out"
        return ReadCommit(item, notice=notice)
    try:
        # A broken byte within a whole file: what is no text or points outside must not reach polars, which trusts it.
        table.validate(full=True)
        rows = table.select(METRICS.names).cast(METRICS).replace_schema_metadata(None)
    except (pa.ArrowException, ValueError, KeyError) as error:
        return ReadCommit(item, notice=f"{store.uri}{item.name}: {_first_line(error)}; left out")
    return ReadCommit(
        item, rows.replace_schema_metadata(None), _labels((table.schema.metadata or {}).get(MANIFEST_KEY))
    )


def read_listed_commit(store: Store, item: StoredObject) -> ReadCommit:
    """The commit, and the very object that was read, as a listing would have it: it may be another than was listed.

    A commit that is overwritten again and again is left out with a notice.
    """
    for _ in range(_TRIES):
        found = read_commit(store, item)
        now = store.head(item.name)
        if now is None:
            return ReadCommit(item)
        if now.etag == item.etag:
            return found
        item = now
    return ReadCommit(item, notice=f"{store.uri}{item.name}: it is overwritten while it is read; left out")


def _labels(manifest: bytes | None) -> str | None:
    """The labels in a manifest, None where it has none or is none: no row depends on them."""
    try:
        values = json.loads(manifest or b"null")["labels"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    text = RunLabels.of(values).to_json()
    return text if len(text) <= _MOST_LABELS else None


def _first_line(error: Exception) -> str:
    return str(error.args[0] if error.args else error).splitlines()[0]
