r"""The report as one HTML file: everything it needs is in it, and its own policy lets the browser fetch nothing.

Names from results are only ever text: jinja escapes them in the page, and in data blocks `<` is written as `\\u003c`.
Scripts run by their digest, so that no text could become one even so.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from importlib import resources
from typing import Any

import jinja2
import polars as pl
import vl_convert
from markupsafe import Markup, escape

from fineline_analysis.analyse import Analysis
from fineline_analysis.report import charts, data, theme
from fineline_analysis.report.look import Plot, series_by_size
from fineline_analysis.report.sections import Section, sections
from fineline_analysis.trajectories import Floats
from fineline_analysis.verdicts import Verdict
from fineline_analysis.words import amount, position

_ICONS = {
    "improving": "M2 10 L6 5 L8 7 L11 2 M7.6 2 H11 V5.4",
    "slowing": "M1 10 Q4 4 11 3.4",
    "plateaued": "M1 6 H11",
    "regressing": "M1 2 L5 6 L7 5 L11 10 M7.6 10 H11 V6.6",
    "unstable": "M1 6 L3 2 L5.4 10 L7.6 3 L9.4 8 L11 5",
    "too early to tell": "M6 1.4 A4.6 4.6 0 1 0 6.01 1.4 M6 3.6 V6.2 L8 7.4",
    "cannot say": "M4 4.4 A2 2 0 1 1 6.4 6.2 Q6 6.6 6 7.6 M6 9.9 V10.1",
}


def render(analysis: Analysis) -> str:
    """The report. The same analysis gives the same text."""
    order = series_by_size(analysis)
    plots = charts.plots(analysis)
    frames = data.frames(analysis)
    script = _asset("page.js")
    bundle = _bundle()
    parts = [_section(section, plots) for section in sections(analysis, order)]
    themes: dict[str, Any] = {name: theme.config(name, len(order)) for name in ("light", "dark")}
    themes["entry"] = theme.legend_entry(order)
    by_series = {verdict.series: verdict for verdict in analysis.verdicts}
    return _template().render(
        title=analysis.settings.title,
        lede=_lede(analysis),
        policy=_policy([bundle, script]),
        style=Markup(_asset("style.css")),  # noqa: S704 - our own file
        cards=[_card(by_series[series], analysis) for series in order],
        sections=parts,
        digest=analysis.digest,
        data=_json({name: data.packed(frame) for name, frame in frames.items()}),
        plots=_json({plot.name: _plot_data(plot) for plot in plots}),
        themes=_json(themes),
        bundle=Markup(bundle),  # noqa: S704 - vl-convert's own script
        script=Markup(script),  # noqa: S704 - our own file
    )


def _lede(analysis: Analysis) -> str:
    runs = analysis.tables["runs"]
    if not runs.height:
        return "There are no results to analyse yet."
    checkpoints, tasks = int(runs["checkpoints"].sum()), analysis.tables["trajectories"]["task"].n_unique()
    tasks -= int((analysis.tables["trajectories"]["task"] == "").any())
    several = "s" if runs.height > 1 else ""
    return (
        f"{runs.height} run{several}, {checkpoints:,} checkpoints, {tasks} tasks. Scores are corrected for chance: "
        f"0 is chance, 100 is perfect. Intervals are at {analysis.settings.level:.0%}."
    )


def _card(verdict: Verdict, analysis: Analysis) -> dict[str, Any]:
    run = analysis.tables["runs"].filter(pl.col("series") == verdict.series).row(0, named=True)
    size = f"{amount(run['parameters'])} parameters · " if run["parameters"] else ""
    return {
        "series": verdict.series,
        "about": f"{size}{position(run['last_position'], run['axis'])} · {run['checkpoints']:,} checkpoints",
        "state": verdict.state,
        "kind": verdict.state.replace(" ", "-"),
        "icon": Markup(  # noqa: S704 - a path of our own
            f'<svg viewBox="0 0 12 12" aria-hidden="true"><path d="{_ICONS[verdict.state]}" fill="none" '
            'stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"/></svg>'
        ),
        "spark": _spark(verdict, analysis),
        "facts": verdict.facts,
        "next_step": verdict.next_step,
    }


def _spark(verdict: Verdict, analysis: Analysis) -> Markup:
    """The run's mean score as a small line with its band, over the logarithm of the position."""
    rows = analysis.tables["trajectories"].filter(
        (pl.col("series") == verdict.series) & (pl.col("level") == "overall") & (pl.col("position") > 0)
    )
    if rows.height < 2:
        return Markup("")
    x = rows["position"].log().to_numpy()
    low, middle, high = (
        rows[name].fill_null(rows["score"]).to_numpy() for name in ("score_low", "score", "score_high")
    )
    top, bottom = float(high.max()), min(float(low.min()), 0.0)

    def path(across: Floats, values: Floats) -> str:
        places = zip(
            (300 * (across - x[0]) / max(x[-1] - x[0], 1e-9)).tolist(),
            (50 - 46 * (values - bottom) / max(top - bottom, 1e-9)).tolist(),
            strict=True,
        )
        return " L".join(f"{a:.1f} {b:.1f}" for a, b in places)

    band = f"M{path(x, high)} L{path(x[::-1], low[::-1])}Z"
    newest = f"newest {100 * float(middle[-1]):.1f} of 100"
    label = escape(f"Mean score of {verdict.series} over its {verdict.axis}, {newest}")
    return Markup(  # noqa: S704 - numbers, and a label that is escaped
        f'<svg class="spark" viewBox="0 0 300 54" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<path d="{band}" fill="currentColor" opacity=".14"/>'
        f'<path d="M{path(x, middle)}" fill="none" stroke="currentColor" stroke-width="1.8" '
        'vector-effect="non-scaling-stroke" stroke-linejoin="round"/></svg>'
    )


_TAKEN = ("name", "short", "title", "sentence", "table", "downloads", "method", "notices")


def _section(section: Section, plots: list[Plot]) -> dict[str, Any]:
    own = [plot for plot in plots if plot.name in section.plots or plot.name.rpartition("-")[0] in section.plots]
    figures = [
        {
            "name": plot.name,
            "alt": plot.alt,
            "height": plot.spec["usermeta"]["fineline"]["height"],
            "heading": plot.heading,
        }
        for plot in own
    ]
    return {
        **{name: getattr(section, name) for name in _TAKEN},
        "plots": figures,
    }


def _plot_data(plot: Plot) -> dict[str, Any]:
    return {name: getattr(plot, name) for name in ("spec", "datasets", "alt", "panels", "margin", "gap", "rows")}


def _json(value: Any) -> Markup:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 - nothing in it can end the block


def _policy(scripts: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@functools.cache
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script. An end tag inside of a string would end it early."""
    # vl-convert's stub asks for a snippet; without one it hands out its own, which defines vegaEmbed.
    script: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


@functools.cache
def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_asset("page.html.jinja"))
