"""What a metric's number means: its scale, its chance level, its direction, and which metric speaks for a task.

Scores are mixed across tasks only after chance correction: `score = (value - chance) / (best - chance)`, so that 0 is
chance and 1 is perfect whatever the number of choices and whichever way is up. Below chance is below 0: data, no error.
A metric without a best value (perplexity, bits per byte) has no score and takes no part in a domain's mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fineline_analysis.metrics import Notice

HEADLINES = (
    "acc_norm",
    "acc",
    "exact_match",
    "pass@1",
    "pass_at_1",
    "em",
    "f1",
    "mc2",
    "mcc",
    "bleu",
    "rouge1",
    "bits_per_byte",
    "byte_perplexity",
    "word_perplexity",
    "perplexity",
    "ppl",
    "loss",
)
"""The metric that speaks for a task: the first of these that it has, else its first by name."""

_FILTERS = ("none", "strict-match", "flexible-extract")

PROPORTIONS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em", "pass@1", "pass_at_1", "mc1")
"""Means of zeros and ones: their bands are Wilson's."""

_BEST = {
    **dict.fromkeys((*PROPORTIONS, "f1", "mc2", "mcc"), 1.0),
    "bleu": 100.0,
    "rouge1": 100.0,
}


def score(rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Notice, ...]]:
    """Adds `headline`, `best`, `score`, `score_stderr` and a `stderr` for proportions that lack one."""
    notices: list[Notice] = []
    rows = _with_headline(rows)
    rows = _with_scale(rows, notices)
    rows = _with_stderr(rows, notices)
    span = pl.col("best") - pl.col("chance")
    rows = rows.with_columns(
        score=(pl.col("value") - pl.col("chance")) / span,
        score_stderr=pl.col("stderr") / span.abs(),
    )
    return rows, tuple(notices)


def _rank(column: str, order: Sequence[str]) -> pl.Expr:
    return pl.col(column).replace_strict(
        {name: i for i, name in enumerate(order)}, default=len(order), return_dtype=pl.Int32
    )


def _with_headline(rows: pl.DataFrame) -> pl.DataFrame:
    """One (metric, filter) speaks for a task, the same in every run, so that runs can be compared: of those that the
    most runs have, the first in order."""
    spoken = (
        rows.group_by("task", "metric", "filter")
        .agg(pl.col("series").n_unique().cast(pl.Int64).alias("runs"))
        .with_columns(first=_rank("metric", HEADLINES), second=_rank("filter", _FILTERS), lacking=-pl.col("runs"))
        .sort("task", "lacking", "first", "metric", "second", "filter")
        .unique("task", keep="first", maintain_order=True)
        .select("task", "metric", "filter", headline=pl.lit(value=True))
    )
    return rows.join(spoken, on=["task", "metric", "filter"], how="left").with_columns(
        pl.col("headline").fill_null(value=False)
    )


def _with_scale(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    known_best = pl.col("metric").replace_strict(_BEST, default=None, return_dtype=pl.Float64)
    higher = pl.col("higher_is_better")
    # A bounded metric that gets better downwards (an error rate) is best at 0, wherever its chance level is given.
    rows = rows.with_columns(best=pl.when(higher).then(known_best).when(known_best.is_not_null()).then(0.0))
    unknown = pl.col("best").is_not_null() & pl.col("chance").is_null()
    guessed = rows.filter(unknown & pl.col("metric").is_in(["acc", "acc_norm", "mc2"]) & pl.col("headline"))
    if guessed.height:
        names = ", ".join(guessed["task"].unique().sort().to_list()[:5])
        notices.append(Notice("ChanceUnknown", f"the results give no chance level for {names}: taken as 0"))
    rows = rows.with_columns(chance=pl.when(unknown & higher).then(0.0).when(unknown).then(1.0).otherwise("chance"))
    beyond = pl.col("best").is_not_null() & (pl.col("chance") - pl.col("best")).abs().lt(1e-9)
    odd = rows.filter(beyond)
    if odd.height:
        names = ", ".join(odd["task"].unique().sort().to_list()[:5])
        notices.append(Notice("ChanceIsBest", f"the chance level of {names} is its best value: it has no score"))
    rows = rows.with_columns(best=pl.when(~beyond).then("best"))
    outside = rows.filter(
        pl.col("best").is_not_null() & ((pl.col("value") < _lowest()) | (pl.col("value") > _highest()))
    )
    if outside.height:
        places = outside.select("task", "metric").unique().sort("task", "metric").rows()
        names = ", ".join(f"{task} {metric}" for task, metric in places[:3])
        notices.append(
            Notice(
                "OutsideScale",
                f"{outside.height:,} value(s) outside of their metric's scale, kept as they are: {names}",
            )
        )
    return rows


def _lowest() -> pl.Expr:
    return pl.when(pl.col("metric") == "mcc").then(-1.0).otherwise(0.0)


def _highest() -> pl.Expr:
    return pl.when(pl.col("higher_is_better")).then("best").otherwise(1.0)


def _with_stderr(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    proportion = pl.col("metric").is_in(PROPORTIONS) & pl.col("value").is_between(0.0, 1.0)
    lacks = pl.col("stderr").is_null() & proportion
    lacking = rows.filter(lacks & pl.col("headline"))
    if lacking.height:
        notices.append(
            Notice(
                "StderrDerived",
                f"{lacking.height:,} headline value(s) without a standard error: the binomial one is used",
            )
        )
    # Agresti and Coull (1998): two successes and two failures more, so that 0 of n is not known for certain.
    adjusted = (pl.col("value") * pl.col("n") + 2) / (pl.col("n") + 4)
    binomial = (adjusted * (1 - adjusted) / (pl.col("n") + 4)).sqrt()
    rows = rows.with_columns(stderr=pl.when(lacks).then(binomial).otherwise("stderr"))
    none = rows.filter(pl.col("stderr").is_null() & pl.col("headline"))
    if none.height:
        names = ", ".join(none["task"].unique().sort().to_list()[:5])
        notices.append(Notice("NoStderr", f"no standard error for {names}: drawn without a band"))
    return rows
