"""The order in which domains arrive, with times that are only known between checkpoints."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from fineline_analysis import isotonic
from fineline_analysis.analyse import Analysis, analyse
from fineline_analysis.order import _mean_ranks
from fineline_analysis.settings import Settings
from support.trajectories import Law, simulated

QUICK = Settings(draws=100, backtest_draws=20)


def rising(run: str = "run-a", **at: float) -> pl.DataFrame:
    """A run whose domains each jump from chance to 80% at a share of the run (1.1: never)."""
    frames = []
    for number, (domain, share) in enumerate(at.items()):
        frame = simulated({domain: {f"{domain}-task": Law(0.25, 0.0, 1.0)}}, run=run, points=20, seed=number)
        frames.append(
            frame.with_columns(
                value=pl.col("value") + pl.when(pl.col("step") >= share * 100_000).then(0.55).otherwise(0.0)
            )
        )
    return pl.concat(frames)


def times(analysis: Analysis, domain: str, milestone: str) -> dict[str, object]:
    rows = analysis.tables["curriculum"].filter((pl.col("domain") == domain) & (pl.col("milestone") == milestone))
    return rows.row(0, named=True)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(-1, 1), min_size=1, max_size=12),
    level=st.floats(-1, 1),
    weights=st.lists(st.floats(0.1, 3), min_size=12, max_size=12),
)
def test_a_crossing_is_that_of_the_isotonic_fit(values: list[float], level: float, weights: list[float]) -> None:
    noise = np.array(weights[: len(values)])
    fit = isotonic_regression(np.array(values), weights=1 / noise**2).x
    assert isotonic.fit(np.array(values), noise) == pytest.approx(fit, abs=1e-9)
    found = int(isotonic.crossing(np.array(values), noise, np.array(level)))
    # At the level itself, rounding decides.
    assert (fit[:found] < level + 1e-9).all()
    assert (fit[found:] > level - 1e-9).all()
    low, high = isotonic.ends(np.array(values), noise)
    assert (float(low), float(high)) == pytest.approx((float(fit[0]), float(fit[-1])), abs=1e-9)


@given(
    st.integers(1, 6).flatmap(
        lambda draws: st.lists(
            st.lists(st.sampled_from((1.0, 2.0, 3.5, float("inf"))), min_size=draws, max_size=draws), max_size=5
        )
    )
)
def test_ranks_among_domains_are_those_of_scipy(times: list[list[float]]) -> None:
    expected = rankdata(np.array(times), axis=0).mean(axis=1).tolist() if times else []
    assert _mean_ranks([np.array(own) for own in times]) == pytest.approx(expected)


def test_domains_are_ranked_by_when_they_come_half_way() -> None:
    analysis = analyse(rising(late=0.5, early=0.05, middle=0.2), QUICK)
    order = analysis.tables["order"].sort("rank")
    assert order["domain"].to_list() == ["early", "middle", "late"]
    assert order["before_next"].to_list() == [1.0, 1.0, None]
    assert order["clearly_before"].to_list() == [["middle", "late"], ["late"], []]


def test_a_time_lies_between_the_checkpoints_around_it() -> None:
    frame = rising(jump=0.2)
    row = times(analyse(frame, QUICK), "jump", "half")
    before = frame.filter(pl.col("step") < 20_000)["tokens"].max()
    after = frame.filter(pl.col("step") >= 20_000)["tokens"].min()
    assert (row["after"], row["by"], row["censored"]) == (before, after, "interval")


def test_domains_that_jump_together_have_no_clear_order() -> None:
    order = analyse(rising(one=0.2, other=0.2), QUICK).tables["order"].sort("rank")
    assert order["before_next"][0] == pytest.approx(0.5)
    assert order["clearly_before"].to_list() == [[], []]


def test_a_level_that_is_not_reached_is_right_censored() -> None:
    row = times(analyse(rising(jump=0.2), QUICK), "jump", "score 0.75")
    assert (row["censored"], row["by"], row["estimate"]) == ("right", None, None)


def test_a_level_reached_at_the_first_checkpoint_is_left_censored() -> None:
    row = times(analyse(rising(always=0.0), QUICK), "always", "score 0.5")
    assert (row["censored"], row["after"]) == ("left", 0.0)


def test_what_never_rises_has_no_place_in_the_order() -> None:
    order = analyse(rising(jump=0.2, never=1.1), QUICK).tables["order"]
    never = order.filter(pl.col("domain") == "never").row(0, named=True)
    assert (never["status"], never["rank"]) == ("no gain", None)


def test_noise_alone_is_seldom_called_a_gain() -> None:
    laws = {f"d{i:03}": {f"t{i:03}": Law(0.4, 0.0, 1.0)} for i in range(200)}
    order = analyse(simulated(laws, points=12, seed=5), Settings(draws=200, backtest_draws=2)).tables["order"]
    assert order.filter(pl.col("status") == "known").height <= 20
