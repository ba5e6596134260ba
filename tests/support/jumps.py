"""Metrics rows of abilities that rise in a jump each: what a power law fitted before the jump can't see."""

from __future__ import annotations

import polars as pl

from support.trajectories import Law, simulated

WIDTH = 0.15
"""Of a jump, in the natural logarithm of the tokens."""


def jumps(*, domains: int = 1, tasks: int = 30, points: int = 16, seed: int = 0) -> pl.DataFrame:
    """One run: `tasks` tasks a domain, from chance (25%) to 85%, each in a sigmoid jump at 15 to 80% of the tokens."""
    names = {f"d{i}": [f"d{i}-t{j:02}" for j in range(tasks)] for i in range(domains)}
    order = [name for several in names.values() for name in several]
    when = {name: 0.15 + 0.65 * i / max(len(order) - 1, 1) for i, name in enumerate(order)}
    flat = {domain: dict.fromkeys(several, Law(0.25, 0.0, 1.0)) for domain, several in names.items()}
    frame = simulated(flat, points=points, n=2000, seed=seed)
    fraction = pl.col("tokens") / frame["tokens"].max()
    distance = fraction.log() - pl.col("task").replace_strict(when, return_dtype=pl.Float64).log()
    return frame.with_columns(value=(pl.col("value") + 0.6 / (1 + (-distance / WIDTH).exp())).clip(0.0, 1.0))


def as_error_rates(frame: pl.DataFrame) -> pl.DataFrame:
    """The same accuracies as error rates, which are best at 0."""
    return frame.with_columns(value=1 - pl.col("value"), chance=1 - pl.col("chance"), higher_is_better=False)
