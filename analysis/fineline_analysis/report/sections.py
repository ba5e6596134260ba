"""What stands in each section of the report: its sentence, its table and how it was computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from fineline_analysis import forecasts
from fineline_analysis.analyse import Analysis
from fineline_analysis.report.cells import (
    Cell,
    Column,
    Table,
    count,
    gain_cell,
    interval_cell,
    number,
    points_of,
    score_cell,
    time_cell,
    value_cell,
)
from fineline_analysis.report.methods import method
from fineline_analysis.words import UNKNOWN, amount, listed, points, position, share


@dataclass(frozen=True, slots=True)
class Section:
    """One question: `plots` are the names of its plots, or of their first part (`tasks` for `tasks-0`, …)."""

    name: str
    short: str
    title: str
    sentence: str
    plots: tuple[str, ...]
    table: Table | None
    downloads: tuple[str, ...]
    method: tuple[str, ...]
    notices: tuple[str, ...] = field(default=())


def sections(analysis: Analysis, order: Sequence[str]) -> list[Section]:
    """The sections in the order that a person reads them; `order` is that of the series."""
    builders: list[Callable[[Analysis, Sequence[str]], Section | None]] = [
        _trajectories,
        _tasks,
        _order,
        _laws,
        _returns,
        _forecasts,
        _verdicts,
        _sanity,
        _inputs,
    ]
    built = (build(analysis, order) for build in builders)
    return [section for section in built if section is not None]


def _trajectories(analysis: Analysis, order: Sequence[str]) -> Section:
    domains = analysis.tables["trajectories"].filter(pl.col("level") != "task")
    newest = domains.group_by("series", "level", "domain", maintain_order=True).agg(
        pl.col("score", "score_low", "score_high").sort_by("position").last()
    )
    names = newest.filter(pl.col("level") == "domain")["domain"].unique().sort().to_list()
    values = {(row[0], row[2]): row[3:] for row in newest.iter_rows()}
    rows = []
    for series in order:
        cells = [score_cell(values.get((series, domain))) for domain in (*names, "")]
        rows.append([Cell(series), *cells])
    table = Table([Column("run", text=True), *(Column(name) for name in names), Column("mean")], rows)
    best = newest.filter(pl.col("level") == "domain").sort("score", "series", "domain", descending=[True, False, False])
    if best.height:
        top, low = best.row(0, named=True), best.row(-1, named=True)
        of_top, of_low = ("", "") if len(order) == 1 else (f" in {top['series']}", f" in {low['series']}")
        sentence = f"Furthest from chance is {top['domain']}{of_top}, at {100 * top['score']:.0f} of 100"
        other = f"; closest to it is {low['domain']}{of_low}, at {100 * low['score']:.0f}"
        sentence += "." if best.height == 1 else f"{other}."
    else:
        sentence = "Cannot say: no task has a metric that can be corrected for chance. Each task's own metric is below."
    return Section(
        "domains",
        "Abilities",
        "How does each ability develop?",
        sentence,
        ("domains",),
        table if rows and names else None,
        ("domains",),
        method("domains", analysis),
    )


def _tasks(analysis: Analysis, order: Sequence[str]) -> Section:
    rows = analysis.tables["trajectories"].filter((pl.col("level") == "task") & pl.col("headline"))
    newest = rows.group_by("domain", "task", "metric", "series").agg(
        pl.col("value", "value_low", "value_high", "chance").sort_by("position").last()
    )
    values = {(row[1], row[3]): row[4:] for row in newest.iter_rows()}
    kinds = (
        newest.select("domain", "task", "metric", "chance")
        .sort("domain", "task")
        .unique(["domain", "task", "metric"], maintain_order=True)
    )
    shown = list(order)[:12]
    body = []
    for domain, task, metric, chance in kinds.iter_rows():
        cells = [value_cell(values.get((task, series))) for series in shown]
        body.append([Cell(task), Cell(domain, kind="text"), Cell(metric, kind="text"), Cell(number(chance)), *cells])
    columns = [
        Column("task", text=True),
        Column("domain", text=True),
        Column("metric", text=True),
        Column("chance"),
        *(Column(series) for series in shown),
    ]
    tasks = newest["task"].n_unique()
    above = newest.filter((pl.col("value_low") > pl.col("chance")) & pl.col("chance").is_not_null())
    sentence = (
        f"{count(tasks, 'task')}; at the newest checkpoint, {above['task'].n_unique()} of them are above chance in "
        "at least one run by more than their documents' noise."
    )
    if len(order) > len(shown):
        sentence += f" The table shows the first {len(shown)} runs by size; the download has all."
    return Section(
        "tasks",
        "Tasks",
        "Task by task",
        sentence,
        ("tasks",),
        Table(columns, body),
        ("tasks",),
        method("tasks", analysis),
    )


def _order(analysis: Analysis, order: Sequence[str]) -> Section:
    ranks, times = analysis.tables["order"], analysis.tables["curriculum"]
    known = ranks.filter(pl.col("status") == "known")
    found = {(row["series"], row["domain"], row["milestone"]): row for row in times.iter_rows(named=True)}
    body = []
    for series in order:
        for row in ranks.filter(pl.col("series") == series).iter_rows(named=True):
            cells = [time_cell(found[series, row["domain"], name]) for name in ("onset", "half", "ninety")]
            sure = share(row["before_next"]) if row["before_next"] is not None else UNKNOWN
            rank = str(row["rank"]) if row["rank"] is not None else UNKNOWN
            body.append([Cell(series), Cell(row["domain"], kind="text"), Cell(rank), *cells, Cell(sure)])
    titles = ("10% of the gain", "half", "90%", "before the next")
    columns = [
        Column("run", text=True),
        Column("domain", text=True),
        Column("rank"),
        *(Column(name) for name in titles),
    ]
    return Section(
        "order",
        "Order",
        "In which order do abilities arrive?",
        _order_sentence(known, order),
        ("order",),
        Table(columns, body) if body else None,
        ("times", "order"),
        method("order", analysis),
    )


def _order_sentence(known: pl.DataFrame, order: Sequence[str]) -> str:
    """Of the largest run in which most can be told apart."""
    best, pairs = None, 0
    for series in order:
        rows = known.filter(pl.col("series") == series).sort("rank")
        clear = sum(len(names) for names in rows["clearly_before"])
        if rows.height > 1 and clear >= pairs:
            best, pairs = rows, clear
    if best is None:
        return (
            "Cannot say: an order takes at least two domains that have gained something beyond noise, "
            "over three or more checkpoints."
        )
    run, names = best["series"][0], best["domain"].to_list()
    if not pairs:
        return f"In {run}, {listed(names)} come half-way too close together for these checkpoints to tell their order."
    said = [
        f"{row['domain']} before {listed(row['clearly_before'])}"
        for row in best.iter_rows(named=True)
        if row["clearly_before"]
    ]
    every = pairs == best.height * (best.height - 1) // 2
    rest = "." if every else "; between the others these checkpoints can't tell."
    return f"In {run}, half of the gain is clearly reached in {', and in '.join(said)}{rest}"


def _laws(analysis: Analysis, order: Sequence[str]) -> Section:
    laws = analysis.tables["laws"].filter(pl.col("level") == "domain")
    body = []
    for series in order:
        for row in laws.filter(pl.col("series") == series).iter_rows(named=True):
            cells = [interval_cell(row, name, scale) for name, scale in (("E", 100), ("A", 100), ("beta", 1))]
            residual = points_of(row["residual"])
            state = {"fitted": "fits", "flat": "flat: no change to fit"}.get(row["status"], "too few checkpoints")
            ends = (Cell(f"{row['points']:.0f}"), Cell(residual), Cell(state, kind="text"))
            body.append([Cell(series), Cell(row["domain"], kind="text"), *cells, *ends])
    numbers = ("E (goes to)", "A (to go)", "β", "checkpoints", "residual")
    columns = [Column("run", text=True), Column("domain", text=True), *(Column(name) for name in numbers)]
    fitted = laws.filter(pl.col("status") == "fitted")
    if laws.filter(pl.col("status") != "too few").height:
        middle = fitted["residual"].median()
        held = f", with a typical residual of {100 * middle:.1f} points" if isinstance(middle, float) else ""
        sentence = (
            f"A power law with an offset describes {fitted.height} of {laws.height} domain trajectories{held}; the "
            "others are flat or too short."
        )
    else:
        sentence = "Cannot say: a law takes four checkpoints after position 0; no domain has them."
    return Section(
        "laws",
        "Laws",
        "Does ability scale as a law?",
        sentence,
        ("laws",),
        Table([*columns, Column("state", text=True)], body) if body else None,
        ("laws", "curves"),
        method("laws", analysis),
    )


def _returns(analysis: Analysis, order: Sequence[str]) -> Section:
    gains = analysis.tables["returns"].filter(pl.col("level") != "task")
    body = []
    for series in order:
        own = gains.filter((pl.col("series") == series) & (pl.col("level") == "domain"))
        body += [
            [
                Cell(series),
                Cell(row["domain"], kind="text"),
                gain_cell(row, "last_gain"),
                gain_cell(row, "next_gain"),
                Cell(position(row["doubled"], row["axis"])),
                Cell(share(row["probability"]) if row["probability"] is not None else UNKNOWN),
            ]
            for row in own.iter_rows(named=True)
        ]
    pays = points(analysis.settings.smallest_gain).lstrip("+")
    titles = ("last doubling", "next doubling", "which ends at", f"P(gain over {pays})")
    columns = [Column("run", text=True), Column("domain", text=True), *(Column(name) for name in titles)]
    known = gains.filter((pl.col("level") == "domain") & pl.col("next_gain").is_not_null())
    if known.height:
        top = known.sort("next_gain", "series", "domain", descending=[True, False, False]).row(0, named=True)
        paying = known.filter(pl.col("probability") >= 0.5).height
        sentence = (
            f"Doubling the tokens once more is likely to bring over {pays} point in {paying} of {known.height} domain "
            f"trajectories; most in {top['domain']} of {top['series']}, {points(top['next_gain'])} points "
            f"({points(top['next_gain_low'])} to {points(top['next_gain_high'])})."
        )
    else:
        sentence = "Cannot say: no domain has a law yet, which takes four checkpoints after position 0."
    return Section(
        "returns",
        "Next doubling",
        "Do more tokens still pay?",
        sentence,
        ("returns",),
        Table(columns, body) if body else None,
        ("returns",),
        method("returns", analysis),
    )


def _forecasts(analysis: Analysis, order: Sequence[str]) -> Section:
    found = analysis.tables["forecasts"].filter(pl.col("level") != "task")
    body = []
    for series in order:
        own = found.filter(pl.col("series") == series).sort("level", "domain")
        for row in own.iter_rows(named=True):
            name = row["domain"] or "mean of all"
            error = points_of(row["replay_error"])
            where = position(row["horizon"], row["axis"]) + (" (passed)" if row["status"] == "passed" else "")
            cells = [Cell(f"{100 * row['value']:.1f}"), interval_cell(row, "forecast", 100)]
            body.append([Cell(series), Cell(name, kind="text"), *cells, Cell(where), Cell(error)])
    titles = ("newest", "forecast", "at", "error in replays")
    columns = [Column("run", text=True), Column("domain", text=True), *(Column(title) for title in titles)]
    usable = found.filter(pl.col("forecast").is_not_null())
    if usable.height:
        row = usable.row(0, named=True)
        replays, covered = int(row["replays"]), row["replays_covered"]
        sentence = f"{count(usable.height, 'trajectory', 'trajectories')} can be forecast from their own past. "
        if covered is not None and replays >= forecasts.FEWEST_REPLAYS:
            sentence += (
                f"In {replays} replays of that past the plain intervals held {share(covered)} of the time, so they are "
                f"{_widening(row['widened_better'], row['widened_worse'])}."
            )
        else:
            sentence += f"With {count(replays, 'replay')} the intervals can't be checked: read them as a lower bound."
    else:
        sentence = "Cannot say: a forecast takes a law, which takes four checkpoints after position 0."
    return Section(
        "forecasts",
        "Forecasts",
        "Where will it be?",
        sentence,
        ("forecasts",),
        Table(columns, body) if body else None,
        ("forecasts",),
        method("forecasts", analysis),
    )


def _widening(better: float, worse: float) -> str:
    """What is done to each side of an interval: one that its replays ask nothing of is left as it is."""
    sides = [(f"{factor:.1f}", side) for factor, side in ((better, "better"), (worse, "worse"))]
    widened = [f"{factor} times towards {side} values" for factor, side in sides if factor != "1.0"]
    if not widened:
        return "left as they are"
    left = [f"left as they are towards {side} ones" for factor, side in sides if factor == "1.0"]
    return f"widened {listed([*widened, *left])}"


def _verdicts(analysis: Analysis, order: Sequence[str]) -> Section:
    by_series = {verdict.series: verdict for verdict in analysis.verdicts}
    body = []
    for series in order:
        verdict = by_series[series]
        sure = share(verdict.probability) if verdict.probability is not None else UNKNOWN
        score = f"{100 * verdict.score:.1f}" if verdict.score is not None else UNKNOWN
        cells = [
            Cell(verdict.state, kind="text"),
            Cell(score),
            Cell(sure),
            Cell(" ".join(verdict.facts), kind="text wide"),
        ]
        body.append([Cell(series), *cells])
    states = [verdict.state for verdict in analysis.verdicts]
    counts = [
        f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states, key=lambda s: (-states.count(s), s)))
    ]
    sentence = f"{count(len(states), 'run')}: {listed(counts)}." if states else "Cannot say: there are no results."
    pays = points(analysis.settings.smallest_gain).lstrip("+")
    columns = [
        Column("run", text=True),
        Column("state", text=True),
        Column("mean score"),
        Column(f"P(gain over {pays})"),
    ]
    return Section(
        "verdicts",
        "Verdicts",
        "What state is the optimization in?",
        sentence,
        ("verdicts",),
        Table([*columns, Column("why", text=True)], body) if body else None,
        ("verdicts",),
        method("verdicts", analysis),
    )


def _sanity(analysis: Analysis, order: Sequence[str]) -> Section | None:
    """Only where something stands out: a row a run and oddity."""
    flags = analysis.tables["flags"]
    if not flags.height:
        return None
    found = flags.group_by("series", "what", maintain_order=True).agg(
        pl.col("step").n_unique().alias("checkpoints"),
        pl.col("step").min().alias("first"),
        pl.col("step").max().alias("last"),
        pl.col("task").filter(pl.col("task") != "").unique().sort(),
        pl.col("value").max(),
        pl.col("limit").first(),
    )
    # A run may have nothing but rows on its sanity: it has no place in the order.
    place = {series: i for i, series in enumerate(order)}
    body = []
    for row in sorted(found.to_dicts(), key=lambda row: place.get(row["series"], len(place))):
        tasks = row["task"]
        names = listed(tasks) if 0 < len(tasks) <= 3 else (f"{len(tasks)} tasks" if tasks else UNKNOWN)
        steps = f"{row['first']:,}" if row["first"] == row["last"] else f"{row['first']:,} to {row['last']:,}"
        ends = (Cell(number(row["value"])), Cell(number(row["limit"])))
        cells = (Cell(row["what"], kind="text"), Cell(names, kind="text"), Cell(str(row["checkpoints"])), Cell(steps))
        body.append([Cell(row["series"]), *cells, *ends])
    checkpoints = flags.select("series", "step").n_unique()
    kinds = flags["what"].unique().sort().to_list()
    text = [Column(title, text=True) for title in ("run", "what", "tasks")]
    return Section(
        "sanity",
        "Sanity",
        "Which checkpoints stand out?",
        f"{count(checkpoints, 'checkpoint')} with {' or '.join(kinds)}: where the training does not explain it, look "
        "at the weights before trusting the scores.",
        (),
        Table([*text, *(Column(title) for title in ("checkpoints", "steps", "at most", "limit"))], body),
        ("flags",),
        method("sanity", analysis),
    )


def _inputs(analysis: Analysis, order: Sequence[str]) -> Section:
    found = {row["series"]: row for row in analysis.tables["runs"].iter_rows(named=True)}
    body = []
    for series in order:
        row = found[series]
        last = amount(row["last_tokens"]) if row["axis"] == "tokens" else UNKNOWN
        numbers = (row["parameters"], row["non_embedding_parameters"])
        cells = [
            *(Cell(amount(value)) for value in numbers),
            Cell(f"{row['checkpoints']:,}"),
            Cell(f"{row['last_step']:,}"),
        ]
        body.append([Cell(series), *cells, Cell(last), Cell(str(row["tasks"])), Cell(f"{row['units']:,}")])
    titles = ("N", "N without embedding", "checkpoints", "newest step", "tokens D", "tasks", "results")
    columns = [Column("run", text=True), *(Column(title) for title in titles)]
    notices = tuple(notice.message for notice in analysis.notices)
    sentence = f"{count(len(order), 'run')}, {count(sum(row['units'] for row in found.values()), 'result')}; " + (
        f"{count(len(notices), 'oddity', 'oddities')} in them, each told here." if notices else "nothing odd in them."
    )
    return Section(
        "inputs",
        "Data",
        "What was looked at, and what was odd",
        sentence,
        (),
        Table(columns, body) if body else None,
        (),
        method("inputs", analysis),
        notices,
    )
