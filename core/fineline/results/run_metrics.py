"""The metrics of one run: what compacted files hold of the commits that are listed, and the other commits one by one.

The listing is the truth: a compacted row counts only while its commit is listed under the etag that it was read with.
The rows and their order are the same whatever is compacted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import repeat
from urllib.parse import unquote

import polars as pl
import pyarrow as pa

from fineline.errors import ResultError, StoreError
from fineline.results import layout
from fineline.results.analyses import CommitsDigest
from fineline.results.commits import ReadCommit, notice, read_commit, read_listed_commit
from fineline.results.compacted import (
    COMPACTED_METRICS,
    LeftOut,
    TornError,
    compacted_files,
    unpack,
    with_labels_once,
)
from fineline.results.compaction import Compactor, Part, Seen
from fineline.results.records import RunLabels
from fineline.results.schemas import METRICS
from fineline.store import Store, StoredObject

ROW_ORDER = ("run", "branch", "step", "task", "subtask", "metric", "filter", "key")
_ON = ["commit", "etag"]
_KEYS = {"commit": pl.String(), "etag": pl.String()}
_AT_ONCE = 512
_MOST_BYTES_IN_ONE = 1 << 30


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """`rows` have the columns of METRICS, in order, and are of so many `commits`. `listed` takes in the commits that
    were listed and are still there, as they were when they were read; those that were left out too. `labels` are the
    run's by its newest result, None where none has any."""

    rows: pl.DataFrame
    commits: int
    listed: CommitsDigest
    labels: RunLabels | None
    notices: tuple[str, ...]


def run_folders(store: Store, runs: Sequence[str] | None = None) -> list[str]:
    """The folders (`run=<run>`) of these runs, or of all that have one, in order."""
    if runs is not None:
        return sorted({layout.run_folder(run).removeprefix(layout.UNITS).removesuffix("/") for run in runs})
    folders = store.list_level(layout.UNITS).folders
    found = (folder.removeprefix(layout.UNITS).removesuffix("/") for folder in folders)
    return [folder for folder in found if folder.startswith("run=")]


def read_run(
    store: Store,
    run_folder: str,
    pool: Executor,
    tasks: Collection[str] | None = None,
    compactor: Compactor | None = None,
) -> RunMetrics:
    """The metrics of the run whose folder below `units/` is `run_folder` (`run=<run>`).

    With `tasks`, of these alone. Commits are read in `pool`. With a compactor, what was read one by one is compacted.
    """
    above = f"{layout.UNITS}{run_folder}/"
    listed = {_commit(item, above): item for item in store.list(above) if layout.is_commit(item.name)}
    seen = _compacted(store, run_folder, listed) if listed else Seen()
    wanted = [commit for commit in listed if tasks is None or _task(commit) in tasks]
    held = frozenset[str]().union(*(part.commits for part in seen.parts), *(part.left_out for part in seen.parts))
    read = _Reading(store, above, read_commit if compactor is None else read_listed_commit)
    fresh = read.rows([listed[commit] for commit in wanted if commit not in held], pool)
    if compactor is not None:
        compactor.compact(store, run_folder, fresh, read.left_out, seen)
    rows = pl.concat([*(part.rows for part in seen.parts), fresh])
    if tasks is not None:
        rows = rows.filter(pl.col("commit").is_in(wanted))
    # The commit breaks ties, and the order within a commit is kept: the same rows in the same order, however read.
    rows = rows.sort([*ROW_ORDER, "commit"], nulls_last=False, maintain_order=True)
    reasons = {commit: item.reason for part in seen.parts for commit, item in part.left_out.items()} | read.reasons
    gone = {commit for commit, item in read.found.items() if item is None}
    return RunMetrics(
        rows=rows.select(METRICS.names),
        commits=sum(not (commit in reasons or commit in gone) for commit in wanted),
        listed=_digest(listed, read.found),
        labels=_newest_labels(rows),
        notices=tuple(notice(store, listed[commit].name, reasons[commit]) for commit in wanted if commit in reasons),
    )


def _digest(listed: Mapping[str, StoredObject], found: Mapping[str, StoredObject | None]) -> CommitsDigest:
    """Of the commits as they were listed, but for those that turned out to be another one, or gone, when read."""
    digest = CommitsDigest()
    for commit, item in listed.items():
        now = found.get(commit, item)
        if now is not None:
            digest.add(now)
    return digest


