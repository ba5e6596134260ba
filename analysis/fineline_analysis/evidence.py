"""What a verdict on a series stands on: its mean score in time, the jitter, the newest trend and the next doubling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import stdtrit

from fineline_analysis.trajectories import Floats

_RETURNS = ("room", "next_gain", "next_gain_low", "next_gain_high", "last_gain", "probability")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one series. `noise` is the standard error of each mean score by its documents, `jitter` the robust standard
    deviation of one checkpoint about its neighbours, `recent` the gain over the newest doubling and the half of its 90%
    interval, `returns` the row of the returns table on the mean of all domains, `domains` the rows on each."""

    axis: str
    position: Floats
    score: Floats
    noise: Floats
    jitter: float
    recent: tuple[float, float]
    returns: dict[str, float | None]
    domains: pl.DataFrame

    @property
    def last(self) -> float:
        return float(self.position[-1])

    @property
    def typical_noise(self) -> float:
        return float(np.median(self.noise))


def gather(axis: str, overall: pl.DataFrame, returns: pl.DataFrame) -> Evidence:
    """The evidence on one series from its rows of the trajectories (level overall, in time) and of the returns."""
    position, score = overall["position"].to_numpy(), overall["score"].to_numpy()
    stderr = overall["score_stderr"].fill_null(np.nan).to_numpy()
    known = stderr[stderr > 0]
    noise = np.where(stderr > 0, stderr, np.median(known) if known.size else 0.01)
    own = returns.filter(pl.col("level") == "overall")
    values: dict[str, float | None] = {name: own[name][0] if own.height else None for name in _RETURNS}
    jitter = jitter_of(position, score)
    recent = newest_trend(position, score, max(jitter, 0.25 * float(np.median(noise))))
    domains = returns.filter(pl.col("level") == "domain")
    return Evidence(axis, position, score, noise, jitter, recent, values, domains)


def jitter_of(position: Floats, score: Floats) -> float:
    """The robust standard deviation of one checkpoint about the line through its neighbours; 0 under five of them.

    From the later half of the checkpoints, at least five, where the curve itself bends least.
    """
    if score.size < 5:
        return 0.0
    keep = max(5, score.size // 2 + 1)
    newest, y = position[-keep:], score[-keep:]
    u = np.log(newest) if (newest > 0).all() else np.arange(keep, dtype=np.float64)
    left, middle, right = u[:-2], u[1:-1], u[2:]
    share = (right - middle) / (right - left)
    difference = y[1:-1] - share * y[:-2] - (1 - share) * y[2:]
    scaled = np.abs(difference) / np.sqrt(1 + share**2 + (1 - share) ** 2)
    return float(1.4826 * np.median(scaled))


def newest_trend(position: Floats, score: Floats, noise: float) -> tuple[float, float]:
    """The gain over the newest doubling and the half of its 90% interval (Student's t): a line in log position through
    the checkpoints of that doubling, four at least. `noise` is the least standard deviation to believe in."""
    count = max(4, int((position >= position[-1] / 2).sum()))
    x, y = position[-count:], score[-count:]
    x, y = x[x > 0], y[x > 0]
    if x.size < 3:
        return 0.0, float("inf")
    u = np.log2(x) - np.log2(x).mean()
    spread = float((u * u).sum())
    slope = float((u * y).sum() / spread)
    residual = y - y.mean() - slope * u
    scale = max(float(np.sqrt((residual**2).sum() / (x.size - 2))), noise)
    return slope, float(stdtrit(x.size - 2, 0.95)) * scale / float(np.sqrt(spread))
