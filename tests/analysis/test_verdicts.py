"""One verdict a run, with the three facts that decided it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fineline_analysis.analyse import analyse
from fineline_analysis.evidence import Evidence
from fineline_analysis.settings import Settings
from fineline_analysis.verdicts import Verdict, judge
from support.jumps import jumps
from support.trajectories import Law, pythia, simulated

QUICK = Settings(draws=200, backtest_draws=20)


def judged(law: Law, change: pl.Expr | None = None, **settings: int) -> Verdict:
    frame = simulated({"a": {"x": law, "y": law}, "b": {"z": law}}, **settings)  # type: ignore[arg-type]
    if change is not None:
        frame = frame.with_columns(value=pl.col("value") + change)
    return analyse(frame, QUICK).verdicts[0]


def test_a_run_that_gains_much_with_each_doubling_is_improving() -> None:
    verdict = judged(Law(0.9, 0.3, 0.2), n=20_000)
    assert verdict.state == "improving"
    assert verdict.probability is not None
    assert verdict.probability > 0.9


def test_a_run_whose_next_doubling_brings_less_than_half_of_the_last_is_slowing() -> None:
    assert judged(Law(0.8, 0.02, 1.2), n=60_000).state == "slowing"


def test_a_run_at_its_offset_is_plateaued() -> None:
    verdict = judged(Law(0.7, 0.0005, 1.4), n=20_000)
    assert verdict.state == "plateaued"
    assert "schedule is not known" in verdict.next_step


def test_a_run_that_falls_is_regressing_and_names_its_best_checkpoint() -> None:
    fall = pl.max_horizontal(pl.lit(0.0), (pl.col("step") / 25_000).log()) * -0.05
    verdict = judged(Law(0.7, 0.02, 0.8), fall, n=20_000, points=24)
    assert verdict.state == "regressing"
    assert "below its best" in verdict.facts[0]


def test_checkpoints_that_jump_beyond_their_documents_are_unstable() -> None:
    jumps = pl.Series(np.tile(np.random.default_rng(1).normal(0, 0.08, 24), 3))
    frame = simulated(
        {"a": {"x": Law(0.7, 0.1, 0.3), "y": Law(0.7, 0.1, 0.3)}, "b": {"z": Law(0.7, 0.1, 0.3)}}, points=24
    )
    verdict = analyse(frame.with_columns(value=pl.col("value") + jumps), QUICK).verdicts[0]
    assert verdict.state == "unstable"


def test_a_run_that_never_left_chance_is_too_early_to_tell() -> None:
    verdict = judged(Law(0.25, 0.0, 1.0))
    assert verdict.state == "too early to tell"
    assert "left chance" in verdict.facts[0]


@pytest.mark.parametrize("law", [Law(0.9, 0.3, 0.2), Law(0.7, 0.0005, 1.4), Law(0.25, 0.0, 1.0)])
def test_every_verdict_has_three_facts_and_a_next_step(law: Law) -> None:
    verdict = judged(law)
    assert len(verdict.facts) == 3
    assert all(fact.endswith(".") for fact in (*verdict.facts, verdict.next_step))


def test_the_verdicts_on_pythia_follow_size() -> None:
    models = ["pythia-70m", "pythia-410m", "pythia-6.9b", "pythia-12b"]
    states = {verdict.run: verdict.state for verdict in analyse(pythia(models)).verdicts}
    assert states["pythia-70m"] in ("plateaued", "regressing")
    assert states["pythia-6.9b"] == states["pythia-12b"] == "improving"


def test_a_run_at_the_top_of_its_tasks_is_told_that_the_plateau_is_theirs() -> None:
    verdict = judged(Law(0.9995, 0.0005, 1.4), n=20_000)
    assert verdict.state == "plateaued"
    assert "top" in verdict.facts[2]
    assert "harder tasks" in verdict.next_step


def test_domains_that_can_show_no_more_are_named_beside_the_one_that_can() -> None:
    frame = simulated({"a": {"x": Law(0.9995, 0.0005, 1.4)}, "b": {"z": Law(0.9, 0.3, 0.2)}}, n=20_000)
    verdict = analyse(frame, QUICK).verdicts[0]
    assert "Most is to come in b" in verdict.facts[2]
    assert "a is at the top" in verdict.facts[2]


def test_abilities_that_rose_in_jumps_are_no_reason_to_expect_a_fall() -> None:
    found = analyse(jumps(domains=8, tasks=1), QUICK)
    gain = found.tables["returns"].filter(pl.col("level") == "overall").row(0, named=True)
    assert gain["next_gain_low"] > -0.02
    assert found.verdicts[0].state in ("improving", "slowing")


def test_a_range_too_wide_to_judge_by_is_told_with_the_newest_score() -> None:
    position, score = np.geomspace(1e9, 64e9, 6), np.array([0.1, 0.15, 0.3, 0.45, 0.5, 0.58])
    gains = {"room": 0.42, "next_gain": 0.08, "next_gain_low": -0.4, "next_gain_high": 0.2, "last_gain": 0.1}
    noise, domains = np.full(6, 0.02), pl.DataFrame(schema={"domain": pl.String, "room": pl.Float64})
    evidence = Evidence("tokens", position, score, noise, 0.01, (0.1, 0.05), {**gains, "probability": 0.5}, domains)
    state, facts, _ = judge(evidence, QUICK)
    assert state == "too early to tell"
    assert facts[2].startswith("The newest of its 6 checkpoints scores 58.0 of 100 above chance")


def test_a_steep_bend_without_a_fall_is_not_unstable() -> None:
    assert judged(Law(0.6, 0.3, 0.5), n=100_000, points=5).state != "unstable"
