"""How each ability develops: one table with every metric's trajectory, and the means of domains, with their bands.

A domain's mean weighs its tasks equally and is taken over the same tasks at every checkpoint, so that it never jumps
because a task came or went. `overall` is the mean of the domains, each weighed equally.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import ndtri

from fineline_analysis.metrics import Notice
from fineline_analysis.scores import PROPORTIONS

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

IDENTITY = ("series", "level", "domain", "task", "metric", "filter")
"""What names one trajectory. `level` is task, domain or overall; `task` and `domain` are empty where it has none."""

_CHECKPOINT = ("run", "branch", "series", "step", "position")
_DESCRIPTION = ("tokens", "annealed", "axis", "parameters", "active_parameters", "non_embedding_parameters")

COLUMNS = (
    *IDENTITY,
    *("run", "branch", "headline", "step", "tokens", "annealed", "position", "axis", "tasks", "n"),
    *("value", "stderr", "value_low", "value_high", "score", "score_stderr", "score_low", "score_high"),
    *("chance", "best", "higher_is_better", "parameters", "active_parameters", "non_embedding_parameters"),
)


def trajectories(rows: pl.DataFrame, level: float = 0.90) -> tuple[pl.DataFrame, tuple[Notice, ...]]:
    """The long table of trajectories, one row a checkpoint, from scored rows (`scores.score`).

    Bands are two-sided at `level` for the sampling of documents: Wilson's for proportions, normal for other metrics and
    for means. They say nothing about other seeds of the same training.
    """
    notices: list[Notice] = []
    tasks = rows.with_columns(level=pl.lit("task"), tasks=pl.lit(1, pl.Int64))
    domains = _domain_means(rows, notices)
    overall = _overall(domains, notices)
    table = pl.concat([part for part in (tasks, domains, overall) if part.height or part is tasks], how="diagonal")
    table = _with_bands(table, level)
    return table.select(COLUMNS).sort("series", "level", "domain", "task", "metric", "filter", "position"), tuple(
        notices
    )


def _domain_means(rows: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    headline = rows.filter(pl.col("headline"))
    scaled = headline.filter(pl.col("score").is_not_null())
    unscaled = headline.filter(pl.col("score").is_null())["task"].unique().sort().to_list()
    if unscaled:
        notices.append(
            Notice("NoScale", f"not part of any mean, for their metric has no best value: {', '.join(unscaled[:5])}")
        )
    checkpoints = scaled.group_by("series", "domain").agg(pl.col("step").n_unique().alias("of"))
    present = (
        scaled.group_by("series", "domain", "task")
        .agg(pl.col("step").n_unique().alias("at"))
        .join(checkpoints, on=["series", "domain"])
        .with_columns(member=pl.col("at") * 2 >= pl.col("of"))
    )
    for series, domain, task, at, of, _ in present.filter(~pl.col("member")).sort("series", "domain", "task").rows():
        notices.append(
            Notice("TaskRare", f"{series}: {task} has results at {at} of {of} checkpoints: not in the mean of {domain}")
        )
    members = present.filter("member").select("series", "domain", "task")
    wanted = members.group_by("series", "domain").agg(pl.len().alias("wanted"))
    joined = scaled.join(members, on=["series", "domain", "task"]).sort("series", "domain", "position", "task")
    means = _mean(joined, ("domain",)).join(wanted, on=["series", "domain"])
    partial = means.filter(pl.col("tasks") < pl.col("wanted"))
    for series, domain, steps in (
        partial.group_by("series", "domain").agg(pl.col("step").sort()).sort("series", "domain").iter_rows()
    ):
        text = f"{series}: no mean of {domain} at {_steps(steps)}, where a task of it has no result"
        notices.append(Notice("TaskMissing", text))
    _tell_of_other_tasks(members, notices)
    return means.filter(pl.col("tasks") == pl.col("wanted")).with_columns(level=pl.lit("domain")).drop("wanted")


def _steps(steps: list[int]) -> str:
    return "step " + ", ".join(str(step) for step in steps[:3]) + (" …" if len(steps) > 3 else "")


def _tell_of_other_tasks(members: pl.DataFrame, notices: list[Notice]) -> None:
    sets = members.group_by("domain", "series").agg(pl.col("task").sort().str.join(", "))
    differing = sets.group_by("domain").agg(pl.col("task").n_unique().alias("sets")).filter(pl.col("sets") > 1)
    text = "the runs' means of {} are over different tasks: do not compare them across runs"
    notices.extend(Notice("OtherTasks", text.format(domain)) for domain in differing["domain"].sort())


def _overall(domains: pl.DataFrame, notices: list[Notice]) -> pl.DataFrame:
    if not domains.height:
        return domains
    wanted = domains.group_by("series").agg(pl.col("domain").n_unique().alias("wanted"))
    means = _mean(domains.sort("series", "position", "domain"), ()).join(wanted, on="series")
    partial = means.filter(pl.col("tasks") < pl.col("wanted"))
    for series, steps in partial.group_by("series").agg(pl.col("step").sort()).sort("series").iter_rows():
        notices.append(Notice("DomainMissing", f"{series}: no mean of all domains at {_steps(steps)}: one has no mean"))
    return means.filter(pl.col("tasks") == pl.col("wanted")).with_columns(level=pl.lit("overall")).drop("wanted")


def _mean(rows: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    """The equally weighted mean of scores a checkpoint, with the standard error of independent members."""
    count = pl.len()
    return rows.group_by(*_CHECKPOINT, *by, maintain_order=True).agg(
        *(pl.col(name).first() for name in _DESCRIPTION),
        pl.col("score").mean(),
        # An unknown standard error of one member leaves that of the mean unknown: a sum would skip it in silence.
        pl.when(pl.col("score_stderr").is_null().any())
        .then(None)
        .otherwise((pl.col("score_stderr") ** 2).sum().sqrt() / count)
        .alias("score_stderr"),
        count.cast(pl.Int64).alias("tasks"),
        pl.col("n").sum(),
        metric=pl.lit("score"),
        filter=pl.lit("none"),
        headline=pl.lit(value=True),
        higher_is_better=pl.lit(value=True),
        chance=pl.lit(0.0),
        best=pl.lit(1.0),
        value=pl.col("score").mean(),
        stderr=pl.when(pl.col("score_stderr").is_null().any())
        .then(None)
        .otherwise((pl.col("score_stderr") ** 2).sum().sqrt() / count),
    )


def _with_bands(table: pl.DataFrame, level: float) -> pl.DataFrame:
    z = float(ndtri(0.5 + level / 2.0))
    value, stderr = pl.col("value"), pl.col("stderr")
    # Wilson (1927), with the n that the standard error stands for: a group's mean is no count over its documents.
    wilson = pl.col("metric").is_in(PROPORTIONS) & value.is_between(0.0, 1.0) & (pl.col("level") == "task")
    count = pl.when((stderr > 0) & (value > 0) & (value < 1)).then(value * (1 - value) / stderr**2).otherwise("n")
    centre = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (value * (1 - value) / count + z**2 / (4 * count**2)).sqrt()
    table = table.with_columns(
        pl.col("task").fill_null(""),
        pl.col("domain").fill_null(""),
        value_low=pl.when(wilson).then(centre - half).otherwise(value - z * stderr),
        value_high=pl.when(wilson).then(centre + half).otherwise(value + z * stderr),
    )
    span = pl.col("best") - pl.col("chance")
    ends = ((pl.col("value_low") - pl.col("chance")) / span, (pl.col("value_high") - pl.col("chance")) / span)
    return table.with_columns(score_low=pl.min_horizontal(*ends), score_high=pl.max_horizontal(*ends))


@dataclass(frozen=True, slots=True)
class Panel:
    """Trajectories as arrays, one row each, ordered in time and padded at the end with NaN.

    `names` has the identity of each row and what is the same at all of its checkpoints. `noise` is the standard error
    of each value, made positive (see `panel`). `lowest` and `highest` bound what the metric can be.
    """

    names: pl.DataFrame
    position: Floats
    value: Floats
    noise: Floats
    lowest: Floats
    highest: Floats

    @property
    def present(self) -> Flags:
        return ~np.isnan(self.value)

    @property
    def last(self) -> Floats:
        """The newest position of each trajectory."""
        return np.asarray(np.nanmax(self.position, axis=1), dtype=np.float64)

    @property
    def newest(self) -> Floats:
        """The newest value of each trajectory."""
        at_last = self.position == self.last[:, None]
        return np.asarray(np.where(at_last, self.value, -np.inf).max(axis=1, initial=-np.inf), dtype=np.float64)

    @property
    def sign(self) -> Floats:
        """1 where higher values are better, else -1."""
        return np.where(self.names["higher_is_better"].to_numpy(), 1.0, -1.0)

    def __len__(self) -> int:
        return self.names.height

    def rows(self, index: npt.NDArray[np.intp] | slice) -> Panel:
        """Some of the trajectories."""
        picked = np.arange(len(self))[index]
        return Panel(
            self.names[picked],
            self.position[index],
            self.value[index],
            self.noise[index],
            self.lowest[index],
            self.highest[index],
        )

    def until(self, position: Floats) -> Panel:
        """The same trajectories, without anything after `position` (one a trajectory)."""
        seen = self.position <= position[:, None]
        position, value, noise = (np.where(seen, array, np.nan) for array in (self.position, self.value, self.noise))
        return Panel(self.names, position, value, noise, self.lowest, self.highest)


def panel(table: pl.DataFrame) -> Panel:
    """The headline trajectories of tasks (their raw value) and all means (their score) as arrays.

    A standard error that is unknown or zero is no sign of certainty: it is replaced by a quarter of the trajectory's
    median one at least, and by equal weights where none is known.
    """
    chosen = table.filter(pl.col("headline")).sort(*IDENTITY, "position")
    grouped = chosen.group_by(*IDENTITY, maintain_order=True).agg(
        *(pl.col(name).last() for name in ("run", "branch", "axis", "higher_is_better", "best", "chance")),
        *(pl.col(name).last() for name in ("parameters", "active_parameters", "non_embedding_parameters", "tokens")),
        pl.col("step").last(),
        pl.col("value").min().alias("least"),
        pl.len().alias("points"),
    )
    counts = grouped["points"].to_numpy().astype(np.intp)
    shape = (len(counts), int(counts.max(initial=1)))
    row = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(chosen.height) - np.repeat(np.cumsum(counts) - counts, counts)
    arrays = []
    for name in ("position", "value", "stderr"):
        array = np.full(shape, np.nan)
        array[row, column] = chosen[name].fill_null(np.nan).to_numpy()
        arrays.append(array)
    position, value, noise = arrays
    bounded = grouped["best"].is_not_null().to_numpy()
    mean = (grouped["level"] != "task").to_numpy()
    best = grouped["best"].fill_null(np.nan).to_numpy()
    not_negative = (grouped["least"] >= 0).to_numpy()
    top = np.where(bounded, np.maximum(best, 1.0), np.inf)
    bottom = np.where(bounded & mean, -1.0, np.where(not_negative, 0.0, np.where(bounded, -1.0, -np.inf)))
    return Panel(grouped.drop("least"), position, value, _positive(noise, ~np.isnan(value)), bottom, top)


def over_domains(panel: Panel, values: Floats) -> Floats:
    """The same values, (K,) or (K, B), but those of each run's mean score are the means of its domains' values.

    A mean of curves of one form is no curve of that form: what is to come is told better from the parts (on Pythia by a
    fifth), and agrees with them. Where a domain has no value yet, or ends elsewhere, the mean keeps its own.
    """
    level, series = panel.names["level"].to_numpy(), panel.names["series"].to_numpy()
    result, last = values.copy(), panel.last
    for i in np.flatnonzero(level == "overall"):
        parts = np.flatnonzero((level == "domain") & (series == series[i]))
        mean = values[parts].mean(axis=0)
        if parts.size and np.isfinite(mean).all() and (last[parts] == last[i]).all():
            result[i] = mean
    return result


def _positive(noise: Floats, present: Flags) -> Floats:
    known = np.where(noise > 0, noise, np.nan)
    middle = np.array([np.nanmedian(row) if np.isfinite(row).any() else 1.0 for row in known])
    floor = 0.25 * middle[:, None]
    return np.where(present, np.where(np.isnan(known), middle[:, None], np.maximum(known, floor)), np.nan)
