"""Reads metrics and samples from a store. A file that can't be read is named and left out; the rest is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import polars as pl
import pyarrow as pa

from fineline.errors import ObjectNotFound, ResultError
from fineline.results import arrow, layout
from fineline.results.layout import UnitAddress
from fineline.results.records import Manifest
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.store import Store

READERS = 16
T = TypeVar("T")


@dataclass(frozen=True)
class Metrics:
    """Metrics of some runs: a frame with the columns of the METRICS schema in a fixed order of rows, and what was left
    out and why, one sentence each."""

    frame: pl.DataFrame
    notices: tuple[str, ...]


def read_metrics(store: Store, runs: Sequence[str] | None = None, tasks: Sequence[str] | None = None) -> Metrics:
    """The metrics of all committed units, or of those of some runs and tasks."""
    commits = [address for address in committed(store, runs) if tasks is None or address.task in tasks]
    tables: list[pa.Table] = []
    notices: list[str] = []
    for outcome in _each(commits, lambda address: _metrics_table(store, address)):
        (tables if isinstance(outcome, pa.Table) else notices).append(outcome)
    whole = pa.concat_tables(tables) if tables else METRICS.empty_table()
    frame = pl.DataFrame(whole)
    order = ["run", "branch", "step", "task", "subtask", "metric", "filter", "key"]
    return Metrics(frame.sort(order, nulls_last=False), tuple(notices))


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


def _metrics_table(store: Store, address: UnitAddress) -> pa.Table | str:
    table = _read(store, address.metrics)
    if isinstance(table, str):
        return table
    missing = [name for name in METRICS.names if name not in table.column_names]
    if missing:
        return f"{store.uri}{address.metrics}: lacks the columns {', '.join(missing)}; left out"
    try:
        return table.select(METRICS.names).cast(METRICS).replace_schema_metadata(None)
    except (pa.ArrowException, ValueError) as error:
        return f"{store.uri}{address.metrics}: {str(error).splitlines()[0]}; left out"


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
