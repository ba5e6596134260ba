"""What is asked of a task, and what comes back: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

DEFAULT_SEED = 1234
"""lm-eval's own seed for few-shot examples."""

DEFAULT_BOOTSTRAP_ITERATIONS = 100_000
"""lm-eval's own number of resamples for the standard error of metrics that have no closed form."""


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """How a task is asked.

    `shots` None means the task's own number; `limit` documents are drawn from each subtask, None for all. `window` is
    the longest input of the model in tokens. `add_bos` None leaves it to the tokenizer. A task that runs generated
    programs is refused unless `allow_code_execution`.
    """

    task: str
    shots: int | None
    limit: int | None
    window: int
    add_bos: bool | None = None
    seed: int = DEFAULT_SEED
    allow_code_execution: bool = False
    bootstrap_iterations: int = DEFAULT_BOOTSTRAP_ITERATIONS


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one checkpoint. `subtask` is None on the row of the task itself; `stderr` None where lm-eval gives
    none; `chance` is what guessing scores, where that is known; `n` counts documents."""

    subtask: str | None
    metric: str
    filter: str
    value: float
    stderr: float | None
    n: int
    chance: float | None
    higher_is_better: bool
    num_fewshot: int


@dataclass(frozen=True, slots=True)
class TaskScores:
    """What one checkpoint scored: the metrics, and one row a document (schema SAMPLES and a column a metric)."""

    metrics: tuple[MetricRow, ...]
    samples: pa.Table
