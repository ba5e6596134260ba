"""Where each ability will be at the horizon, from what its own run has shown so far, and how well that has worked.

The forecast is the fitted law's value at the horizon; that of a run's mean score is the mean of its domains', and so
are the interval's ends. Its interval holds what would be measured there: the law's own
uncertainty (bootstrap draws) and one checkpoint's jitter. A law is only a model, so the intervals are calibrated: the
run is replayed, forecast from its own earlier checkpoints (rolling origin: Tashman 2000, doi
10.1016/S0169-2070(00)00065-0), and the intervals are widened by as much as those past ones fell short: each side by
its own factor, for a law misses in one direction where a curve has another form. An ability that rises in a jump turned
out better than its past forecasts, never worse, and that is no reason to expect a fall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fineline_analysis import laws as power_laws
from fineline_analysis.laws import Draws, PowerLaws, interval
from fineline_analysis.metrics import Notice
from fineline_analysis.settings import Settings
from fineline_analysis.trajectories import IDENTITY, Floats, Panel, over_domains

ORIGINS = (0.25, 0.4, 0.6, 0.8)
"""Fractions of the newest position from which the newest value is forecast in a replay."""

FEWEST_REPLAYS = 20
"""Replayed forecasts it takes to calibrate: below, the 90th percentile is anyone's guess."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Forecasts of each trajectory's newest value from its own past: (K, len(ORIGINS)), NaN where none could be made.
    `ratio` is the error over the interval's half on that side, positive where it turned out better than forecast:
    between -1 and 1 where the interval held."""

    error: Floats
    ratio: Floats


@dataclass(frozen=True, slots=True)
class Calibration:
    """One value a trajectory: what its intervals are widened by on the side of worse values and on that of better ones,
    from how many replays of its kind, the share of those whose interval held without widening, and its own replays'
    mean absolute error."""

    worse: Floats
    better: Floats
    replays: Floats
    covered: Floats
    error: Floats


def table(
    panel: Panel, laws: PowerLaws, draws: Draws, calibration: Calibration, settings: Settings
) -> tuple[pl.DataFrame, tuple[Notice, ...]]:
    """One row a trajectory: its newest value, and its forecast at the horizon with a calibrated interval."""
    horizon, notices = _horizons(panel, laws, settings)
    estimate, low, high = _predict(panel, laws, draws, horizon, settings)
    higher = panel.sign > 0
    below = np.where(higher, calibration.worse, calibration.better)
    above = np.where(higher, calibration.better, calibration.worse)
    low = np.maximum(estimate - below * (estimate - low), panel.lowest)
    high = np.minimum(estimate + above * (high - estimate), panel.highest)
    estimate, low, high = (over_domains(panel, values) for values in (estimate, low, high))
    ahead = horizon > laws.last
    status = np.where(np.isnan(laws.E), "too few", np.where(ahead, "forecast", "passed"))
    shown = (status == "forecast") & ~np.isnan(estimate)
    columns: dict[str, Floats] = {
        "position": panel.last,
        "value": panel.newest,
        "horizon": horizon,
        "forecast": np.where(shown, estimate, np.nan),
        "forecast_low": np.where(shown, low, np.nan),
        "forecast_high": np.where(shown, high, np.nan),
        "widened_worse": calibration.worse,
        "widened_better": calibration.better,
        "replays": calibration.replays,
        "replays_covered": calibration.covered,
        "replay_error": calibration.error,
    }
    kept = panel.names.select(*IDENTITY, "run", "branch", "axis", "higher_is_better", "non_embedding_parameters")
    frame = kept.with_columns(
        pl.Series("status", status, pl.String),
        *(pl.Series(name, array, pl.Float64).fill_nan(None) for name, array in columns.items()),
    )
    return frame, notices


def curves(panel: Panel, laws: PowerLaws, draws: Draws, settings: Settings, points: int = 40) -> pl.DataFrame:
    """The fitted laws as curves with bands of the law itself, from their first checkpoint to the horizon."""
    horizon, _ = _horizons(panel, laws, settings)
    first = np.min(np.where(laws.used, panel.position, laws.last[:, None]), axis=1)
    end = np.maximum(horizon, laws.last)
    share = np.linspace(0.0, 1.0, points)
    with np.errstate(invalid="ignore"):
        grid = np.exp(np.log(first)[:, None] * (1 - share) + np.log(end)[:, None] * share)
    fitted = ~np.isnan(laws.E)
    middle, low, high = (np.full(grid.shape, np.nan) for _ in range(3))
    for j in range(points):
        middle[:, j] = laws.at(grid[:, j])
        low[:, j], high[:, j] = interval(draws.at(grid[:, j]), settings.tail)
    low, high = np.maximum(low, panel.lowest[:, None]), np.minimum(high, panel.highest[:, None])
    names = panel.names.select(*IDENTITY, "axis").filter(pl.Series(fitted))
    count = int(fitted.sum())
    index = np.repeat(np.arange(count), points)
    seen = grid[fitted] <= laws.last[fitted][:, None] * (1 + 1e-9)
    return names[index].with_columns(
        position=pl.Series(grid[fitted].ravel(), dtype=pl.Float64),
        value=pl.Series(middle[fitted].ravel(), dtype=pl.Float64),
        value_low=pl.Series(low[fitted].ravel(), dtype=pl.Float64),
        value_high=pl.Series(high[fitted].ravel(), dtype=pl.Float64),
        seen=pl.Series(seen.ravel(), dtype=pl.Boolean),
    )


def replay(panel: Panel, settings: Settings) -> Replay:
    """Every trajectory's newest value, forecast from its checkpoints up to each of `ORIGINS`, which is all that the
    forecast sees."""
    shape = (len(panel), len(ORIGINS))
    error, ratio = np.full(shape, np.nan), np.full(shape, np.nan)
    last, actual = panel.last, panel.newest
    for j, origin in enumerate(ORIGINS):
        seen = panel.until(origin * last)
        some = np.flatnonzero((seen.present & (seen.position > 0)).sum(axis=1) >= power_laws.FEWEST)
        if not some.size:
            continue
        part = seen.rows(some)
        fitted = power_laws.fit(part, settings.window)
        drawn = power_laws.bootstrap(part, fitted, settings.backtest_draws, settings.seed)
        found = np.full((3, len(panel)), np.nan)
        found[:, some] = _predict(part, fitted, drawn, last[some], settings)
        estimate, low, high = (over_domains(panel, values) for values in found)
        error[:, j] = actual - estimate
        room = np.where(error[:, j] > 0, high - estimate, estimate - low)
        ratio[:, j] = panel.sign * error[:, j] / np.maximum(room, 1e-12)
    return Replay(error, ratio)


def calibrate(panel: Panel, settings: Settings) -> Calibration:
    """Replays every trajectory, and pools how far the intervals fell short on each side: over tasks, and over means.

    A side's factor is the one with which the pooled replays would have missed on that side as often as an interval may.
    """
    past = replay(panel, settings)
    worse, better = np.ones(len(panel)), np.ones(len(panel))
    count, covered = np.zeros(len(panel)), np.full(len(panel), np.nan)
    is_task = (panel.names["level"] == "task").to_numpy()
    for group in (is_task, ~is_task):
        pooled = past.ratio[group]
        pooled = pooled[~np.isnan(pooled)]
        count[group] = pooled.size
        if pooled.size:
            covered[group] = (np.abs(pooled) <= 1.0).mean()
        if pooled.size >= FEWEST_REPLAYS:
            low, high = np.quantile(pooled, [settings.tail, 1.0 - settings.tail])
            worse[group], better[group] = max(1.0, -float(low)), max(1.0, float(high))
    return Calibration(worse, better, count, covered, _mean(np.abs(past.error)))


def _horizons(panel: Panel, laws: PowerLaws, settings: Settings) -> tuple[Floats, tuple[Notice, ...]]:
    runs, axes = panel.names["run"].to_list(), panel.names["axis"].to_list()
    horizon = np.array([settings.horizons.get(run, np.nan) for run in runs], dtype=np.float64)
    horizon = np.where(np.isnan(horizon), 2.0 * laws.last, horizon)
    notices = {
        Notice("HorizonPassed", f"{run}: its horizon of {horizon[i]:.4g} {axes[i]} is behind its newest checkpoint")
        for i, run in enumerate(runs)
        if run in settings.horizons and horizon[i] <= laws.last[i]
    }
    unknown = sorted(set(settings.horizons) - set(runs))
    if unknown:
        notices.add(Notice("HorizonUnused", f"a horizon is given for {', '.join(unknown)}, which has no results here"))
    return horizon, tuple(sorted(notices))


def _predict(
    panel: Panel, laws: PowerLaws, draws: Draws, position: Floats, settings: Settings
) -> tuple[Floats, Floats, Floats]:
    """The estimate and interval of what would be measured at a position, within what the metric can be."""
    newest_noise = np.array([row[~np.isnan(row)][-1] if (~np.isnan(row)).any() else np.nan for row in panel.noise])
    # The jitter of the future is no part of the past's noise: its own stream of random numbers.
    jitter = np.random.default_rng([settings.seed, 1]).standard_normal(draws.E.shape[1])
    drawn = draws.at(position) + draws.scale * newest_noise[:, None] * jitter
    estimate = np.clip(laws.at(position), panel.lowest, panel.highest)
    low, high = interval(np.clip(drawn, panel.lowest[:, None], panel.highest[:, None]), settings.tail)
    return estimate, np.minimum(low, estimate), np.maximum(high, estimate)


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
