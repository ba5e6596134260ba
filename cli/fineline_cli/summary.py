"""The table at the end of a run: what the newest checkpoints score on each task."""

from __future__ import annotations

import polars as pl

from fineline_analysis.scores import HEADLINES
from fineline_cli import output
from fineline_cli.output import Row

CHECKPOINTS = 6


def last_checkpoints(frame: pl.DataFrame, count: int = CHECKPOINTS) -> tuple[list[Row], list[str]]:
    """Rows for the newest `count` checkpoints of each run and branch, with the headline metric of each task and its
    standard error; and the columns in order."""
    whole = frame.filter(pl.col("subtask").is_null() & (pl.col("domain") != "sanity"))
    if whole.is_empty():
        return [], []
    rank = {name: place for place, name in enumerate(HEADLINES)}
    headline = (
        whole.select("task", "metric", "filter")
        .unique()
        .with_columns(rank=pl.col("metric").replace_strict(rank, default=len(rank), return_dtype=pl.Int64))
        .sort("task", "rank", "metric", "filter")
        .unique("task", keep="first", maintain_order=True)
    )
    spoken = whole.join(headline.drop("rank"), on=["task", "metric", "filter"]).sort("evaluated_at")
    rows: list[Row] = []
    for (run, branch), series in spoken.group_by(["run", "branch"], maintain_order=True):
        steps = series["step"].unique().sort().tail(count)
        for step in steps:
            here = series.filter(pl.col("step") == step)
            values: Row = {
                "run": run if branch == "main" else f"{run} ({branch})",
                "step": step,
                "tokens": output.tokens(here["tokens"].max()),  # type: ignore[arg-type]
            }
            for line in here.iter_rows(named=True):
                error = f" ±{line['stderr']:.3f}" if line["stderr"] is not None else ""
                values[line["task"]] = f"{line['value']:.3f}{error}"
            rows.append(values)
    tasks = spoken.sort("domain", "task")["task"].unique(maintain_order=True).to_list()
    rows.sort(key=lambda row: (row["run"], row["step"]))
    return rows, ["run", "step", "tokens", *tasks]
