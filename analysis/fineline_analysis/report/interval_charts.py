"""The plots of intervals, a row a run or domain: the order, the next doubling, the forecasts and the verdicts."""

from __future__ import annotations

import altair as alt
import polars as pl

from fineline_analysis.analyse import Analysis
from fineline_analysis.report.look import Look, Plot, plot_of, rows_color, rows_height, series_axis


def order(analysis: Analysis, look: Look) -> Plot | None:
    times = analysis.tables["curriculum"].filter(pl.col("milestone").is_in(["onset", "half", "ninety"]))
    if not times["estimate"].drop_nulls().len():
        return None
    ranks = analysis.tables["order"].filter(pl.col("rank").is_not_null())
    order = (
        ranks.group_by("domain").agg(pl.col("expected_rank").mean()).sort("expected_rank", "domain")["domain"].to_list()
    )
    y = alt.Y("domain:N", sort=order, title=None, axis=alt.Axis(labelLimit=130))
    base = alt.Chart().encode(y=y, color=alt.Color("domain:N", legend=None, sort=order))
    milestones = ["onset", "half", "ninety"]
    spread = (
        base.transform_filter("datum.milestone == 'half' && datum.low > 0 && isValid(datum.high)")
        .mark_bar(height=9, opacity=0.25, cornerRadius=4)
        .encode(x=look.x(times["estimate"], "low"), x2="high:Q")
    )
    shape = alt.Shape(
        "milestone:N",
        scale=alt.Scale(domain=milestones, range=["triangle-right", "circle", "square"]),
        legend=alt.Legend(
            orient="top", labelExpr="{onset: '10% of the gain', half: 'half', ninety: '90%'}[datum.label]"
        ),
    )
    tooltip = [
        alt.Tooltip("series:N"),
        alt.Tooltip("domain:N"),
        alt.Tooltip("milestone:N"),
        alt.Tooltip("after:Q", format=".3s"),
        alt.Tooltip("by:Q", format=".3s"),
        alt.Tooltip("low:Q", format=".3s"),
        alt.Tooltip("high:Q", format=".3s"),
    ]
    marks = (
        base.transform_filter(alt.FieldOneOfPredicate(field="milestone", oneOf=milestones))
        .transform_filter("datum.estimate > 0")
        .mark_point(filled=True, size=60, opacity=1)
        .encode(x=look.x(times["estimate"], "estimate"), shape=shape, tooltip=tooltip)
    )
    chart = alt.layer(spread, marks, data=alt.NamedData("times")).facet(
        facet=alt.Facet("series:N", sort=look.series), columns=3
    )
    text = f"When each domain had made 10%, half and 90% of its gain, over {look.axis}; bars: 90% interval of half."
    return plot_of(
        "order",
        chart,
        ("times",),
        text,
        least=340,
        height=max(60, 26 * times["domain"].n_unique()),
        panels=times["series"].n_unique(),
        axes=(140, 22),
    )


def returns(analysis: Analysis, look: Look) -> Plot | None:
    rows = analysis.tables["returns"].filter((pl.col("level") == "domain") & pl.col("next_gain").is_not_null())
    if not rows.height:
        return None
    smallest = 100 * analysis.settings.smallest_gain
    base = (
        alt.Chart()
        .transform_filter("datum.level == 'domain' && isValid(datum.next_gain)")
        .transform_calculate(
            gain="100 * datum.next_gain", low="100 * datum.next_gain_low", high="100 * datum.next_gain_high",
            before="100 * datum.last_gain",
        )
        .encode(y=series_axis(look), color=rows_color(look))
    )  # fmt: skip
    x = alt.X("gain:Q", title="points of score", axis=alt.Axis(tickCount=5))
    tooltip = [
        alt.Tooltip("series:N"),
        alt.Tooltip("domain:N"),
        alt.Tooltip("gain:Q", format="+.2f", title="next doubling"),
        alt.Tooltip("low:Q", format="+.2f"),
        alt.Tooltip("high:Q", format="+.2f"),
        alt.Tooltip("before:Q", format="+.2f", title="last doubling"),
    ]
    layers = [
        alt.Chart().mark_rule(strokeWidth=1).encode(x=alt.datum(0)),
        alt.Chart().mark_rule(strokeWidth=1, strokeDash=[3, 3]).encode(x=alt.datum(smallest)),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(size=42, opacity=0.8, filled=False).encode(x="before:Q", tooltip=tooltip),
        base.mark_point(size=62, opacity=1, filled=True).encode(x=x, tooltip=tooltip),
    ]
    chart = alt.layer(*layers, data=alt.NamedData("returns")).facet(facet=alt.Facet("domain:N"), columns=3)
    chart = chart.transform_filter("datum.level == 'domain'")
    text = (
        "Expected gain of each domain from doubling the tokens once more (filled, 90% interval), beside the gain of "
        f"the last doubling (open); dashed: the smallest gain that pays, {smallest:g} point(s)."
    )
    return plot_of(
        "returns",
        chart,
        ("returns",),
        text,
        least=270,
        height=rows_height(look),
        panels=rows["domain"].n_unique(),
        axes=(140, 22),
    )


