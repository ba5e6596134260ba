"""Checkpoints that stand out: told with their limit, left in, and silent where nothing does."""

from __future__ import annotations

import polars as pl
import pytest

from fineline_analysis.analyse import Analysis, analyse
from fineline_analysis.report import render
from fineline_analysis.settings import Settings
from support.trajectories import Law, simulated

QUICK = Settings(draws=40, backtest_draws=10)
LAWS = {"reasoning": {"piqa": Law(0.8, 0.15, 0.4)}, "language": {"lambada": Law(0.7, 0.2, 0.5)}}
SOUND = {
    "sanity_bits_per_byte": 1.1,
    "sanity_uniform_bits_per_byte": 4.0,
    "sanity_nonfinite_share": 0.0,
    "sanity_constant_answer_share": 0.4,
    "sanity_eos_logprob": -9.0,
}


def with_sanity(**odd: float) -> Analysis:
    """An analysis of eight checkpoints whose newest has odd facts beside its tasks."""
    frame = simulated(LAWS, points=8)
    newest = pl.col("step") == frame["step"].max()
    rows = [
        frame.with_columns(
            domain=pl.lit("sanity"),
            metric=pl.lit(name),
            value=pl.when(newest).then(odd.get(name, sound)).otherwise(sound),
        )
        for name, sound in SOUND.items()
    ]
    return analyse(pl.concat([frame, *rows]), QUICK)


def test_sound_checkpoints_have_no_section() -> None:
    analysis = with_sanity()
    assert analysis.tables["flags"].height == 0
    assert 'id="sanity"' not in render(analysis)


@pytest.mark.parametrize(
    ("metric", "value", "says", "rows"),
    [
        ("sanity_nonfinite_share", 0.01, "not finite", 2),
        ("sanity_constant_answer_share", 0.99, "one answer", 2),
        ("sanity_bits_per_byte", 5.1, "worse than by uniform guessing", 1),
    ],
)
def test_what_is_beyond_its_limit_is_told(metric: str, value: float, says: str, rows: int) -> None:
    analysis = with_sanity(**{metric: value})
    flags = analysis.tables["flags"]
    assert flags.height == rows
    assert set(flags["step"]) == {100_000}
    assert all(says in what for what in flags["what"])
    page = render(analysis)
    assert 'id="sanity"' in page
    assert f"1 checkpoint with {flags['what'][0]}" in page


@pytest.mark.parametrize(("metric", "value"), [("sanity_bits_per_byte", 5.0), ("sanity_constant_answer_share", 0.98)])
def test_what_is_at_its_limit_is_not(metric: str, value: float) -> None:
    assert with_sanity(**{metric: value}).tables["flags"].height == 0


def test_checkpoints_that_stand_out_take_part_as_all_others() -> None:
    odd, sound = with_sanity(sanity_nonfinite_share=0.5), with_sanity()
    assert odd.tables["forecasts"].equals(sound.tables["forecasts"])
