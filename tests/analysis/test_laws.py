"""The power law with an offset: recovered where it holds, with intervals that cover as often as they say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.optimize import curve_fit

from fineline_analysis import laws
from fineline_analysis.metrics import observe
from fineline_analysis.scores import score
from fineline_analysis.settings import Settings
from fineline_analysis.trajectories import Panel, panel, trajectories
from support.trajectories import Law, simulated

TRUTH = Law(0.7, 0.1, 0.4)


def panel_of(truth: Law, *, points: int, noise: float, count: int = 1, seed: int = 0) -> Panel:
    """`count` trajectories of a law whose noise is `noise`, as a panel."""
    fraction = np.geomspace(1 / 64, 1.0, points)
    value = truth.at(fraction) + noise * np.random.default_rng(seed).standard_normal((count, points))
    names = pl.DataFrame({"task": [f"t{i}" for i in range(count)], "higher_is_better": True})
    spread = np.full((count, points), noise)
    return Panel(names, np.tile(64e9 * fraction, (count, 1)), value, spread, np.zeros(count), np.ones(count))


def test_without_noise_the_law_is_recovered_to_six_digits() -> None:
    exact = panel_of(TRUTH, points=12, noise=0.0)
    found = laws.fit(
        Panel(exact.names, exact.position, exact.value, np.full((1, 12), 0.01), exact.lowest, exact.highest)
    )
    assert (found.E[0], found.A[0], found.beta[0]) == pytest.approx((0.7, 0.1, 0.4), rel=1e-6)


def test_the_fit_is_the_optimum_that_scipy_finds_from_the_truth() -> None:
    data = panel_of(TRUTH, points=16, noise=0.004, count=20, seed=3)
    found = laws.fit(data)
    for row in range(len(data)):
        used = found.used[row]
        u, y = data.position[row, used] / found.last[row], data.value[row, used]
        best, _ = curve_fit(
            lambda u, e, a, b: e - a * u ** (-b), u, y, p0=(0.7, 0.1, 0.4), bounds=([0, -5, 0.02], [1, 5, 4])
        )
        theirs = float(((y - best[0] + best[1] * u ** (-best[2])) ** 2).sum())
        ours = float(((y - found.E[row] + found.A[row] * u ** (-found.beta[row])) ** 2).sum())
        assert ours <= theirs * (1 + 1e-6)


@pytest.mark.parametrize("points", [8, 16, 40])
@pytest.mark.parametrize("noise", [0.002, 0.008])
def test_ninety_percent_intervals_cover_about_ninety_percent(points: int, noise: float) -> None:
    data = panel_of(TRUTH, points=points, noise=noise, count=600, seed=points)
    found = laws.fit(data)
    drawn = laws.bootstrap(data, found, draws=Settings().draws, seed=1)
    gain = drawn.at(2 * drawn.last) - drawn.at(drawn.last)
    truths = {"E": TRUTH.E, "beta": TRUTH.beta, "ahead": float(TRUTH.at(np.array(2.0))), "gain": 0.1 * (1 - 2**-0.4)}
    draws = {"E": drawn.E, "beta": drawn.beta, "ahead": drawn.at(2 * drawn.last), "gain": gain}
    for name, truth in truths.items():
        low, high = laws.interval(draws[name], 0.05)
        covered = float(((low <= truth) & (truth <= high)).mean())
        assert 0.85 <= covered <= 0.95, f"{name} is covered in {covered:.1%}"


def test_a_late_riser_is_fitted_from_where_it_left_chance() -> None:
    fraction = np.geomspace(1 / 64, 1.0, 24)
    value = np.where(fraction < 0.1, 0.25, 0.7 - 0.12 * fraction**-0.4)
    data = Panel(
        pl.DataFrame({"task": ["late"], "higher_is_better": True}),
        (64e9 * fraction)[None],
        value[None],
        np.full((1, 24), 0.005),
        np.zeros(1),
        np.ones(1),
    )
    assert laws.fit(data).E[0] == pytest.approx(0.7, abs=1e-3)


def test_the_offset_stays_within_what_the_metric_can_be() -> None:
    line = np.linspace(0.3, 0.95, 10)
    data = panel_of(TRUTH, points=10, noise=0.01)
    found = laws.fit(Panel(data.names, data.position, line[None], data.noise, data.lowest, data.highest))
    assert 0.0 <= found.E[0] <= 1.0


def test_a_flat_trajectory_is_called_flat() -> None:
    rows, _ = score(observe(simulated({"reasoning": {"piqa": Law(0.25, 0.0, 0.5)}}, points=12, seed=4)).rows)
    curves = panel(trajectories(rows)[0])
    settings = Settings(draws=100)
    fitted = laws.fit(curves)
    table = laws.table(curves, fitted, laws.bootstrap(curves, fitted, 100, 1), settings)
    assert set(table["status"]) == {"flat"}


def test_intervals_hold_their_estimate() -> None:
    rows, _ = score(observe(simulated({"reasoning": {f"t{i}": Law(1.0, 0.5, 0.05) for i in range(6)}}, points=9)).rows)
    curves = panel(trajectories(rows)[0])
    fitted = laws.fit(curves)
    table = laws.table(curves, fitted, laws.bootstrap(curves, fitted, 100, 1), Settings())
    for name in ("E", "A", "beta"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
