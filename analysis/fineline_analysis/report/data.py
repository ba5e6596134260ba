"""The tables behind the plots, as the page carries them: once each, by column, with what repeats coded."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from fineline_analysis.analyse import Analysis

_DIGITS = 6

_PLOTTED = {
    "domains": (
        "trajectories",
        pl.col("level") != "task",
        ("series", "level", "domain", "step", "position", "score", "score_low", "score_high", "tasks", "n"),
    ),
    "tasks": (
        "trajectories",
        (pl.col("level") == "task") & pl.col("headline"),
        ("series", "domain", "task", "metric", "step", "position", "value", "value_low", "value_high", "n"),
    ),
    "times": ("curriculum", None, None),
    "order": (
        "order",
        None,
        ("series", "rank", "domain", "half", "expected_rank", "before_next", "status"),
    ),
    "laws": ("laws", None, None),
    "returns": ("returns", None, None),
    "forecasts": ("forecasts", None, None),
    "verdicts": ("verdicts", None, None),
    "flags": ("flags", None, None),
}
"""Data set → the table it is made of, the rows of it, and its columns (None: all)."""


def frames(analysis: Analysis) -> dict[str, pl.DataFrame]:
    """Every data set of the page as a frame."""
    found = {}
    for name, (table, rows, columns) in _PLOTTED.items():
        frame = analysis.tables[table]
        frame = frame if rows is None else frame.filter(rows)
        found[name] = frame if columns is None else frame.select(columns)
    found["curves"] = _curves(analysis)
    return found


def _curves(analysis: Analysis) -> pl.DataFrame:
    """The laws of domains as curves, and the checkpoints that they are fitted to, told apart by `kind`."""
    shared = ("series", "domain", "position", "value", "value_low", "value_high")
    curves = analysis.tables["curves"].filter(pl.col("level") == "domain")
    starts = curves.group_by("series", "domain").agg(pl.col("position").min().alias("start"))
    law = curves.select(*shared, kind=pl.when("seen").then(pl.lit("law")).otherwise(pl.lit("forecast")))
    checkpoints = (
        analysis.tables["trajectories"]
        .filter(pl.col("level") == "domain")
        .join(starts, on=["series", "domain"])
        .filter(pl.col("position") >= pl.col("start") * (1 - 1e-9))
        .select(*shared, kind=pl.lit("checkpoint"))
    )
    return pl.concat([law, checkpoints]).sort("series", "domain", "kind", "position")


def records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as Vega-Lite takes them, for images."""
    columns = {name: _values(frame[name]) for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def packed(frame: pl.DataFrame) -> dict[str, Any]:
    """Columns by name; one whose values repeat as its distinct values and the place of each row's among them."""
    result: dict[str, Any] = {}
    for name in frame.columns:
        values = _values(frame[name])
        place = {value: i for i, value in enumerate(dict.fromkeys(values))}
        repeats = frame[name].dtype == pl.String or 4 * len(place) <= len(values)
        result[name] = {"values": list(place), "codes": [place[value] for value in values]} if repeats else values
    return {"rows": frame.height, "columns": result}


def _values(column: pl.Series) -> list[Any]:
    if column.dtype == pl.Float64:
        return [_rounded(value) for value in column]
    return column.to_list()


def _rounded(value: float | None) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
