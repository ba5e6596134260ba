"""Forecasts: from what was seen and nothing else, with intervals that hold as often as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fineline_analysis import forecasts
from fineline_analysis.analyse import Analysis, analyse
from fineline_analysis.metrics import observe
from fineline_analysis.scores import score
from fineline_analysis.settings import Settings
from fineline_analysis.trajectories import panel, trajectories
from support.jumps import as_error_rates, jumps
from support.trajectories import Law, pythia, simulated

QUICK = Settings(draws=100, backtest_draws=20)
LAWS = {
    "reasoning": {"piqa": Law(0.8, 0.15, 0.4), "arc": Law(0.6, 0.1, 0.3)},
    "language": {"lambada": Law(0.7, 0.2, 0.5)},
}


def forecast_of(analysis: Analysis, task: str) -> dict[str, Any]:
    rows = analysis.tables["forecasts"].filter(pl.col("task") == task)
    return rows.row(0, named=True)


def test_a_replay_sees_nothing_after_its_own_cut() -> None:
    frame = pythia(["pythia-410m"])
    newest, last = pl.col("tokens") == frame["tokens"].max(), frame["tokens"].max()
    early = pl.col("tokens") <= forecasts.ORIGINS[0] * last  # type: ignore[operator]
    corrupted = frame.with_columns(value=pl.when(early | newest).then("value").otherwise(0.123))
    panels = [panel(trajectories(score(observe(rows).rows)[0])[0]) for rows in (frame, corrupted)]
    errors, other_errors = (forecasts.replay(curves, QUICK).error[:, 0] for curves in panels)
    assert errors.tobytes() == other_errors.tobytes()
    assert np.isfinite(errors).any()


def test_intervals_of_a_true_law_hold_what_is_measured_later() -> None:
    held, count = 0, 0
    for seed in range(6):
        laws = {"d": {f"t{i}": Law(0.7, 0.12, 0.35) for i in range(50)}}
        frame = simulated(laws, points=14, seed=seed)
        analysis = analyse(frame, Settings(draws=200, backtest_draws=64))
        truth = float(Law(0.7, 0.12, 0.35).at(np.array(2.0)))
        measured = truth + np.sqrt(truth * (1 - truth) / 4000) * np.random.default_rng(seed + 99).standard_normal(50)
        tasks = analysis.tables["forecasts"].filter(pl.col("level") == "task").sort("task")
        held += int(
            ((tasks["forecast_low"].to_numpy() <= measured) & (measured <= tasks["forecast_high"].to_numpy())).sum()
        )
        count += 50
    assert 0.85 <= held / count <= 0.97


def test_the_horizon_that_is_asked_for_is_used() -> None:
    analysis = analyse(simulated(LAWS), Settings(draws=100, backtest_draws=20, horizons={"run-a": 256e9}))
    assert forecast_of(analysis, "piqa")["horizon"] == 256e9
    assert forecast_of(analysis, "piqa")["forecast"] == pytest.approx(0.8 - 0.15 * 4**-0.4, abs=0.02)


def test_a_horizon_behind_the_newest_checkpoint_is_told_and_not_forecast() -> None:
    analysis = analyse(simulated(LAWS), Settings(draws=40, backtest_draws=20, horizons={"run-a": 1e9}))
    assert forecast_of(analysis, "piqa")["status"] == "passed"
    assert "HorizonPassed" in {notice.code for notice in analysis.notices}


def test_a_horizon_for_a_run_without_results_is_told() -> None:
    analysis = analyse(simulated(LAWS), Settings(draws=40, backtest_draws=20, horizons={"other": 1e12}))
    assert "HorizonUnused" in {notice.code for notice in analysis.notices}


def test_a_forecast_stays_within_what_the_metric_can_be() -> None:
    frame = simulated({"d": {"easy": Law(1.0, 0.02, 1.0)}}, points=10)
    found = forecast_of(analyse(frame, QUICK), "easy")
    assert found["forecast_high"] <= 1.0


def test_the_gain_of_the_next_doubling_is_the_laws() -> None:
    gains = (
        analyse(simulated(LAWS, n=40_000), Settings(draws=200)).tables["returns"].filter(pl.col("task") == "lambada")
    )
    truth = 0.2 * (1 - 2**-0.5)
    assert gains["next_gain"][0] == pytest.approx(truth, abs=0.005)
    assert gains["last_gain"][0] == pytest.approx(0.2 * (2**0.5 - 1), rel=0.2)
    assert gains["probability"][0] == 1.0


def test_real_forecasts_beat_the_newest_value() -> None:
    frame = pythia(["pythia-1.4b", "pythia-2.8b", "pythia-6.9b", "pythia-12b"])
    last = float(frame["tokens"].max())  # type: ignore[arg-type]
    seen = frame.filter(pl.col("tokens") <= 0.4 * last)
    analysis = analyse(seen, Settings(horizons=dict.fromkeys(frame["run"].unique(), last)))
    rows = analysis.tables["forecasts"].filter(pl.col("level") == "task")
    final = frame.filter(pl.col("tokens") == last).rename({"value": "final"}).select("run", "task", "metric", "final")
    rows = rows.join(final, on=["run", "task", "metric"])
    ours = (rows["forecast"] - rows["final"]).abs().mean()
    newest = (rows["value"] - rows["final"]).abs().mean()
    assert ours < newest  # type: ignore[operator]


def test_where_reality_was_better_than_forecast_only_that_side_is_widened() -> None:
    tasks = analyse(jumps(), QUICK).tables["forecasts"].filter(pl.col("level") == "task")
    assert tasks["widened_better"].min() > 2  # type: ignore[operator]
    assert tasks["widened_worse"].max() < 0.5 * tasks["widened_better"].min()  # type: ignore[operator]


def test_an_error_rate_is_calibrated_as_its_accuracy_is_on_the_other_side() -> None:
    columns = ("widened_better", "widened_worse")
    settings = Settings(draws=100)
    rates = analyse(as_error_rates(jumps()), settings).tables["forecasts"].filter(pl.col("level") == "task")
    accuracies = analyse(jumps(), settings).tables["forecasts"].filter(pl.col("level") == "task")
    for name in columns:
        assert rates[name][0] == pytest.approx(accuracies[name][0], rel=0.1)
    # What is widened towards better values reaches further down.
    below, above = (rates["forecast"] - rates["forecast_low"]).sum(), (rates["forecast_high"] - rates["forecast"]).sum()
    assert below > above


def test_few_replays_widen_nothing() -> None:
    found = analyse(simulated({"d": {"x": Law(0.7, 0.1, 0.3)}}, points=8), QUICK).tables["forecasts"]
    assert (found["replays"] < forecasts.FEWEST_REPLAYS).all()
    assert (found["widened_better"] == 1).all()
    assert (found["widened_worse"] == 1).all()


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_no_gain_carries_a_value_beyond_what_its_metric_can_be(higher_is_better: bool) -> None:  # noqa: FBT001 - a case
    frame = jumps() if higher_is_better else as_error_rates(jumps())
    gains = analyse(frame, QUICK).tables["returns"]
    gains = gains.filter(pl.col("level") == "task")
    room = 1 - gains["value"] if higher_is_better else gains["value"]
    assert (gains["room"] - room).abs().max() < 1e-12  # type: ignore[operator]
    for name in ("next_gain", "next_gain_low", "next_gain_high"):
        assert (gains[name] <= gains["room"] + 1e-12).all()


@pytest.mark.parametrize(
    ("table", "column"), [("returns", "next_gain"), ("returns", "last_gain"), ("forecasts", "forecast")]
)
def test_what_is_said_of_the_mean_is_the_mean_of_what_is_said_of_its_domains(table: str, column: str) -> None:
    found = analyse(pythia(["pythia-410m", "pythia-1.4b"]), QUICK).tables[table]
    means = found.filter(pl.col("level") == "domain").group_by("series").agg(pl.col(column).mean().alias("mean"))
    overall = found.filter(pl.col("level") == "overall").join(means, on="series")
    assert overall.height == 2
    assert (overall[column] - overall["mean"]).abs().max() < 1e-12  # type: ignore[operator]


def test_a_domain_without_a_law_leaves_the_mean_its_own() -> None:
    frame = simulated(LAWS, points=12)
    late = frame.filter((pl.col("task") != "lambada") | (pl.col("tokens") >= 0.4 * pl.col("tokens").max()))
    gains = analyse(late, QUICK).tables["returns"]
    assert gains.filter(pl.col("domain") == "language")["status"].to_list()[0] == "too few"
    assert gains.filter(pl.col("level") == "overall")["status"].to_list() == ["too few"]
