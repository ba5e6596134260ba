"""Reads one commit: its rows and its run's labels, or why it can't be read. Whatever it holds, the others are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from fineline.errors import ObjectNotFound
from fineline.results import arrow
from fineline.results.records import RunLabels
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.results.version import SCHEMA_VERSION
from fineline.store import Store, StoredObject

JUDGED_BY = f"{SCHEMA_VERSION}.1"
"""Names the rules by which a commit is left out. Raise the last number with every change of them: what was left out by
other rules is read again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_TIME = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
LAST_TIME = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""In microseconds of METRICS' times, which may lie three hundred thousand years off, where Python knows none."""

_TRIES = 3
_MOST_BYTES = 16 * 1024 * 1024
"""As a file and as a table; a suite's largest task has a hundredth of it."""

_MOST_LABELS = 64 * 1024
"""In characters; what a CheckpointEval may say has half of it."""

_OF_ONE_UNIT = ("run", "branch", "step", "task")
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class ReadCommit:
    """A commit as it was read: its rows (some), with the columns of METRICS, or the reason why there are none.

    `labels` are its run's as JSON, None where its manifest knows none. Neither rows nor reason: it is gone. `lasting`:
    the reason lies in what was read, so that the same object is left out for it again.
    """

    item: StoredObject
    rows: pa.Table | None = None
    labels: str | None = None
    reason: str = ""
    lasting: bool = True


def notice(store: Store, name: str, reason: str) -> str:
    """The sentence on a commit that is left out."""
    return f"{store.uri}{name}: {reason}; left out"


def read_commit(store: Store, item: StoredObject) -> ReadCommit:
    """The commit as it lies there now."""
    if item.size > _MOST_BYTES:
        return ReadCommit(item, reason=f"has {item.size:,} bytes, which no commit has")
    try:
        data = store.get(item.name)
    except ObjectNotFound:
        return ReadCommit(item)
    try:
        table = arrow.from_file(data, item.name)
        rows = _rows(table)
        return ReadCommit(item, rows, _labels((table.schema.metadata or {}).get(MANIFEST_KEY)))
    except MemoryError:
        return ReadCommit(item, reason="needs more memory than there is", lasting=False)
    except Exception as error:  # noqa: BLE001 - what a foreign file makes of its readers has no end of kinds
        return ReadCommit(item, reason=_reason(error, item.name))


def read_listed_commit(store: Store, item: StoredObject) -> ReadCommit:
    """The commit, and the very object that was read, as a listing would have it: it may be another than was listed.

    A commit that is overwritten again and again is left out.
    """
    for _ in range(_TRIES):
        found = read_commit(store, item)
        now = store.head(item.name)
        if now is None:
            return ReadCommit(item)
        if now.etag == item.etag:
            return found
        item = now
    return ReadCommit(item, reason="it is overwritten while it is read", lasting=False)


def _rows(table: pa.Table) -> pa.Table:
    """The rows with the columns of METRICS alone. `ValueError` says what must not be believed."""
    there = table.column_names
    missing = [name for name in METRICS.names if name not in there]
    if missing:
        raise ValueError(f"lacks the columns {', '.join(missing)}")
    if not table.num_rows:
        raise ValueError("has no rows")
    _check(table)
    rows = table.select(METRICS.names).cast(METRICS).replace_schema_metadata(None)
    if not table.schema.equals(METRICS):
        _check(rows)  # another type may have been a smaller one
    several = [name for name in _OF_ONE_UNIT if rows.num_rows > 1 and pc.count_distinct(rows[name]).as_py() > 1]
    if several:
        raise ValueError(f"has rows of more than one {several[0]}, which no commit has")
    times = pc.min_max(rows["evaluated_at"].cast(pa.int64())).as_py()
    if times["min"] < FIRST_TIME or times["max"] > LAST_TIME:
        raise ValueError("its evaluated_at is no time between the years 1 and 9999")
    return rows


def _check(table: pa.Table) -> None:
    size = table.get_total_buffer_size()
    if size > _MOST_BYTES:
        raise ValueError(f"has {size:,} bytes of rows, which no commit has")
    # A broken byte within a whole file: what is no text or points outside must not reach polars, which trusts it.
    table.validate(full=True)


def _labels(manifest: bytes | None) -> str | None:
    """The labels in a manifest, None where it has none or is none: no row depends on them. `ValueError` where they are
    no text that could be written down."""
    try:
        values = json.loads(manifest or b"null")["labels"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    text = RunLabels.of(values).to_json()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the labels in its manifest are no text (half a character)") from None
    return text if len(text) <= _MOST_LABELS else None


def _reason(error: Exception, name: str) -> str:
    """What an error says, in one line of bounded length that can be written down."""
    said = str(error.args[0] if error.args else error).removeprefix(f"{name}: ")
    line = next(iter(said.splitlines()), "") or type(error).__name__
    return line[:_LONGEST_REASON].encode(errors="replace").decode()
