"""Reads metrics and samples from a store. A file that can't be read is named and left out; the rest is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from urllib.parse import unquote

import polars as pl
import pyarrow as pa

from fineline.errors import ObjectNotFound, ResultError
from fineline.results import arrow, layout
from fineline.results.analyses import CommitsDigest
from fineline.results.compaction import Compactor
from fineline.results.layout import UnitAddress
from fineline.results.records import Manifest, RunLabels
from fineline.results.run_metrics import ROW_ORDER, RunMetrics, read_run, run_folders
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.store import Store

READERS = 16
_RUNS_AT_ONCE = 4
T = TypeVar("T")


@dataclass(frozen=True)
class Metrics:
    """Metrics of some runs: a frame with the columns of the METRICS schema in a fixed order of rows, and what was left
    out and why, one sentence each.

    `commits` counts the commits that the rows are of; `commits_digest` is of all that were listed for it, those that
    were left out too, as `analyses.commits_digest` makes it, and `newest` when the newest of those was written.
    `labels` are the runs' labels by their newest result, of those that have any. `others` counts the runs with results
    that are of none of the families that were asked for.
    `hindrance` says why nothing was compacted, which changes nothing of the rest.
    """

    frame: pl.DataFrame
    notices: tuple[str, ...]
    commits: int = 0
    commits_digest: str = ""
    newest: datetime | None = None
    labels: Mapping[str, RunLabels] = field(default_factory=dict)
    others: int = 0
    hindrance: str = ""


def read_metrics(
    store: Store,
    runs: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    *,
    families: Sequence[str] | None = None,
    compact: bool = False,
) -> Metrics:
    """The metrics of all committed units, or of those of some runs and tasks, or of the runs of some families.

    What compacted files hold is read from there, the rest commit by commit; with `compact` it is then compacted too.
    The result is the same either way, but while a commit is overwritten: only with `compact` each is looked at again
    after it was read, so that the digest names what was read. A run is of the family that its newest result says; which
    run is of which is known from its results alone, so all are read for it.
    """
    compactor = Compactor() if compact else None
    chosen: list[tuple[str, RunMetrics]] = []
    digest = CommitsDigest()
    with ThreadPoolExecutor(READERS, "fineline-commits") as pool, ThreadPoolExecutor(_RUNS_AT_ONCE) as run_pool:
        folders = run_folders(store, runs)
        read = run_pool.map(lambda folder: read_run(store, folder, pool, tasks, compactor), folders)
        for folder, found in zip(folders, read, strict=True):
            run = unquote(folder.removeprefix("run="))
            digest.include(found.listed)
            if families is None or _may_be_of(found, families):
                chosen.append((run, found))
    return Metrics(
        frame=_together(chosen),
        notices=tuple(notice for _, found in chosen for notice in found.notices),
        commits=sum(found.commits for _, found in chosen),
        commits_digest=digest.hexdigest(),
        newest=digest.newest,
        labels={run: found.labels for run, found in chosen if found.labels is not None},
        others=len(folders) - len(chosen),
        hindrance=compactor.hindrance if compactor is not None else "",
    )


def read_samples(
    store: Store, addresses: Sequence[UnitAddress]
) -> tuple[list[tuple[UnitAddress, pa.Table]], tuple[str, ...]]:
    """The samples of some committed units, each as written, and notices on those that can't be read."""
    found: list[tuple[UnitAddress, pa.Table]] = []
    notices: list[str] = []
    for address, outcome in zip(addresses, _each(addresses, lambda a: _samples_table(store, a)), strict=True):
        if isinstance(outcome, str):
            notices.append(outcome)
        else:
            found.append((address, outcome))
    return found, tuple(notices)


def read_manifest(store: Store, address: UnitAddress) -> Manifest:
    """What a committed unit was made with."""
    name = address.metrics
    metadata = arrow.from_file(store.get(name), name).schema.metadata or {}
    return Manifest.from_json(metadata.get(MANIFEST_KEY, b""), name)


def committed(store: Store, runs: Sequence[str] | None = None) -> list[UnitAddress]:
    """The addresses of all committed units, in order."""
    prefixes = [layout.UNITS] if runs is None else [layout.run_folder(run) for run in dict.fromkeys(runs)]
    parsed = (layout.parse(item.name) for prefix in prefixes for item in store.list(prefix))
    return sorted({found[0] for found in parsed if found is not None and found[1] == layout.METRICS_FILE})


def _may_be_of(found: RunMetrics, families: Sequence[str]) -> bool:
    """A run of which nothing could be read may be of any family: what is odd about it is told."""
    return not found.rows.height or (found.labels is not None and found.labels.family in families)


def _together(chosen: Sequence[tuple[str, RunMetrics]]) -> pl.DataFrame:
    """All rows in order. Runs come in order and so do the rows of each, unless some say that they are another's."""
    if not chosen:
        return pl.DataFrame(METRICS.empty_table())
    frame = pl.concat([found.rows for _, found in sorted(chosen, key=lambda one: one[0])])
    one_each = len({run for run, _ in chosen}) == len(chosen)
    if one_each and all((found.rows["run"] == run).all() for run, found in chosen):
        return frame
    return frame.sort(ROW_ORDER, nulls_last=False, maintain_order=True)


def _samples_table(store: Store, address: UnitAddress) -> pa.Table | str:
    try:
        samples_file = read_manifest(store, address).samples_file or layout.SAMPLES_FILE
    except (ResultError, ObjectNotFound) as error:
        return f"{error}; left out"
    return _read(store, address.folder + samples_file)


def _read(store: Store, name: str) -> pa.Table | str:
    try:
        return arrow.from_file(store.get(name), store.uri + name)
    except (ResultError, ObjectNotFound) as error:
        return f"{error}; left out"


def _each(addresses: Sequence[UnitAddress], read: Callable[[UnitAddress], T]) -> list[T]:
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, addresses))
