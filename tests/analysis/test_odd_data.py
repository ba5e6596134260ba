"""Few or odd data give a result or a "cannot say" with the reason: never a crash, never a silent drop."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fineline.errors import ResultError
from fineline_analysis.analyse import Analysis, analyse
from fineline_analysis.report import render
from fineline_analysis.settings import Settings
from fineline_analysis.tables import encode_all
from support.trajectories import WHEN, Law, simulated

QUICK = Settings(draws=40, backtest_draws=20)
LAWS = {"reasoning": {"piqa": Law(0.8, 0.2, 0.4)}, "language": {"lambada": Law(0.7, 0.3, 0.5)}}


def told(analysis: Analysis) -> dict[str, str]:
    return {notice.code: notice.message for notice in analysis.notices}


def analysed(frame: pl.DataFrame) -> Analysis:
    analysis = analyse(frame, QUICK)
    assert encode_all(analysis.tables)
    assert "</html>" in render(analysis)
    return analysis


def test_one_checkpoint_is_too_early_to_tell() -> None:
    frame = simulated(LAWS)
    analysis = analysed(frame.filter(pl.col("step") == frame["step"].max()))
    assert [verdict.state for verdict in analysis.verdicts] == ["too early to tell"]
    assert set(analysis.tables["laws"]["status"]) == {"too few"}
    assert analysis.tables["forecasts"]["forecast"].null_count() == analysis.tables["forecasts"].height


def test_three_checkpoints_have_no_law_and_no_forecast() -> None:
    analysis = analysed(simulated(LAWS, points=3))
    assert set(analysis.tables["laws"]["status"]) == {"too few"}
    assert "3 checkpoints have a score" in analysis.verdicts[0].facts[0]


def test_without_tokens_the_axis_is_steps_and_says_so() -> None:
    analysis = analysed(simulated(LAWS).with_columns(tokens=pl.lit(None, pl.Int64)))
    assert "so its axis is steps" in told(analysis)["StepsForTokens"]
    assert analysis.tables["trajectories"]["position"].max() == 100_000
    assert "step 200,000" in analysis.verdicts[0].facts[1]


def test_some_tokens_missing_is_told_with_the_count() -> None:
    frame = simulated(LAWS)
    frame = frame.with_columns(tokens=pl.when(pl.col("step") == pl.col("step").max()).then(None).otherwise("tokens"))
    assert "the tokens of 1 of 16 checkpoints are unknown" in told(analysed(frame))["StepsForTokens"]


def test_tokens_that_fall_are_not_an_axis() -> None:
    frame = simulated(LAWS).with_columns(tokens=200_000 - pl.col("step"))
    assert "do not grow with the steps" in told(analysed(frame))["StepsForTokens"]


def test_nan_and_infinity_are_left_out_by_name() -> None:
    frame = simulated(LAWS).with_row_index()
    frame = frame.with_columns(value=pl.when(pl.col("index") == 3).then(float("nan")).otherwise("value")).drop("index")
    analysis = analysed(frame)
    assert told(analysis)["NotANumber"].startswith("1 row whose value is no finite number: left out (run-a ")
    assert "no mean of all domains at step" in told(analysis)["DomainMissing"]


def test_no_documents_is_no_measurement() -> None:
    frame = simulated(LAWS).with_columns(n=pl.when(pl.col("task") == "piqa").then(0).otherwise("n"))
    assert "n = 0" in told(analysed(frame))["NoDocuments"]


def test_values_outside_of_the_scale_are_kept_and_told() -> None:
    frame = simulated(LAWS).with_columns(value=pl.col("value") * 100)
    analysis = analysed(frame)
    assert "kept as they are" in told(analysis)["OutsideScale"]
    assert analysis.tables["trajectories"]["value"].max() > 1  # type: ignore[operator]


def test_duplicates_are_kept_once_and_counted() -> None:
    frame = simulated(LAWS)
    analysis = analysed(pl.concat([frame, frame.head(5)]))
    assert told(analysis)["Duplicates"].startswith("5 rows repeated")
    assert analysis.tables["trajectories"].filter(pl.col("level") == "task").height == frame.height


def test_of_two_keys_the_newest_is_used_and_both_are_told() -> None:
    frame = simulated(LAWS)
    later = pl.lit(WHEN + dt.timedelta(days=1)).dt.cast_time_unit("us")
    newer = frame.filter(pl.col("task") == "piqa").with_columns(
        value=pl.col("value") / 2, key=pl.lit("f" * 16), evaluated_at=later
    )
    analysis = analysed(pl.concat([newer, frame]))
    assert "16 unit(s) have results under more than one key" in told(analysis)["TwoKeys"]
    used = analysis.tables["trajectories"].filter(pl.col("task") == "piqa").sort("position")["value"]
    assert used.to_list() == newer.sort("step")["value"].to_list()


def test_a_task_without_a_known_chance_level_is_told() -> None:
    assert (
        "taken as 0" in told(analysed(simulated(LAWS).with_columns(chance=pl.lit(None, pl.Float64))))["ChanceUnknown"]
    )


def test_a_run_with_losses_alone_gets_laws_but_no_verdict() -> None:
    frame = simulated({"loss": {"text": Law(2.0, -0.8, 0.3)}}, noise=0.005, seed=1).with_columns(
        metric=pl.lit("bits_per_byte"), higher_is_better=pl.lit(value=False), chance=pl.lit(None, pl.Float64)
    )
    analysis = analysed(frame)
    assert analysis.verdicts[0].state == "cannot say"
    law = analysis.tables["laws"].row(0, named=True)
    assert law["E_low"] <= 2.0 <= law["E_high"]
    assert analysis.tables["returns"]["next_gain"][0] > 0


def test_subtasks_without_their_task_are_told() -> None:
    frame = simulated(LAWS).with_columns(subtask=pl.when(pl.col("task") == "piqa").then(pl.lit("part")))
    assert "piqa" in told(analysed(frame))["SubtasksOnly"]


def test_sanity_rows_take_no_part_in_scores() -> None:
    frame = simulated(LAWS)
    sanity = frame.filter(pl.col("task") == "piqa").with_columns(domain=pl.lit("sanity"), task=pl.lit("nan_share"))
    analysis = analysed(pl.concat([frame, sanity]))
    assert "sanity" not in analysis.tables["trajectories"]["domain"].to_list()
    assert analysis.tables["sanity"].height == sanity.height


def test_a_branch_is_a_series_of_its_own() -> None:
    frame = simulated(LAWS)
    analysis = analysed(pl.concat([frame, frame.tail(8).with_columns(branch=pl.lit("anneal"))]))
    assert [verdict.series for verdict in analysis.verdicts] == ["run-a", "run-a · anneal"]


def test_no_rows_at_all_still_make_a_page() -> None:
    assert "Cannot say" in render(analyse(simulated(LAWS).clear(), QUICK))


def test_a_frame_that_is_no_metrics_is_refused_by_column() -> None:
    with pytest.raises(ResultError, match=r"lack the column\(s\) domain"):
        analyse(simulated(LAWS).drop("domain"))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_anything_in_the_columns_is_analysed_without_a_crash(data: st.DataObject) -> None:
    frame = simulated(LAWS, points=data.draw(st.integers(1, 7)))
    odd = st.sampled_from([None, float("nan"), float("inf"), -1.0, 0.0, 0.5, 1.0, 1e9])
    columns = {
        name: pl.Series(data.draw(st.lists(odd, min_size=frame.height, max_size=frame.height)), dtype=pl.Float64)
        for name in data.draw(st.lists(st.sampled_from(["value", "stderr", "chance"]), unique=True))
    }
    columns["n"] = pl.Series(
        data.draw(st.lists(st.sampled_from([0, 1, 50]), min_size=frame.height, max_size=frame.height))
    )
    tokens = st.sampled_from([None, -5, 0, 7, 10**12])
    columns["tokens"] = pl.Series(
        data.draw(st.lists(tokens, min_size=frame.height, max_size=frame.height)), dtype=pl.Int64
    )
    analysis = analyse(frame.with_columns(**columns), QUICK)
    assert encode_all(analysis.tables)
    render(analysis)
