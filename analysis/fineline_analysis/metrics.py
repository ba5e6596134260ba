"""What an analysis takes in: rows of metrics.arrow, checked, with each oddity told and none dropped in silence.

Here rows are only judged as rows (numbers, keys, duplicates, positions). What they mean (chance, direction, headline)
is in `scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from fineline.errors import ResultError

SANITY_DOMAIN = "sanity"

_COLUMNS: dict[str, pl.DataType] = {
    "run": pl.String(),
    "branch": pl.String(),
    "step": pl.Int64(),
    "tokens": pl.Int64(),
    "annealed": pl.Boolean(),
    "parameters": pl.Int64(),
    "active_parameters": pl.Int64(),
    "non_embedding_parameters": pl.Int64(),
    "task": pl.String(),
    "subtask": pl.String(),
    "domain": pl.String(),
    "metric": pl.String(),
    "filter": pl.String(),
    "value": pl.Float64(),
    "stderr": pl.Float64(),
    "n": pl.Int64(),
    "chance": pl.Float64(),
    "higher_is_better": pl.Boolean(),
    "num_fewshot": pl.Int32(),
    "key": pl.String(),
    "checkpoint_digest": pl.String(),
    "evaluated_at": pl.Datetime("us", "UTC"),
}
_NEEDED = ("run", "step", "task", "domain", "metric", "value", "n", "higher_is_better")
_UNIT = ("run", "branch", "step", "task")

_LARGEST = 1e60
"""No metric's value has more: fits take squares of squares, and these must stay numbers."""

_MOST_DOCUMENTS = 10**12


@dataclass(frozen=True, slots=True, order=True)
class Notice:
    """Something odd about the input, and what was done about it. `code` is one word that a program can match on."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """The rows to analyse, in a fixed order, with `series`, `position` and `axis` added; and what was odd.

    A series is one branch of a run. Its `position` is in tokens where every checkpoint knows them and they grow with
    the steps, else in steps; `axis` says which.
    """

    rows: pl.DataFrame
    sanity: pl.DataFrame
    notices: tuple[Notice, ...]


def observe(metrics: pl.DataFrame) -> Observed:
    """Checks metrics rows and puts them in order.

    Raises `ResultError` if the frame lacks a column that nothing can stand in for.
    """
    notices: list[Notice] = []
    rows = _typed(metrics)
    rows = _usable(rows, notices)
    rows = _one_key_a_unit(rows, notices)
    rows = _one_row_a_metric(rows, notices)
    is_sanity = pl.col("domain") == SANITY_DOMAIN
    # Rows on a checkpoint's sanity stand beside a task's own, under the task's name and a domain of their own.
    tasks = _one_domain_a_task(rows.filter(~is_sanity), notices)
    rows = _tasks_themselves(pl.concat([tasks, rows.filter(is_sanity)]), notices)
    rows = _positioned(rows, notices)
    rows = _laid_out(rows.sort("series", "position", "step", "domain", "task", "metric", "filter"))
    return Observed(rows.filter(~is_sanity), rows.filter(is_sanity), tuple(notices))


def _laid_out(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows as plain columns. polars divides by a column that it knows to be constant in another way than by
    one that it doesn't know to be: the last digits would tell how the rows were read."""
    return pl.DataFrame(rows.rechunk().to_arrow(compat_level=pl.CompatLevel.newest()))


def _typed(metrics: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in _NEEDED if name not in metrics.columns]
    if missing:
        raise ResultError(f"metrics lack the column(s) {', '.join(missing)}: these are no rows of metrics.arrow")
    present = set(metrics.columns)
    rows = metrics.select(
        (pl.col(name) if name in present else pl.lit(None)).cast(dtype, strict=False).alias(name)
        for name, dtype in _COLUMNS.items()
    )
    return rows.with_columns(
        pl.col("branch").fill_null("main"),
        pl.col("filter").fill_null("none"),
        pl.col("key").fill_null(""),
        pl.col("active_parameters").fill_null(pl.col("parameters")),
        pl.col("non_embedding_parameters").fill_null(pl.col("parameters")),
        pl.when((pl.col("stderr") == 0) | pl.col("stderr").is_between(1 / _LARGEST, _LARGEST)).then("stderr"),
        pl.when(pl.col("chance").abs() <= _LARGEST).then("chance"),
    )


