"""When a noisy curve reaches a level: crossings of its isotonic fit, for many curves at once.

The isotonic fit exceeds a level from k on exactly where the weighted sum of (value - level) before k is lowest (the
threshold form of pool-adjacent-violators; Robertson, Wright and Dykstra 1988, ch. 1). So a crossing takes one
cumulative sum and one argmin, and no fit has to be made.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def fit(value: Floats, noise: Floats) -> Floats:
    """The increasing isotonic fit of one curve, by pooling adjacent violators."""
    pools: list[tuple[float, float, int]] = []  # weighted mean, weight, points
    for mean, weight in zip(value.tolist(), (1.0 / noise**2).tolist(), strict=True):
        pool = (mean, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            before = pools.pop()
            whole = before[1] + pool[1]
            pool = ((before[0] * before[1] + pool[0] * pool[1]) / whole, whole, before[2] + pool[2])
        pools.append(pool)
    return np.repeat([mean for mean, _, _ in pools], [points for _, _, points in pools])


def ends(value: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """The first and the last value of the increasing isotonic fit of each row (NaN is absent)."""
    weight, weighted = _weights(value, noise)
    with np.errstate(invalid="ignore", divide="ignore"):
        heads = np.cumsum(weighted, axis=-1) / np.cumsum(weight, axis=-1)
        tails = np.cumsum(weighted[..., ::-1], axis=-1) / np.cumsum(weight[..., ::-1], axis=-1)
    return np.nanmin(heads, axis=-1, initial=np.inf), np.nanmax(tails, axis=-1, initial=-np.inf)


def crossing(value: Floats, noise: Floats, level: Floats) -> npt.NDArray[np.intp]:
    """The index of the first point of the isotonic fit at or above each row's level; the row's length if none is."""
    weight, weighted = _weights(value, noise)
    below = np.cumsum(weighted - level[..., None] * weight, axis=-1)
    sums = np.concatenate([np.zeros((*below.shape[:-1], 1)), below], axis=-1)
    return np.asarray(sums.argmin(axis=-1), dtype=np.intp)


def reached(value: Floats, noise: Floats, fraction: float) -> npt.NDArray[np.bool_]:
    """(K, T): whether the isotonic fit has made `fraction` of its whole gain by each point. A curve that gains nothing
    has made all of it at once."""
    low, high = ends(value, noise)
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    first = crossing(value, noise, low + fraction * (high - low))
    at = np.where(high > low, first, 0)
    return np.asarray(np.arange(value.shape[-1]) >= at[..., None])


def _weights(value: Floats, noise: Floats) -> tuple[Floats, Floats]:
    present = ~np.isnan(value)
    weight = np.where(present, 1.0 / np.where(present, noise, 1.0) ** 2, 0.0)
    return weight, np.where(present, weight * np.nan_to_num(value), 0.0)
