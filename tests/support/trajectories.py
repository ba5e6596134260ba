"""Metrics rows for tests of the analysis: real Pythia trajectories, and simulated ones whose law is known."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fineline.results.schemas import METRICS

WHEN = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)

PYTHIA = {
    "arc_easy": ("knowledge", 0.25),
    "arc_challenge": ("reasoning", 0.25),
    "piqa": ("reasoning", 0.5),
    "winogrande": ("language", 0.5),
    "sciq": ("understanding", 0.25),
    "lambada_openai": ("language", 0.0),
    "logiqa": ("reasoning", 0.25),
}
"""Task → (domain, chance) of the seven zero-shot tasks with an accuracy; MMLU's subjects are `exam`, chance 1/4."""

# An embedding and an unembedding of 50,304 rows each, by the model's width.
_WIDTHS = {"70m": 512, "160m": 768, "410m": 1024, "1b": 2048, "1.4b": 2048, "2.8b": 2560, "6.9b": 4096, "12b": 5120}


def data_folder() -> Path:
    """The folder of real data; skips the test where it is not there."""
    folder = Path(os.environ.get("FINELINE_TEST_DATA", Path(__file__).parents[2] / "../shared/data")).resolve()
    if not (folder / "trajectories").is_dir():
        pytest.skip("FINELINE_TEST_DATA names no folder with trajectories/")
    return folder


def pythia(models: Sequence[str] | None = None, *, mmlu: int = 0) -> pl.DataFrame:
    """Pythia's zero-shot trajectories as metrics rows: seven tasks, and the first `mmlu` subjects of MMLU."""
    raw = pl.read_parquet(data_folder() / "trajectories" / "pythia_zeroshot.parquet")
    subjects = raw.filter(pl.col("task").str.starts_with("hendrycksTest"))["task"].unique().sort().to_list()[:mmlu]
    meaning = {**PYTHIA, **dict.fromkeys(subjects, ("exam", 0.25))}
    kept = raw.filter(pl.col("task").is_in(list(meaning)) & pl.col("metric").is_in(["acc", "acc_norm", "ppl"]))
    if models is not None:
        kept = kept.filter(pl.col("model").is_in(models))
    accuracy = pl.col("metric") != "ppl"
    embedding = pl.col("size").replace_strict(_WIDTHS, return_dtype=pl.Int64) * 2 * 50304
    return _typed(
        kept.select(
            run="model",
            step="step",
            tokens="tokens",
            parameters="params",
            non_embedding_parameters=pl.col("params") - embedding,
            task="task",
            domain=pl.col("task").replace_strict({task: domain for task, (domain, _) in meaning.items()}),
            metric="metric",
            value="value",
            stderr="stderr",
            n="n_items",
            chance=pl.when(accuracy).then(
                pl.col("task").replace_strict({task: chance for task, (_, chance) in meaning.items()})
            ),
            higher_is_better=accuracy,
        )
    )


@dataclass(frozen=True)
class Law:
    """value(D) = E - A (D / last)^(-beta), the law of one simulated task; a rising one has A > 0."""

    E: float
    A: float
    beta: float

    def at(self, fraction: np.ndarray) -> np.ndarray:
        """The law's value at a fraction of the last position."""
        return self.E - self.A * np.asarray(fraction, dtype=float) ** (-self.beta)


def simulated(
    laws: Mapping[str, Mapping[str, Law]],
    *,
    run: str = "run-a",
    points: int = 16,
    last_tokens: int = 64_000_000_000,
    first_fraction: float = 1 / 64,
    n: int = 4000,
    chance: float = 0.25,
    noise: float | None = None,
    seed: int = 0,
    parameters: int = 1_000_000_000,
) -> pl.DataFrame:
    """Metrics rows of one run: domain → task → law, at log-spaced checkpoints. `noise` is the standard deviation of a
    value; by default that of `n` documents."""
    generator = np.random.default_rng(seed)
    fractions = np.geomspace(first_fraction, 1.0, points)
    frames = []
    for domain, tasks in laws.items():
        for task, law in tasks.items():
            truth = law.at(fractions)
            stderr = np.sqrt(np.clip(truth * (1 - truth), 1e-4, None) / n) if noise is None else np.full(points, noise)
            frames.append(
                pl.DataFrame(
                    {
                        "run": run,
                        "step": np.round(fractions * 100_000).astype(int),
                        "tokens": np.round(fractions * last_tokens).astype(int),
                        "parameters": parameters,
                        "non_embedding_parameters": parameters,
                        "task": task,
                        "domain": domain,
                        "metric": "acc",
                        "value": truth + stderr * generator.standard_normal(points),
                        "stderr": stderr,
                        "n": n,
                        "chance": chance,
                        "higher_is_better": True,
                    }
                )
            )
    return _typed(pl.concat(frames))


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """All columns of metrics.arrow, in order; what a test doesn't say is filled in."""
    defaults = {
        "branch": pl.lit("main"),
        "annealed": pl.lit(None, pl.Boolean),
        "active_parameters": pl.col("parameters"),
        "subtask": pl.lit(None, pl.String),
        "filter": pl.lit("none"),
        "num_fewshot": pl.lit(0, pl.Int32),
        "key": pl.lit("0" * 16),
        "checkpoint_digest": pl.concat_str(pl.col("run"), pl.lit("-"), pl.col("step")),
        "evaluated_at": pl.lit(WHEN).dt.cast_time_unit("us"),
    }
    frame = frame.with_columns(**{name: value for name, value in defaults.items() if name not in frame.columns})
    return frame.select(METRICS.names).with_columns(pl.col("n").cast(pl.Int64), pl.col("step").cast(pl.Int64))
