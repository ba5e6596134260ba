"""The plots as Vega-Lite specifications, made with altair. Their data stand beside them, under the names of `data`.

Each has a `usermeta.fineline` that tells the page how to fit it to its width: `least` is the least width of one panel,
and `facet` says whether there are several. Names from results enter as data only, never as expressions.
"""

from __future__ import annotations

from fineline_analysis.analyse import Analysis
from fineline_analysis.report import curve_charts, interval_charts
from fineline_analysis.report.look import Plot, look_of


def plots(analysis: Analysis) -> list[Plot]:
    """Every plot of the report for which there are data, in the report's order."""
    look = look_of(analysis)
    made = [
        curve_charts.domains(analysis, look),
        *curve_charts.tasks(analysis, look),
        interval_charts.order(analysis, look),
        curve_charts.laws(analysis, look),
        interval_charts.returns(analysis, look),
        interval_charts.forecasts(analysis, look),
        interval_charts.verdicts(analysis, look),
    ]
    return [plot for plot in made if plot is not None]
