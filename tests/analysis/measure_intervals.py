"""How often the 90% intervals of forecasts hold, how wide they are, and their interval score: the figures of
docs/analysis.md.

On Pythia the value at the end of each task, and of the mean of all, is forecast from the first 20, 40 and 60% of the
tokens, and the gain of the next doubling from 25, 33 and 50%, against the difference of means of three checkpoints. In
simulation, what is forecast is at twice what was seen, of a true law or of abilities that rise in a jump each.

The interval score (Gneiting and Raftery 2007, doi 10.1198/016214506000001437) is the width, and 2 / 0.1 times what was
missed by: less is better. Everything is in points: of raw accuracy for tasks, of the chance-corrected score for means.

Run: PYTHONPATH=tests .venv/bin/python tests/analysis/measure_intervals.py
"""

from __future__ import annotations

import sys

import numpy as np
import polars as pl

from fineline_analysis.analyse import analyse
from fineline_analysis.metrics import observe
from fineline_analysis.scores import score
from fineline_analysis.settings import Settings
from fineline_analysis.trajectories import trajectories
from support.jumps import jumps
from support.trajectories import Law, pythia, simulated

TASKS = ("arc_easy", "arc_challenge", "piqa", "winogrande", "sciq", "lambada_openai")
CUTS = (0.2, 0.4, 0.6)
BILLION = 7e8
"""Non-embedding parameters from which a size is called 1B or more."""

LAWS = {"rising": Law(0.7, 0.12, 0.35), "near its end": Law(0.99, 0.01, 1.2), "falling": Law(0.5, -0.05, 0.4)}
DOUBLINGS = (0.25, 1 / 3, 0.5)
POINTS = (8, 16, 40)
SEEDS = 8


def _figures(title: str, rows: pl.DataFrame) -> None:
    """`rows` have the forecasts' columns, and what was measured as `actual`."""
    low, high = pl.col("forecast_low"), pl.col("forecast_high")
    below, above = (low - pl.col("actual")).clip(lower_bound=0), (pl.col("actual") - high).clip(lower_bound=0)
    found = rows.select(
        error=100 * (pl.col("forecast") - pl.col("actual")).abs().mean(),
        held=100 * ((low <= pl.col("actual")) & (pl.col("actual") <= high)).mean(),
        under=100 * (pl.col("actual") < low).mean(),
        over=100 * (pl.col("actual") > high).mean(),
        width=100 * (high - low).mean(),
        score=100 * (high - low + 20 * (below + above)).mean(),
    ).row(0)
    sys.stdout.write(f"{title:34} {rows.height:5} " + " ".join(f"{value:7.2f}" for value in found) + "\n")


def _pythia() -> None:
    frame = pythia().filter(pl.col("metric") == "acc")
    last = float(frame["tokens"].max())  # type: ignore[arg-type]
    actual = _measured(frame).filter(pl.col("position") == last).select("run", "level", "task", actual="value")
    settings = Settings(horizons=dict.fromkeys(frame["run"].unique().sort().to_list(), last))
    big = pl.col("non_embedding_parameters") > BILLION
    for cut in CUTS:
        found = analyse(frame.filter(pl.col("tokens") <= cut * last), settings).tables["forecasts"]
        found = found.filter(pl.col("level") != "domain").join(actual, on=["run", "level", "task"])
        rows = found.filter(pl.col("task").is_in(TASKS))
        _figures(f"Pythia {cut:.0%}, all sizes", rows)
        _figures(f"Pythia {cut:.0%}, 1B and more", rows.filter(big))
        _figures(f"Pythia {cut:.0%}, mean of all", found.filter(pl.col("level") == "overall"))
    for cut in DOUBLINGS:
        found = analyse(frame.filter(pl.col("tokens") <= cut * last)).tables["returns"]
        rows = found.filter(pl.col("level") == "overall")
        gains = [
            _around(frame, run, end) - _around(frame, run, start)
            for run, start, end in rows.select("run", "position", "doubled").iter_rows()
        ]
        names = {"next_gain": "forecast", "next_gain_low": "forecast_low", "next_gain_high": "forecast_high"}
        _figures(f"Pythia {cut:.0%}, gain of the mean", rows.rename(names).with_columns(actual=pl.Series(gains)))


def _measured(frame: pl.DataFrame) -> pl.DataFrame:
    return trajectories(score(observe(frame).rows)[0])[0].filter(pl.col("headline"))


def _around(frame: pl.DataFrame, run: str, position: float) -> float:
    """The mean of the three checkpoints about a position: one alone is half a point off by jitter."""
    own = _measured(frame.filter(pl.col("run") == run)).filter(
        (pl.col("level") == "overall") & (pl.col("position") > 0)
    )
    return float(own.sort((pl.col("position") / position).log().abs()).head(3)["value"].mean())  # type: ignore[arg-type]


def _laws() -> None:
    for name, law in LAWS.items():
        truth = float(law.at(np.array(2.0)))
        for points in POINTS:
            parts = []
            for seed in range(SEEDS):
                laws = {"d": {f"t{i:02}": law for i in range(50)}}
                found = analyse(simulated(laws, points=points, seed=seed), Settings(draws=200)).tables["forecasts"]
                noise = np.sqrt(truth * (1 - truth) / 4000) * np.random.default_rng([seed, 99]).standard_normal(50)
                tasks = found.filter(pl.col("level") == "task").sort("task")
                parts.append(tasks.with_columns(actual=pl.Series(np.minimum(truth + noise, 1.0))))
            _figures(f"a law {name}, {points} points", pl.concat(parts))


def _jumps() -> None:
    """From the first half of the tokens, so that some have jumped and some have not."""
    for points in POINTS:
        parts = []
        for seed in range(SEEDS):
            frame = jumps(points=points, seed=seed)
            last = float(frame["tokens"].max())  # type: ignore[arg-type]
            settings = Settings(draws=200, horizons={"run-a": last})
            found = analyse(frame.filter(pl.col("tokens") <= 0.5 * last), settings).tables["forecasts"]
            actual = frame.filter(pl.col("tokens") == last).select("task", actual="value")
            parts.append(found.filter(pl.col("level") == "task").join(actual, on="task"))
        _figures(f"jumps, {points} points", pl.concat(parts).filter(pl.col("forecast").is_not_null()))


def main() -> None:
    sys.stdout.write(f"{'':34} {'n':>5} " + " ".join(f"{name:>7}" for name in _TITLES) + "\n")
    _pythia()
    _laws()
    _jumps()


_TITLES = ("error", "held %", "under %", "over %", "width", "score")

if __name__ == "__main__":
    main()
