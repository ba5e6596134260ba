"""Checkpoints that stand out before any task is looked at: broken weights still give numbers.

The evaluator puts a few facts on each checkpoint and unit beside the results (domain `sanity`). Here they are only
held against the same limits as there, and what is beyond one is told; nothing is left out of the analysis for it.
"""

from __future__ import annotations

import polars as pl

NOT_FINITE = "log-probabilities that are not finite"
CONSTANT = "one answer to nearly all questions"
WORSE = "plain text predicted worse than by uniform guessing"

CONSTANT_ANSWER_LIMIT = 0.98
WORSE_THAN_UNIFORM = 1.25
"""A fresh model guesses a few percent worse than uniformly; a broken one is far off."""

_CHECKPOINT = ("series", "run", "branch", "step", "position", "axis")
_COLUMNS = (*_CHECKPOINT, "task", "what", "value", "limit")


def flags(sanity: pl.DataFrame) -> pl.DataFrame:
    """What is beyond its limit: a row a checkpoint and task; `task` is empty for what concerns the checkpoint itself.

    `value` is the share (of log-probabilities, of documents), and for plain text its bits per byte over those of
    uniform guessing.
    """
    nonfinite = _of(sanity, "sanity_nonfinite_share").with_columns(what=pl.lit(NOT_FINITE), limit=pl.lit(0.0))
    constant = _of(sanity, "sanity_constant_answer_share").with_columns(
        what=pl.lit(CONSTANT), limit=pl.lit(CONSTANT_ANSWER_LIMIT)
    )
    # The text is one and the same whichever task it was scored beside.
    text, uniform = (
        _of(sanity, f"sanity_{name}").group_by(_CHECKPOINT).agg(pl.col("value").max())
        for name in ("bits_per_byte", "uniform_bits_per_byte")
    )
    ratio = text.join(uniform.filter(pl.col("value") > 0), on=_CHECKPOINT, suffix="_uniform").with_columns(
        value=pl.col("value") / pl.col("value_uniform"),
        task=pl.lit(""),
        what=pl.lit(WORSE),
        limit=pl.lit(WORSE_THAN_UNIFORM),
    )
    found = pl.concat([part.select(_COLUMNS) for part in (nonfinite, constant, ratio)])
    return found.filter(pl.col("value") > pl.col("limit")).sort("series", "what", "position", "step", "task")


def _of(sanity: pl.DataFrame, metric: str) -> pl.DataFrame:
    return sanity.filter(pl.col("metric") == metric).select(*_CHECKPOINT, "task", "value")
