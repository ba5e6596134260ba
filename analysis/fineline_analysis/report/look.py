"""What all plots of a report share: order and colour of the runs, the axis of positions, how a plot is handed on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import polars as pl

from fineline_analysis.analyse import Analysis
from fineline_analysis.report.theme import MOST_HUES

_LOG_FROM = 15.0
"""Positions that span more than this factor are drawn on a logarithmic axis."""

_AMOUNT = "replace(format(datum.value, '~s'), 'G', 'B')"

LEGEND = alt.Legend(orient="top", symbolType="stroke", symbolOpacity=1)


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: its specification without data, the data sets that it needs, and what it shows in words.

    `panels` is how many there are; `margin` and `gap` are the pixels that axes take once, and a panel. `rows` is
    how many rows it draws, as far as these may be many."""

    name: str
    spec: dict[str, Any]
    datasets: tuple[str, ...]
    alt: str
    panels: int
    margin: int
    gap: int
    heading: str = ""
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What all plots of a report share."""

    series: list[str]
    axis: str
    log: bool

    @property
    def color(self) -> alt.Color:
        kind: Literal["nominal", "ordinal"] = "nominal" if len(self.series) <= MOST_HUES else "ordinal"
        legend = LEGEND if len(self.series) > 1 else None
        return alt.Color("series", type=kind, sort=self.series, legend=legend)

    def x(self, positions: pl.Series, field: str = "position") -> alt.X:
        """The axis of positions, with ticks that a person would choose for these."""
        scale = alt.Scale(type="log", nice=False) if self.log else alt.Scale(zero=False, nice=False)
        axis = alt.Axis(labelExpr=_AMOUNT, grid=False, labelOverlap=True)
        axis = alt.Axis(labelExpr=_AMOUNT, grid=False, values=log_ticks(positions)) if self.log else axis
        return alt.X(f"{field}:Q", scale=scale, axis=axis, title=self.axis)

    @property
    def drawable(self) -> str:
        return "datum.position > 0" if self.log else "true"


def look_of(analysis: Analysis) -> Look:
    runs = analysis.tables["runs"]
    axes = runs["axis"].unique().sort().to_list()
    positions = analysis.tables["trajectories"]["position"]
    positive = positions.filter(positions > 0)
    log = bool(len(positive)) and float(positive.max()) > _LOG_FROM * float(positive.min())  # type: ignore[arg-type]
    return Look(series_by_size(analysis), " or ".join(axes), log)


def series_by_size(analysis: Analysis) -> list[str]:
    """The series, smallest model first: the order of legends and rows."""
    runs = analysis.tables["runs"]
    return runs.sort("non_embedding_parameters", "series", nulls_last=True)["series"].to_list()


def log_ticks(positions: pl.Series) -> list[float]:
    """Powers of ten, with 3 between them over few decades and with 2 and 5 over fewer."""
    positive = positions.drop_nulls().filter(positions.drop_nulls() > 0)
    if not len(positive):
        return []
    low, high = float(positive.min()), float(positive.max())  # type: ignore[arg-type]
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 2.2 else ((1, 3) if decades < 3.5 else (1,))
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [float(step) * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def series_axis(look: Look) -> alt.Y:
    return alt.Y("series:N", sort=look.series, title=None, axis=alt.Axis(labelLimit=130))


def rows_color(look: Look) -> alt.Color:
    kind: Literal["nominal", "ordinal"] = "nominal" if len(look.series) <= MOST_HUES else "ordinal"
    return alt.Color("series", type=kind, sort=look.series, legend=None)


def rows_height(look: Look) -> int:
    return max(60, 22 * len(look.series))


def plot_of(
    name: str,
    chart: Any,
    datasets: tuple[str, ...],
    text: str,
    *,
    least: int,
    height: int,
    panels: int = 0,
    axes: tuple[int, int] = (0, 0),
    heading: str = "",
    rows: int = 0,
) -> Plot:
    """A chart as a plot; `axes` are the margin and the gap of its panels, if it has panels."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    for key in ("config", "$schema"):
        spec.pop(key, None)
    spec["usermeta"] = {"fineline": {"least": least, "height": height, "facet": panels > 0}}
    return Plot(name, spec, datasets, text, panels, *axes, heading, rows)