def forecasts(analysis: Analysis, look: Look) -> Plot | None:
    rows = analysis.tables["forecasts"].filter((pl.col("level") == "domain") & pl.col("forecast").is_not_null())
    if not rows.height:
        return None
    base = (
        alt.Chart()
        .transform_filter("isValid(datum.forecast)")
        .transform_calculate(
            now="100 * datum.value", then="100 * datum.forecast", low="100 * datum.forecast_low",
            high="100 * datum.forecast_high",
        )
        .encode(y=series_axis(look), color=rows_color(look))
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("series:N"),
        alt.Tooltip("domain:N"),
        alt.Tooltip("now:Q", format=".1f", title="newest"),
        alt.Tooltip("then:Q", format=".1f", title="forecast"),
        alt.Tooltip("low:Q", format=".1f"),
        alt.Tooltip("high:Q", format=".1f"),
        alt.Tooltip("horizon:Q", format=".3s"),
    ]
    x = alt.X(
        "then:Q", title="score above chance (100: perfect)", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)
    )
    layers = [
        base.mark_bar(height=7, opacity=0.25, cornerRadius=3).encode(
            x=alt.X("low:Q", scale=alt.Scale(zero=False)), x2="high:Q"
        ),
        base.mark_point(size=42, filled=False, opacity=0.9).encode(x="now:Q", tooltip=tooltip),
        base.mark_point(size=62, filled=True, opacity=1).encode(x=x, tooltip=tooltip),
    ]
    chart = alt.layer(*layers, data=alt.NamedData("forecasts")).facet(facet=alt.Facet("domain:N"), columns=3)
    chart = chart.transform_filter("datum.level == 'domain'").resolve_scale(x="independent")
    text = "Score of each domain now (open) and as forecast at the horizon (filled, with its 90% interval)."
    return plot_of(
        "forecasts",
        chart,
        ("forecasts",),
        text,
        least=270,
        height=rows_height(look),
        panels=rows["domain"].n_unique(),
        axes=(140, 22),
    )


def verdicts(analysis: Analysis, look: Look) -> Plot | None:
    rows = analysis.tables["returns"].filter((pl.col("level") == "overall") & pl.col("next_gain").is_not_null())
    if not rows.height:
        return None
    smallest = 100 * analysis.settings.smallest_gain
    base = (
        alt.Chart()
        .transform_filter("datum.level == 'overall' && isValid(datum.next_gain)")
        .transform_calculate(
            gain="100 * datum.next_gain", low="100 * datum.next_gain_low", high="100 * datum.next_gain_high",
            before="100 * datum.last_gain",
        )
        .encode(y=series_axis(look), color=rows_color(look))
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("series:N"),
        alt.Tooltip("gain:Q", format="+.2f", title="next doubling"),
        alt.Tooltip("low:Q", format="+.2f"),
        alt.Tooltip("high:Q", format="+.2f"),
        alt.Tooltip("before:Q", format="+.2f", title="last doubling"),
        alt.Tooltip("probability:Q", format=".2f", title="P(it pays)"),
    ]
    x = alt.X("gain:Q", title="points of mean score a doubling", axis=alt.Axis(tickCount=7))
    layers = [
        alt.Chart().mark_rule(strokeWidth=1).encode(x=alt.datum(0)),
        alt.Chart().mark_rule(strokeWidth=1, strokeDash=[3, 3]).encode(x=alt.datum(smallest)),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(size=50, opacity=0.8, filled=False).encode(x="before:Q", tooltip=tooltip),
        base.mark_point(size=80, opacity=1, filled=True).encode(x=x, tooltip=tooltip),
    ]
    chart = alt.layer(*layers, data=alt.NamedData("returns"))
    text = "Gain in mean score of each run: last doubling (open), next doubling as expected (filled, 90% interval)."
    return plot_of("verdicts", chart, ("returns",), text, least=320, height=rows_height(look))
