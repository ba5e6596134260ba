"""In which order abilities develop: when each domain has made 10%, half and 90% of its gain so far, and when it reaches
fixed levels.

A time is only known to lie between two checkpoints (interval-censored), before the first (left) or after the newest
(right). Its uncertainty comes from a parametric bootstrap: scores drawn around their isotonic fit with their standard
errors, and the crossings found anew. Shares of the gain compare domains within a run; fixed levels of the
chance-corrected score compare runs, for they do not move when a run goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fineline_analysis import isotonic
from fineline_analysis.settings import Settings
from fineline_analysis.trajectories import Floats

MILESTONES = (("onset", 0.1), ("half", 0.5), ("ninety", 0.9))
"""Shares of a domain's gain, from its lowest to its highest isotonic level so far."""

LEVELS = (("score 0.1", 0.1), ("score 0.25", 0.25), ("score 0.5", 0.5), ("score 0.75", 0.75))
"""Fixed chance-corrected levels."""

CLEAR = 0.9
"""The probability from which one domain is said to come before another."""

FEWEST = 3
"""Checkpoints it takes to speak of an order."""


@dataclass(frozen=True, slots=True)
class _Curve:
    """One domain's scores of one series, in time."""

    series: str
    run: str
    domain: str
    axis: str
    position: Floats
    score: Floats
    noise: Floats


@dataclass(frozen=True, slots=True)
class _Times:
    """A milestone's crossing: between `after` and `by`, the bootstrap interval, and its draws (inf: not reached)."""

    row: dict[str, object]
    drawn: Floats


