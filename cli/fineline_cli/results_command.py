"""`fineline results`: the metrics or the samples of committed units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fineline.errors import ResultError, SpecError
from fineline.results import committed, read_metrics, read_samples
from fineline.store import open_store
from fineline_cli import output
from fineline_cli.evaluations import folder_uri
from fineline_cli.output import Format

COLUMNS = ("run", "branch", "step", "tokens", "domain", "task", "subtask", "metric", "filter", "value", "stderr", "n")
SAMPLE_COLUMNS = ("run", "step", "task", "subtask", "doc_id", "target", "prediction")


def show_results(
    uri: str,
    runs: Sequence[str] | None,
    tasks: Sequence[str] | None,
    *,
    samples: bool,
    parquet: Path | None,
    output_format: Format,
) -> None:
    """Prints or writes them. `ResultError` where there is nothing."""
    frame, notices = _samples(uri, runs, tasks) if samples else _metrics(uri, runs, tasks)
    for notice in notices:
        output.say(notice)
    if frame.is_empty():
        wanted = ", ".join([*(runs or ()), *(tasks or ())])
        raise ResultError(f"{folder_uri(uri)}: no results{f' of {wanted}' if wanted else ''}", reason="NoResults")
    if parquet is not None:
        try:
            frame.write_parquet(parquet)
        except OSError as error:
            raise SpecError(f"--parquet {parquet}: can't be written: {error.strerror or error}") from None
        return
    rows = frame.to_dicts()
    columns = SAMPLE_COLUMNS if samples else COLUMNS
    output.emit(rows, columns if output_format is Format.TABLE else frame.columns, output_format)


def _metrics(uri: str, runs: Sequence[str] | None, tasks: Sequence[str] | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    metrics = read_metrics(open_store(folder_uri(uri)), runs, tasks)
    return metrics.frame, metrics.notices


def _samples(uri: str, runs: Sequence[str] | None, tasks: Sequence[str] | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    store = open_store(folder_uri(uri))
    addresses = [address for address in committed(store, runs) if not tasks or address.task in tasks]
    tables, notices = read_samples(store, addresses)
    frames = [
        pl.DataFrame(table).with_columns(
            run=pl.lit(address.run),
            branch=pl.lit(address.branch),
            step=pl.lit(address.step),
            task=pl.lit(address.task),
        )
        for address, table in tables
    ]
    return pl.concat(frames, how="diagonal") if frames else pl.DataFrame(), notices
