"""The whole analysis as one pure function: metrics and settings in, tables and verdicts out."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import polars as pl

from fineline_analysis import forecasts, laws, order, returns, sanity, verdicts
from fineline_analysis.metrics import Notice, observe
from fineline_analysis.scores import score
from fineline_analysis.settings import Settings
from fineline_analysis.tables import TABLES_VERSION, encode
from fineline_analysis.trajectories import panel, trajectories
from fineline_analysis.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found. `digest` names the inputs: the same metrics rows and settings have the same one."""

    tables: dict[str, pl.DataFrame]
    verdicts: tuple[Verdict, ...]
    notices: tuple[Notice, ...]
    settings: Settings
    digest: str
    report: str | None = None
    """Where the report was written: a path or URI; None until it is."""


def analyse(
    metrics: pl.DataFrame,
    settings: Settings | None = None,
    notices: tuple[Notice, ...] = (),
    digest: str | None = None,
) -> Analysis:
    """Analyses rows of metrics.arrow.

    `notices` are what the reading of the results had to say; they are told in the report beside the analysis's own.
    `digest` is given where it is known what names the inputs: to make one of two million rows takes seconds.
    Raises `fineline.errors.ResultError` if the frame is no metrics frame at all; all else that is odd is a notice.
    """
    settings = settings or Settings()
    observed = observe(metrics)
    rows, about_scores = score(observed.rows)
    developed, about_means = trajectories(rows, settings.level)
    curves = panel(developed)
    fitted = laws.fit(curves, settings.window)
    drawn = laws.bootstrap(curves, fitted, settings.draws, settings.seed)
    calibration = forecasts.calibrate(curves, settings)
    predicted, about_horizons = forecasts.table(curves, fitted, drawn, calibration, settings)
    gains = returns.table(curves, fitted, drawn, calibration, settings)
    times, ranks = order.tables(developed, settings)
    series = _series(observed.rows)
    judged = verdicts.verdicts(developed, gains, series, settings)
    all_notices = (*notices, *observed.notices, *about_scores, *about_means, *about_horizons)
    tables = {
        "runs": series,
        "trajectories": developed,
        "curriculum": times,
        "order": ranks,
        "laws": laws.table(curves, fitted, drawn, settings),
        "curves": forecasts.curves(curves, fitted, drawn, settings),
        "returns": gains,
        "forecasts": predicted,
        "verdicts": verdicts.table(judged),
        "sanity": observed.sanity,
        "flags": sanity.flags(observed.sanity),
        "notices": _notices(all_notices),
    }
    return Analysis(tables, judged, all_notices, settings, digest or inputs_digest(metrics, settings))


def with_report(analysis: Analysis, report: str) -> Analysis:
    """The same analysis, which knows where its report is."""
    return dataclasses.replace(analysis, report=report)


def inputs_digest(metrics: pl.DataFrame, settings: Settings) -> str:
    """16 hex digits over the metrics rows (in any order), the settings and the tables' version."""
    columns = sorted(metrics.columns)
    ordered = metrics.select(columns).sort(columns, nulls_last=True)
    digest = hashlib.sha256()
    digest.update(f"{TABLES_VERSION}\n{settings.to_json()}\n".encode())
    digest.update(encode("inputs", ordered))
    return digest.hexdigest()[:16]


def _series(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a series: what it is, and how far it has come."""
    return (
        rows.group_by("series", "run", "branch")
        .agg(
            pl.col("axis").first(),
            pl.col("step").n_unique().cast(pl.Int64).alias("checkpoints"),
            pl.col("step").max().alias("last_step"),
            pl.col("tokens").max().alias("last_tokens"),
            pl.col("position").max().alias("last_position"),
            pl.col("parameters").max(),
            pl.col("active_parameters").max(),
            pl.col("non_embedding_parameters").max(),
            pl.col("annealed").any().alias("annealed"),
            pl.col("task").n_unique().cast(pl.Int64).alias("tasks"),
            pl.col("domain").n_unique().cast(pl.Int64).alias("domains"),
            pl.struct("step", "task").n_unique().cast(pl.Int64).alias("units"),
        )
        .sort("series")
    )


def _notices(notices: tuple[Notice, ...]) -> pl.DataFrame:
    rows = [{"code": notice.code, "message": notice.message} for notice in notices]
    return pl.DataFrame(rows, schema={"code": pl.String, "message": pl.String})
