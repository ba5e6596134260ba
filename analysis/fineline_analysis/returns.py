"""The gain of the next doubling: whether more tokens still pay, and by how much less than the last ones did."""

from __future__ import annotations

import numpy as np
import polars as pl

from fineline_analysis.forecasts import Calibration
from fineline_analysis.laws import Draws, PowerLaws, interval
from fineline_analysis.settings import Settings
from fineline_analysis.trajectories import IDENTITY, Floats, Panel, over_domains


def table(panel: Panel, laws: PowerLaws, draws: Draws, calibration: Calibration, settings: Settings) -> pl.DataFrame:
    """One row a trajectory: the law's gain from the newest position to twice it, and from half of it to it.

    Gains are improvements: positive is better, whichever way the metric goes. `probability` is the share of bootstrap
    draws whose next gain is above the smallest one that pays; it is null for metrics without a best value. The draws of
    the next gain are spread on each side by what the forecasts' replays ask for there: it is a forecast too. And none
    carries the newest value beyond what the metric can be: `room` is what is left between them, null without a bound.
    The gains of a run's mean score are the means of its domains', draw by draw.
    """
    sign, last = panel.sign, laws.last
    room, depth = _room(panel)
    now, before, after = laws.at(last), laws.at(last / 2), laws.at(2 * last)
    drawn_now, drawn_before, drawn_after = draws.at(last), draws.at(last / 2), draws.at(2 * last)
    expected = sign * (after - now)
    deviation = sign[:, None] * (drawn_after - drawn_now) - expected[:, None]
    spread = np.where(deviation > 0, calibration.better[:, None], calibration.worse[:, None])
    next_gain = np.clip(expected[:, None] + spread * deviation, -depth[:, None], room[:, None])
    next_gain = over_domains(panel, next_gain)
    last_gain = over_domains(panel, sign[:, None] * (drawn_now - drawn_before))
    columns: dict[str, Floats] = {"position": last, "doubled": 2 * last, "value": panel.newest}
    columns["room"] = np.where(np.isfinite(room), room, np.nan)
    columns["next_gain"] = over_domains(panel, np.clip(expected, -depth, room))
    columns["next_gain_low"], columns["next_gain_high"] = interval(next_gain, settings.tail)
    columns["last_gain"] = over_domains(panel, sign * (now - before))
    columns["last_gain_low"], columns["last_gain_high"] = interval(last_gain, settings.tail)
    pays = smallest_gain(panel, settings)
    columns["smallest_gain"] = pays
    known = ~np.isnan(next_gain).any(axis=1) & np.isfinite(pays)
    probability = (next_gain > pays[:, None]).mean(axis=1)
    columns["probability"] = np.where(known, probability, np.nan)
    status = np.where(np.isnan(laws.E), "too few", "fitted")
    kept = panel.names.select(*IDENTITY, "run", "branch", "axis", "higher_is_better", "non_embedding_parameters")
    return kept.with_columns(
        pl.Series("status", status, pl.String),
        *(pl.Series(name, array, pl.Float64).fill_nan(None) for name, array in columns.items()),
    )


def _room(panel: Panel) -> tuple[Floats, Floats]:
    """How much better and how much worse than the newest value the metric can be; neither is negative."""
    upwards, downwards = panel.highest - panel.newest, panel.newest - panel.lowest
    better, worse = np.where(panel.sign > 0, (upwards, downwards), (downwards, upwards))
    return np.maximum(better, 0.0), np.maximum(worse, 0.0)


def smallest_gain(panel: Panel, settings: Settings) -> Floats:
    """The smallest gain that pays, in each trajectory's own scale; NaN where the metric has none."""
    span = (panel.names["best"] - panel.names["chance"]).abs().fill_null(np.nan).to_numpy()
    return np.asarray(settings.smallest_gain * span, dtype=np.float64)