def _usable(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    unnamed = pl.any_horizontal(pl.col(name).is_null() for name in ("run", "step", "task", "domain", "metric"))
    no_number = ~pl.col("value").is_finite().fill_null(value=False)
    empty = pl.col("n").fill_null(0) <= 0
    too_large = (pl.col("value").abs() > _LARGEST) | (pl.col("n") > _MOST_DOCUMENTS)
    too_large = too_large.fill_null(value=False) & ~no_number
    checks = (
        ("Unnamed", unnamed, "without a run, step, task, domain or metric"),
        ("NotANumber", no_number & ~unnamed, "whose value is no finite number"),
        ("TooLarge", too_large & ~unnamed, f"whose value is beyond {_LARGEST:.0e}, or n beyond {_MOST_DOCUMENTS:.0e}"),
        ("NoDocuments", empty & ~no_number & ~unnamed, "measured on no document (n = 0)"),
        ("NoDirection", pl.col("higher_is_better").is_null() & ~unnamed, "that do not say whether higher is better"),
    )
    for code, condition, what in checks:
        hit = rows.filter(condition)
        if hit.height:
            notices.append(Notice(code, f"{_rows(hit.height)} {what}: left out ({_where(hit)})"))
    keep = ~unnamed & ~no_number & ~too_large & ~empty & pl.col("higher_is_better").is_not_null()
    return rows.filter(keep)


def _one_key_a_unit(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    """The newest key of each (checkpoint, task): two keys mean that what the numbers depend on has changed between."""
    newest = rows.group_by(*_UNIT).agg(
        pl.col("key").sort_by("evaluated_at", "key", nulls_last=False).last().alias("newest_key"),
        pl.col("key").n_unique().alias("keys"),
    )
    several = newest.filter(pl.col("keys") > 1)
    if several.height:
        unit = several.sort(*_UNIT).row(0, named=True)
        notices.append(
            Notice(
                "TwoKeys",
                f"{several.height} unit(s) have results under more than one key, for example {unit['run']} step "
                f"{unit['step']} {unit['task']} ({unit['keys']} keys): the newest of each is used",
            )
        )
    return (
        rows.join(newest, on=_UNIT, how="left").filter(pl.col("key") == pl.col("newest_key")).drop("newest_key", "keys")
    )


def _one_row_a_metric(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    identity = [*_UNIT, "subtask", "metric", "filter"]
    kept = rows.sort(*identity, "evaluated_at", "value", nulls_last=False).unique(identity, keep="last")
    if kept.height < rows.height:
        notices.append(
            Notice("Duplicates", f"{_rows(rows.height - kept.height)} repeated another one's unit and metric: one kept")
        )
    return kept


def _one_domain_a_task(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    domains = rows.group_by("task").agg(
        pl.col("domain").sort_by("evaluated_at", "domain", nulls_last=False).last().alias("one_domain"),
        pl.col("domain").unique().sort().alias("domains"),
    )
    for task, one, several in domains.filter(pl.col("domains").list.len() > 1).sort("task").iter_rows():
        notices.append(
            Notice("TwoDomains", f"{task} stands under the domains {', '.join(several)}: the newest, {one}, is used")
        )
    return (
        rows.join(domains.drop("domains"), on="task", how="left").with_columns(domain="one_domain").drop("one_domain")
    )


def _tasks_themselves(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    own = rows.filter(pl.col("subtask").is_null())
    without = rows.join(own.select("task").unique(), on="task", how="anti")
    if without.height:
        names = _some(without["task"].unique().sort().to_list())
        notices.append(Notice("SubtasksOnly", f"{names}: only subtasks have results, no row of the task: left out"))
    return own.drop("subtask")


def _positioned(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    branches = rows.group_by("run").agg(pl.col("branch").n_unique().alias("branches"))
    rows = rows.join(branches, on="run", how="left").with_columns(
        series=pl.when((pl.col("branches") > 1) & (pl.col("branch") != "main"))
        .then(pl.col("run") + " · " + pl.col("branch"))
        .otherwise(pl.col("run"))
    )
    checkpoints = (
        rows.group_by("series", "step")
        .agg(pl.col("tokens").max(), (pl.col("tokens").n_unique() > 1).alias("torn"))
        .sort("series", "step")
        .with_columns(pl.col("tokens").diff().over("series").alias("more"))
    )
    axes = checkpoints.group_by("series").agg(
        unknown=pl.col("tokens").is_null().sum(),
        known=pl.col("tokens").is_not_null().sum(),
        falling=(pl.col("more") <= 0).any().fill_null(value=False),
        torn=pl.col("torn").any(),
        negative=(pl.col("tokens") < 0).any().fill_null(value=False),
    )
    usable = (pl.col("unknown") == 0) & ~pl.col("falling") & ~pl.col("torn") & ~pl.col("negative")
    for row in axes.sort("series").iter_rows(named=True):
        if row["unknown"] and row["known"]:
            why = f"the tokens of {row['unknown']} of {row['unknown'] + row['known']} checkpoints are unknown"
        elif row["unknown"]:
            why = "no checkpoint says how many tokens it has seen"
        elif row["torn"] or row["falling"] or row["negative"]:
            why = "the tokens do not grow with the steps"
        else:
            continue
        notices.append(Notice("StepsForTokens", f"{row['series']}: {why}, so its axis is steps"))
    axes = axes.select("series", axis=pl.when(usable).then(pl.lit("tokens")).otherwise(pl.lit("steps")))
    positions = checkpoints.select("series", "step", seen="tokens")
    return (
        rows.drop("branches")
        .join(axes, on="series", how="left")
        .join(positions, on=["series", "step"], how="left")
        .with_columns(
            position=pl.when(pl.col("axis") == "tokens").then("seen").otherwise("step").cast(pl.Float64),
        )
        .drop("seen")
    )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _where(rows: pl.DataFrame) -> str:
    places = (
        rows.select("run", "step", "task", "metric").unique().sort("run", "step", "task", "metric", nulls_last=True)
    )
    return _some([" ".join(str(part) for part in place) for place in places.iter_rows()])


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