def tables(trajectories: pl.DataFrame, settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`curriculum`, one row a (series, domain, milestone), and `order`, one row a (series, domain) with its rank by
    half-way time and the probability of coming before the next one."""
    times: list[dict[str, object]] = []
    ranks: list[dict[str, object]] = []
    domains = trajectories.filter(pl.col("level") == "domain").sort("series", "domain", "position")
    for _, of_series in domains.group_by("series", maintain_order=True):
        halves: dict[str, Floats] = {}
        points: dict[str, tuple[float, str]] = {}
        first_row = of_series.row(0, named=True)
        for curve in _curves(of_series):
            for milestone in _milestones(curve, settings):
                times.append(milestone.row)
                if milestone.row["milestone"] == "half":
                    halves[curve.domain] = milestone.drawn
                    points[curve.domain] = (_sortable(milestone.row["estimate"]), str(milestone.row["status"]))
        ranks += _ranks(str(first_row["series"]), str(first_row["run"]), str(first_row["axis"]), halves, points)
    return pl.DataFrame(times, schema=_TIMES), pl.DataFrame(ranks, schema=_RANKS)


_TIMES = {
    "series": pl.String,
    "run": pl.String,
    "domain": pl.String,
    "axis": pl.String,
    "milestone": pl.String,
    "score": pl.Float64,
    "after": pl.Float64,
    "by": pl.Float64,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "censored": pl.String,
    "status": pl.String,
}
_RANKS: dict[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.String,
    "run": pl.String,
    "axis": pl.String,
    "rank": pl.Int64,
    "domain": pl.String,
    "half": pl.Float64,
    "expected_rank": pl.Float64,
    "before_next": pl.Float64,
    "clearly_before": pl.List(pl.String),
    "status": pl.String,
}


def _curves(rows: pl.DataFrame) -> list[_Curve]:
    curves = []
    for _, part in rows.group_by("domain", maintain_order=True):
        first = part.row(0, named=True)
        noise = part["score_stderr"].fill_null(np.nan).to_numpy()
        known = noise[noise > 0]
        noise = np.where(noise > 0, noise, np.median(known) if known.size else 0.01)
        curves.append(
            _Curve(
                first["series"],
                first["run"],
                first["domain"],
                first["axis"],
                part["position"].to_numpy(),
                part["score"].to_numpy(),
                noise,
            )
        )
    return curves


def _milestones(curve: _Curve, settings: Settings) -> list[_Times]:
    fitted = isotonic.fit(curve.score, curve.noise)
    generator = np.random.default_rng([settings.seed, 2])
    drawn = fitted + curve.noise * generator.standard_normal((settings.draws, fitted.size))
    noise = np.broadcast_to(curve.noise, drawn.shape)
    low, high = isotonic.ends(drawn, noise)
    own_low, own_high = isotonic.ends(curve.score, curve.noise)
    gain = float(own_high - own_low)
    # Drawn around a flat line, the isotonic fit gains something too: a gain has to be beyond that.
    flat = curve.noise * generator.standard_normal((settings.draws, fitted.size))
    by_chance = np.subtract(*reversed(isotonic.ends(flat, noise)))
    enough = fitted.size >= FEWEST
    real = enough and gain > float(np.quantile(by_chance, 0.95))
    status = "known" if real else ("no gain" if enough else "too few")
    shares = [
        _crossing(curve, name, float(own_low) + share * gain, drawn, low + share * (high - low), status, settings)
        for name, share in MILESTONES
    ]
    levels = [
        _crossing(curve, name, level, drawn, np.full(settings.draws, level), "known" if enough else "too few", settings)
        for name, level in LEVELS
    ]
    return shares + levels


def _crossing(
    curve: _Curve, name: str, level: float, drawn: Floats, drawn_level: Floats, status: str, settings: Settings
) -> _Times:
    noise = np.broadcast_to(curve.noise, drawn.shape)
    at = int(isotonic.crossing(curve.score, curve.noise, np.asarray(level)))
    index = isotonic.crossing(drawn, noise, drawn_level)
    edges = np.concatenate([[0.0], curve.position, [np.inf]])
    after, by = edges[:-1][index], edges[1:][index]
    # Where in its interval a crossing lies is not known: anywhere, evenly.
    where = np.random.default_rng([settings.seed, 3]).uniform(size=index.size)
    spread = np.where(np.isfinite(by), after + where * (np.where(np.isfinite(by), by, 0.0) - after), np.inf)
    known = status == "known"
    low, high = np.quantile(after, settings.tail), np.quantile(by, 1 - settings.tail, method="higher")
    reached = at < curve.position.size
    row: dict[str, object] = {
        "series": curve.series,
        "run": curve.run,
        "domain": curve.domain,
        "axis": curve.axis,
        "milestone": name,
        "score": level,
        "after": float(edges[at]) if known else None,
        "by": float(edges[at + 1]) if known and reached else None,
        "estimate": _middle(float(edges[at]), float(edges[at + 1])) if known and reached else None,
        "low": float(low) if known else None,
        "high": float(high) if known and np.isfinite(high) else None,
        "censored": "right" if not reached else ("left" if at == 0 else "interval"),
        "status": status,
    }
    return _Times(row, spread if known else np.full(index.size, np.nan))


def _middle(after: float, by: float) -> float:
    return float(np.sqrt(after * by)) if after > 0 else by / 2


def _mean_ranks(times: list[Floats]) -> list[float]:
    """Each one's rank among the others in each draw, ties in the middle of theirs, over all draws."""
    drawn = np.array(times)
    ranks = [(drawn < own).sum(axis=0) + ((drawn == own).sum(axis=0) + 1) / 2 for own in drawn]
    return [float(rank.mean()) for rank in ranks]


def _sortable(estimate: object) -> float:
    return float(estimate) if isinstance(estimate, float) else np.inf


def _ranks(
    series: str, run: str, axis: str, halves: dict[str, Floats], points: dict[str, tuple[float, str]]
) -> list[dict[str, object]]:
    named = sorted(domain for domain in halves if points[domain][1] == "known")
    rank = dict(zip(named, _mean_ranks([halves[domain] for domain in named]), strict=True))
    # Crossings between the same two checkpoints have the same estimate: the draws decide.
    known = sorted(named, key=lambda name: (points[name][0], rank[name], name))
    drawn = np.array([halves[domain] for domain in known])
    rows: list[dict[str, object]] = []
    for i, domain in enumerate(known):
        # Draws between the same two checkpoints tie, and a tie counts for half.
        before = [float(((drawn[i] < other) + 0.5 * (drawn[i] == other)).mean()) for other in drawn]
        rows.append(
            {
                "series": series,
                "run": run,
                "axis": axis,
                "rank": i + 1,
                "domain": domain,
                "half": points[domain][0] if np.isfinite(points[domain][0]) else None,
                "expected_rank": rank[domain],
                "before_next": before[i + 1] if i + 1 < len(known) else None,
                "clearly_before": [other for other, sure in zip(known, before, strict=True) if sure >= CLEAR],
                "status": "known",
            }
        )
    unknown: dict[str, object] = {
        **dict.fromkeys(("rank", "half", "expected_rank", "before_next")),
        "clearly_before": [],
    }
    rows.extend(
        {"series": series, "run": run, "axis": axis, "domain": domain, "status": points[domain][1], **unknown}
        for domain in sorted(set(halves) - set(known))
    )
    return rows
