"""The plots of curves over a run: the abilities, the tasks, and the laws."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from fineline_analysis.analyse import Analysis
from fineline_analysis.report.look import LEGEND, Look, Plot, plot_of

MOST_DOTS = 2000
"""Checkpoints of a plot that can be pointed at."""


def domains(analysis: Analysis, look: Look) -> Plot | None:
    rows = analysis.tables["trajectories"].filter(pl.col("level") == "domain")
    if not rows.height:
        return None
    one_run = len(look.series) == 1
    panels = 1 if one_run else rows["domain"].n_unique()
    color = look.color
    if one_run:
        color = alt.Color("domain:N", legend=LEGEND)
    picked = alt.selection_point(fields=["domain" if one_run else "series"], bind="legend", name="picked")
    base = (
        alt.Chart()
        .transform_calculate(points="100 * datum.score", low="100 * datum.score_low", high="100 * datum.score_high")
        .encode(x=look.x(rows["position"]), color=color)
    )
    layers = _curve_layers(
        base, "points", picked, "score above chance (100: perfect)", _tooltip("domain"), rows.height, panels
    )
    chart = alt.layer(*layers, data=alt.NamedData("domains")).add_params(picked)
    alt_text = f"Chance-corrected score of each domain over {look.axis}"
    alt_text += ", with 90% bands." if one_run else ", one line a run, with 90% bands."
    shown = "datum.level == 'domain' && " + look.drawable
    if one_run:
        chart = chart.transform_filter(shown)
        return plot_of("domains", chart, ("domains",), alt_text, least=320, height=320, rows=rows.height)
    faceted = chart.facet(facet=alt.Facet("domain:N"), columns=3).transform_filter(shown)
    return plot_of(
        "domains",
        faceted,
        ("domains",),
        alt_text,
        least=260,
        height=190,
        panels=panels,
        axes=(50, 22),
        rows=rows.height,
    )


def tasks(analysis: Analysis, look: Look) -> list[Plot | None]:
    rows = analysis.tables["trajectories"].filter((pl.col("level") == "task") & pl.col("headline"))
    plots: list[Plot | None] = []
    for number, domain in enumerate(rows["domain"].unique().sort()):
        picked = alt.selection_point(fields=["series"], bind="legend", name="picked")
        base = alt.Chart().transform_filter(look.drawable).encode(x=look.x(rows["position"]), color=look.color)
        own = rows.filter(pl.col("domain") == domain)
        layers = _curve_layers(
            base,
            "value",
            picked,
            "value",
            _tooltip("task", "metric"),
            own.height,
            own["task"].n_unique(),
            "value_low",
            "value_high",
        )
        chart = (
            alt.layer(*layers, data=alt.NamedData("tasks"))
            .add_params(picked)
            .transform_filter(alt.FieldEqualPredicate(field="domain", equal=domain))
            .facet(facet=alt.Facet("task:N"), columns=4)
            .resolve_scale(y="independent")
        )
        text = f"Value of each task of the domain {domain} over {look.axis}, one line a run, with 90% bands."
        plots.append(
            plot_of(
                f"tasks-{number}",
                chart,
                ("tasks",),
                text,
                least=190,
                height=120,
                panels=own["task"].n_unique(),
                axes=(10, 62),
                heading=domain,
                rows=own.height,
            )
        )
    return plots


def laws(analysis: Analysis, look: Look) -> Plot | None:
    curves = analysis.tables["curves"].filter(pl.col("level") == "domain")
    if not curves.height:
        return None
    picked = alt.selection_point(fields=["series"], bind="legend", name="picked")
    shown = alt.when(picked)
    base = (
        alt.Chart()
        .transform_calculate(points="100 * datum.value", low="100 * datum.value_low", high="100 * datum.value_high")
        .encode(x=look.x(curves["position"]), color=look.color)
    )
    law = base.transform_filter("datum.kind != 'checkpoint'")
    y = alt.Y("points:Q", title="score above chance", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    opacity = shown.then(alt.value(1)).otherwise(alt.value(0.08))
    band = law.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title="score above chance", scale=alt.Scale(zero=False)),
        y2="high:Q",
        opacity=shown.then(alt.value(0.14)).otherwise(alt.value(0.02)),
    )
    ahead = law.mark_line(strokeWidth=1.8, strokeDash=[3, 3]).encode(y=y, opacity=opacity)
    line = base.transform_filter("datum.kind == 'law'").mark_line(strokeWidth=1.8).encode(y=y, opacity=opacity)
    dots = (
        base.transform_filter("datum.kind == 'checkpoint'")
        .mark_circle(size=18)
        .encode(
            y=y,
            opacity=shown.then(alt.value(0.8)).otherwise(alt.value(0.05)),
            tooltip=[
                alt.Tooltip("series:N"),
                alt.Tooltip("position:Q", format=".3s"),
                alt.Tooltip("points:Q", format=".1f"),
            ],
        )
    )
    chart = (
        alt.layer(band, ahead, line, dots, data=alt.NamedData("curves"))
        .add_params(picked)
        .facet(facet=alt.Facet("domain:N"), columns=3)
        .resolve_scale(y="independent")
    )
    text = f"The law of each domain and run over {look.axis}: checkpoints as dots, dashed beyond the newest, 90% bands."
    panels = curves["domain"].n_unique()
    checkpoints = analysis.tables["trajectories"].filter(pl.col("level") == "domain").height
    return plot_of(
        "laws",
        chart,
        ("curves",),
        text,
        least=270,
        height=190,
        panels=panels,
        axes=(10, 62),
        rows=curves.height + checkpoints,
    )


def _curve_layers(
    base: alt.Chart,
    value: str,
    picked: alt.Parameter,
    title: str,
    tooltip: Sequence[alt.Tooltip],
    rows: int,
    panels: int,
    low: str = "low",
    high: str = "high",
) -> list[alt.Chart]:
    """A band, a line, and dots for the tooltips: seen where there are few."""
    shown = alt.when(picked)
    y = alt.Y(f"{value}:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    band = base.mark_area().encode(
        y=alt.Y(f"{low}:Q", title=title, scale=alt.Scale(zero=False)),
        y2=f"{high}:Q",
        opacity=shown.then(alt.value(0.15)).otherwise(alt.value(0.02)),
    )
    line = base.mark_line(strokeWidth=1.8).encode(y=y, opacity=shown.then(alt.value(1)).otherwise(alt.value(0.1)))
    seen = 0.9 if rows <= 400 else 0.0
    # A tooltip's text is made for every dot beforehand: of very many, some have to do.
    spots = base if rows <= MOST_DOTS else base.transform_sample(max(100, MOST_DOTS // max(panels, 1)))
    dots = spots.mark_circle(size=16).encode(
        y=y, opacity=shown.then(alt.value(seen)).otherwise(alt.value(0.0)), tooltip=list(tooltip)
    )
    return [band, line, dots]


def _tooltip(*names: str) -> list[alt.Tooltip]:
    value = "value" if "task" in names else "points"
    ends = ("value_low", "value_high") if "task" in names else ("low", "high")
    style = ".4~g" if "task" in names else ".1f"
    return [
        alt.Tooltip("series:N"),
        *(alt.Tooltip(f"{name}:N") for name in names),
        alt.Tooltip("step:Q", format=","),
        alt.Tooltip("position:Q", format=".3s"),
        alt.Tooltip(f"{value}:Q", format=style),
        alt.Tooltip(f"{ends[0]}:Q", format=style, title="90% from"),
        alt.Tooltip(f"{ends[1]}:Q", format=style, title="to"),
        alt.Tooltip("n:Q", format=",", title="documents"),
    ]
