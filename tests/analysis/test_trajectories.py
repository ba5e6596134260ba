"""Chance correction, the headline metric and means that weigh every task equally."""

from __future__ import annotations

import polars as pl
import pytest

from fineline_analysis.metrics import observe
from fineline_analysis.scores import score
from fineline_analysis.trajectories import trajectories
from support.trajectories import Law, pythia, simulated


def scored(frame: pl.DataFrame) -> pl.DataFrame:
    return score(observe(frame).rows)[0]


def exact(laws: dict[str, dict[str, Law]], **settings: float) -> pl.DataFrame:
    return simulated(laws, noise=1e-9, **settings)  # type: ignore[arg-type]


FLAT = {"reasoning": {"two": Law(0.75, 0.0, 1.0), "four": Law(0.25, 0.0, 1.0)}}


def test_a_score_is_zero_at_chance_and_one_at_perfect() -> None:
    rows = scored(exact(FLAT, chance=0.25))
    by_task = dict(rows.group_by("task").agg(pl.col("score").mean()).iter_rows())
    assert by_task["four"] == pytest.approx(0.0, abs=1e-6)
    assert by_task["two"] == pytest.approx(2 / 3, abs=1e-6)


def test_below_chance_is_data_and_below_zero() -> None:
    assert scored(exact(FLAT, chance=0.5)).filter(pl.col("task") == "four")["score"].max() == pytest.approx(
        -0.5, abs=1e-6
    )


def test_an_error_rate_scores_the_same_as_its_accuracy() -> None:
    frame = exact(FLAT)
    errors = frame.with_columns(
        value=1 - pl.col("value"), chance=1 - pl.col("chance"), higher_is_better=pl.lit(value=False)
    )
    assert scored(errors)["score"].to_list() == pytest.approx(scored(frame)["score"].to_list())


def test_acc_norm_speaks_for_a_task_that_has_it_in_every_run() -> None:
    rows = scored(pythia(["pythia-70m", "pythia-160m"]))
    spoken = dict(rows.filter(pl.col("headline")).select("task", "metric").unique().iter_rows())
    normed = dict.fromkeys(("arc_easy", "arc_challenge", "piqa", "sciq", "logiqa"), "acc_norm")
    assert spoken == {**normed, "winogrande": "acc", "lambada_openai": "acc"}


def test_a_metric_that_only_one_run_has_does_not_speak_for_the_task() -> None:
    frame = simulated(FLAT)
    other = simulated(FLAT, run="run-b")
    only_here = frame.with_columns(metric=pl.lit("acc_norm"))
    rows = scored(pl.concat([frame, only_here, other]))
    assert set(rows.filter(pl.col("headline"))["metric"]) == {"acc"}


def test_a_domain_weighs_its_tasks_equally_and_a_run_its_domains() -> None:
    laws = {**FLAT, "language": {"perfect": Law(1.0, 0.0, 1.0)}}
    table, _ = trajectories(scored(exact(laws)))
    means = dict(table.filter(pl.col("level") != "task").group_by("domain").agg(pl.col("score").mean()).iter_rows())
    assert means["reasoning"] == pytest.approx(1 / 3, abs=1e-6)
    assert means[""] == pytest.approx((1 / 3 + 1) / 2, abs=1e-6)


def test_a_mean_never_jumps_because_a_task_came_late() -> None:
    frame = exact({"reasoning": {"old": Law(0.5, 0.0, 1.0), "new": Law(1.0, 0.0, 1.0)}})
    late = frame.filter((pl.col("task") == "old") | (pl.col("step") > 70_000))
    table, notices = trajectories(scored(late))
    assert table.filter(pl.col("level") == "domain")["score"].n_unique() < 17
    assert table.filter(pl.col("level") == "domain")["score"].max() == pytest.approx(1 / 3, abs=1e-6)
    assert any("new has results at" in notice.message for notice in notices)


def test_runs_with_other_tasks_in_a_domain_are_told_apart() -> None:
    frame = pl.concat([simulated(FLAT), simulated({"reasoning": {"two": Law(0.7, 0.1, 0.3)}}, run="run-b")])
    assert any(notice.code == "OtherTasks" for notice in trajectories(scored(frame))[1])


def test_a_band_of_all_right_or_all_wrong_is_no_point() -> None:
    table, _ = trajectories(scored(simulated({"reasoning": {"sure": Law(1.0, 0.0, 1.0)}}, noise=0.0, n=100)))
    task = table.filter(pl.col("level") == "task").row(0, named=True)
    assert task["value_low"] == pytest.approx(0.9737, abs=1e-3)
    assert task["value_high"] == pytest.approx(1.0)


def test_bands_of_a_proportion_cover_it_and_stay_in_the_scale() -> None:
    table, _ = trajectories(scored(simulated({"reasoning": {"rare": Law(0.02, 0.0, 1.0)}}, n=100, points=40)))
    tasks = table.filter((pl.col("level") == "task") & (pl.col("value") >= 0))
    assert tasks["value_low"].min() >= -1e-12  # type: ignore[operator]
    assert (tasks["value_low"] <= tasks["value"]).all()
    assert (tasks["value"] <= tasks["value_high"]).all()
