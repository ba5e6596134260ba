"""Standard errors by bootstrap, equal to lm-eval's: same seeds, same chunks, same resamples.

lm-eval forks a pool of processes for them, which a process that holds an engine must not do, or loops in Python and
prints. Here the resamples of a mean are drawn by numpy from the same generator state, which takes seconds where the
loop takes minutes; any other statistic is computed on the very same resamples, one by one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

_CHUNK = 1000
# Indices drawn at once: 32 MiB of them.
_DRAWN_AT_ONCE = 4 << 20


def bootstrap_stderr(statistic: Callable[[Sequence[Any]], float], items: Sequence[Any], iterations: int) -> float:
    """The sample standard deviation of `statistic` over resamples of `items`."""
    values = [
        statistic([items[index] for index in row])
        for indices in _resamples(len(items), iterations)
        for row in indices.tolist()
    ]
    return _deviation(np.asarray(values, dtype=np.float64))


def bootstrap_stderr_of_mean(
    transform: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], items: Sequence[float], iterations: int
) -> float:
    """The same for a function of the mean, such as perplexity: exp(-mean)."""
    values = np.asarray(items, dtype=np.float64)
    means = [values[indices].mean(axis=1) for indices in _resamples(len(values), iterations)]
    return _deviation(transform(np.concatenate(means)))


def _resamples(size: int, iterations: int) -> Iterator[np.ndarray[Any, Any]]:
    """Blocks of resamples, a row of `size` indices each: those of `random.Random(i).choices` for each chunk i."""
    chunk = min(_CHUNK, iterations)
    rows_at_once = max(1, min(chunk, _DRAWN_AT_ONCE // max(size, 1)))
    for seed in range(iterations // chunk):
        generator = _numpy_generator(seed)
        left = chunk
        while left:
            rows = min(rows_at_once, left)
            # `choices` takes floor(random() * n), and numpy's doubles are made of the same two words of the twister.
            yield (generator.random_sample(rows * size) * float(size)).astype(np.int64).reshape(rows, size)
            left -= rows


def _numpy_generator(seed: int) -> np.random.RandomState:
    state = random.Random(seed).getstate()[1]  # noqa: S311 - to draw what lm-eval draws
    generator = np.random.RandomState()
    generator.set_state(("MT19937", np.asarray(state[:-1], dtype=np.uint32), state[-1], 0, 0.0))
    return generator


def _deviation(values: np.ndarray[Any, Any]) -> float:
    if len(values) < 2:
        return math.nan
    return float(values.std(ddof=1))