def _newest_labels(rows: pl.DataFrame) -> RunLabels | None:
    known = rows.filter(pl.col("labels").is_not_null())
    if not known.height:
        return None
    # A time far off is none of Python's: it only puts them in order.
    newest = known.sort("evaluated_at", "commit", maintain_order=True)["labels"][-1]
    return RunLabels.from_json(newest)


def _compacted(store: Store, run_folder: str, listed: Mapping[str, StoredObject]) -> Seen:
    """What compacted files hold of the listed commits, each once. A file that can't be read is as if it were not."""
    seen = Seen()
    try:
        seen.files = compacted_files(store, run_folder)
    except StoreError:
        return seen
    for file in seen.files:
        if file.name in seen.superseded:
            continue
        try:
            compacted = unpack(store.get(file.name), file)
        except TornError:
            seen.torn.add(file.name)
            continue
        except (ResultError, StoreError):
            continue
        there = pl.DataFrame({"commit": list(listed), "etag": [item.etag for item in listed.values()]}, schema=_KEYS)
        rows = compacted.rows.join(there, on=_ON, how="semi", maintain_order="left")
        left_out = {
            commit: item
            for commit, item in compacted.left_out.items()
            if commit in listed and listed[commit].etag == item.etag
        }
        part = Part(file, rows, frozenset(rows["commit"].unique()), left_out, compacted.replaces)
        seen.superseded |= compacted.replaces
        seen.parts.append(part)
        listed = {commit: item for commit, item in listed.items() if not (commit in part.commits or commit in left_out)}
    return seen


class _Reading:
    """Reads commits one by one, some at a time: a commit's table takes a hundred times the memory of its rows.

    `found` has what each of them was when it was read, None where it was gone; `reasons` why there are no rows of it,
    and `left_out` the reasons that last.
    """

    def __init__(self, store: Store, above: str, read: Callable[[Store, StoredObject], ReadCommit]) -> None:
        self._store = store
        self._above = above
        self._read = read
        self.found: dict[str, StoredObject | None] = {}
        self.reasons: dict[str, str] = {}
        self.left_out: dict[str, LeftOut] = {}

    def rows(self, items: Sequence[StoredObject], pool: Executor) -> pl.DataFrame:
        """The rows of these commits, in their order, with the columns of COMPACTED_METRICS."""
        frames = [pl.DataFrame(COMPACTED_METRICS.empty_table())]
        for start in range(0, len(items), _AT_ONCE):
            some = list(pool.map(self._read, repeat(self._store), items[start : start + _AT_ONCE]))
            for one in some:
                commit = _commit(one.item, self._above)
                self.found[commit] = one.item if one.rows is not None or one.reason else None
                if one.reason:
                    self.reasons[commit] = one.reason
                if one.reason and one.lasting:
                    self.left_out[commit] = LeftOut(one.item.etag, one.reason)
            frames.append(_rows_of(some, self._above))
        return pl.concat(frames)


def _rows_of(found: Iterable[ReadCommit], above: str) -> pl.DataFrame:
    read = [(_commit(one.item, above), one.item.etag, one.labels, one.rows) for one in found if one.rows is not None]
    if not read:
        return pl.DataFrame(COMPACTED_METRICS.empty_table())
    commits, etags, labels, tables = zip(*read, strict=True)
    counts = pl.Series("count", [table.num_rows for table in tables], dtype=pl.Int64())
    places = pl.int_range(len(tables), eager=True).repeat_by(counts).explode().drop_nulls()
    which = pl.DataFrame({"commit": commits, "etag": etags, "labels": labels}, schema=_KEYS | {"labels": pl.String()})[
        places
    ]
    together = pa.concat_tables(tables)
    if together.nbytes < _MOST_BYTES_IN_ONE:  # as one, it is quicker to take over
        together = together.combine_chunks()
    return pl.concat([pl.DataFrame(together), with_labels_once(which)], how="horizontal")


def _commit(item: StoredObject, above: str) -> str:
    return item.name.removeprefix(above).removesuffix(f"/{layout.METRICS_FILE}")


def _task(commit: str) -> str:
    return unquote(commit.split("/")[2].removeprefix("task="))
