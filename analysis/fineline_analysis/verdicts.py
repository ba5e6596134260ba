"""What state the optimization is in, a run: one word, the three facts that decided it, and what to do next.

Judged on `overall`, the mean of the domains' chance-corrected scores. The states, in the order they are tried:

    too early to tell   fewer than four checkpoints, or nothing has left chance yet, or the intervals say nothing
    unstable            checkpoints jump by far more than documents explain, and fall by more than two points
    regressing          it is falling now, and is more than the smallest gain below its best
    plateaued           the next doubling pays with a probability of at most 10%
    slowing             it pays with a probability under 50%, or with less than half of the last doubling's gain
    improving           the rest

A plateau while the learning rate is high is no plateau of the model: the schedule is not among the metrics, so no
verdict here ever says that a run should be stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from fineline_analysis import isotonic
from fineline_analysis.evidence import Evidence, gather
from fineline_analysis.settings import Settings
from fineline_analysis.words import listed, points, position, range_of, share

IMPROVING = "improving"
SLOWING = "slowing"
PLATEAUED = "plateaued"
REGRESSING = "regressing"
UNSTABLE = "unstable"
TOO_EARLY = "too early to tell"
CANNOT_SAY = "cannot say"

STATES = (IMPROVING, SLOWING, PLATEAUED, REGRESSING, UNSTABLE, TOO_EARLY, CANNOT_SAY)

_FEWEST = 4
_UNLIKELY = 0.1
_JUMP = 0.02
_JUMP_OVER_NOISE = 3.0
_WIDEST = 0.20
_Z90 = 1.645

Facts = tuple[str, str, str]
_Judgement = tuple[str, Facts, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one series. `probability` is that of the next doubling gaining more than the smallest gain."""

    series: str
    run: str
    branch: str
    state: str
    probability: float | None
    facts: Facts
    next_step: str
    axis: str
    position: float | None
    checkpoints: int
    score: float | None


def verdicts(
    trajectories: pl.DataFrame, returns: pl.DataFrame, all_series: pl.DataFrame, settings: Settings
) -> tuple[Verdict, ...]:
    """One verdict a series, in the series' order. `all_series` has the columns series, run, branch and axis."""
    overall = trajectories.filter(pl.col("level") == "overall").sort("series", "position")
    by_series = overall.partition_by("series", as_dict=True)
    gains = returns.partition_by("series", as_dict=True)
    found = []
    for series, run, branch, axis in all_series.select("series", "run", "branch", "axis").sort("series").iter_rows():
        rows = by_series.get((series,))
        if rows is None:
            found.append(_no_score(series, run, branch, axis))
            continue
        evidence = gather(axis, rows, gains.get((series,), returns.clear()))
        state, facts, next_step = judge(evidence, settings)
        probability, score = evidence.returns["probability"], float(evidence.score[-1])
        found.append(
            Verdict(series, run, branch, state, probability, facts, next_step, axis, evidence.last, rows.height, score)
        )
    return tuple(found)


def table(found: tuple[Verdict, ...]) -> pl.DataFrame:
    """The verdicts as a table."""
    text = ("series", "run", "branch", "state", "fact_1", "fact_2", "fact_3", "next_step", "axis")
    rows = [
        {
            **{name: getattr(item, name) for name in ("series", "run", "branch", "state", "probability")},
            **{f"fact_{i + 1}": fact for i, fact in enumerate(item.facts)},
            **{name: getattr(item, name) for name in ("next_step", "axis", "position", "checkpoints", "score")},
        }
        for item in found
    ]
    numbers = {"probability": pl.Float64, "position": pl.Float64, "score": pl.Float64, "checkpoints": pl.Int64}
    return pl.DataFrame(rows, schema={**dict.fromkeys(text, pl.String), **numbers})


def from_table(frame: pl.DataFrame) -> tuple[Verdict, ...]:
    """The verdicts that `table` wrote."""
    names = [field.name for field in fields(Verdict) if field.name != "facts"]
    return tuple(
        Verdict(facts=(row["fact_1"], row["fact_2"], row["fact_3"]), **{name: row[name] for name in names})
        for row in frame.to_dicts()
    )


def judge(evidence: Evidence, settings: Settings) -> tuple[str, Facts, str]:
    """The state, its three facts and the next step: the rules of this module's first lines, in that order."""
    early = _too_early(evidence)
    if early is not None:
        return early
    # A steep bend looks like jitter too, but only what falls again is unstable.
    falls = float(np.diff(evidence.score).min()) < -_JUMP
    if falls and evidence.jitter > max(_JUMP, _JUMP_OVER_NOISE * evidence.typical_noise):
        return _unstable(evidence)
    peak = int(evidence.score.argmax())
    # One checkpoint is noise: how far it has fallen is told from the newest three, once the best is behind them.
    newest = evidence.score[-3:] if peak < evidence.score.size - 3 else evidence.score[-1:]
    drop = float(evidence.score[peak] - newest.mean())
    slope, half = evidence.recent
    if slope < -half and drop > max(settings.smallest_gain, 2 * evidence.typical_noise, 2 * evidence.jitter):
        return _regressing(evidence, peak, drop)
    return _by_returns(evidence, settings)


def _by_returns(evidence: Evidence, settings: Settings) -> _Judgement:
    returns = evidence.returns
    low, high, probability = returns["next_gain_low"], returns["next_gain_high"], returns["probability"]
    if probability is None or low is None or high is None or high - low > _WIDEST:
        again = position(2 * evidence.last, evidence.axis)
        step = f"Evaluate more of the checkpoints that are there already, and judge again at {again}."
        return TOO_EARLY, (_trend(evidence), _outlook(evidence), _standing(evidence)), step
    facts = (_trend(evidence), _outlook(evidence), _by_domain(evidence, settings))
    doubled = position(2 * evidence.last, evidence.axis)
    next_gain, last_gain = returns["next_gain"] or 0.0, returns["last_gain"] or 0.0
    full = _at_the_top(evidence, settings)
    if probability <= _UNLIKELY and (returns["room"] or 0.0) < settings.smallest_gain:
        step = "Add harder tasks: these are at their top, so this plateau is the suite's, whatever the model's is."
        return PLATEAUED, facts, step
    if probability <= _UNLIKELY:
        step = (
            "Anneal a branch from the newest checkpoint and evaluate it before deciding: the learning-rate schedule is "
            "not known here, and a plateau at a high rate is not the model's. More of the same is unlikely to pay by "
            f"{doubled}."
        )
        return PLATEAUED, facts, step
    if probability < 0.5 or next_gain < 0.5 * last_gain:
        harder = f"Add harder tasks of {listed(full)}, which have no room left to show a gain. " if full else ""
        step = (
            f"{harder}Go on if {points(next_gain)} points are worth a doubling; otherwise compare an annealed branch, "
            f"or other data, from here. Judge again at {position(1.4 * evidence.last, evidence.axis)}."
        )
        return SLOWING, facts, step
    return IMPROVING, facts, f"Go on. Judge again at {doubled}, or after a change of data or learning rate."


def _too_early(evidence: Evidence) -> _Judgement | None:
    count, band = evidence.score.size, 100 * _Z90 * evidence.typical_noise
    here = position(evidence.last, evidence.axis)
    if count < _FEWEST:
        missing = _FEWEST - count
        facts = (
            f"{count} checkpoint{'s have' if count > 1 else ' has'} a score in every domain; a trend takes {_FEWEST}.",
            f"The newest, at {here}, scores {100 * float(evidence.score[-1]):.1f} of 100 above chance (± {band:.1f}).",
            "No law can be fitted yet, so nothing is said of the next doubling.",
        )
        return (
            TOO_EARLY,
            facts,
            f"Evaluate {missing} more checkpoint{'s' if missing > 1 else ''}, best at doubling tokens.",
        )
    low, high = isotonic.ends(evidence.score, evidence.noise)
    if float(high) >= max(0.02, 2 * evidence.typical_noise) or float(high - low) >= 0.02:
        return None
    facts = (
        f"Nothing has left chance: the best mean score is {100 * float(evidence.score.max()):.1f} of 100 above it.",
        f"Documents alone move that score by ± {band:.1f} points (90%).",
        f"{count} checkpoints up to {here} were looked at.",
    )
    later = position(4 * evidence.last, evidence.axis)
    step = f"Add tasks that move earlier (cloze forms, bits per byte, easier domains), or come back at {later}."
    return TOO_EARLY, facts, step


def _unstable(evidence: Evidence) -> _Judgement:
    steps = np.diff(evidence.score)
    worst = int(steps.argmin())
    before, after = (position(float(evidence.position[i]), evidence.axis) for i in (worst, worst + 1))
    facts = (
        f"Between checkpoints the mean score jumps by {100 * evidence.jitter:.1f} points (robust standard deviation).",
        f"Documents explain {100 * evidence.typical_noise:.1f} points of that.",
        f"The largest fall, {points(float(steps[worst]))}, came between {before} and {after}.",
    )
    step = (
        "Look at loss and gradient norm where it fell, check that those checkpoints are whole, and evaluate more of "
        "them before trusting any trend."
    )
    return UNSTABLE, facts, step


def _regressing(evidence: Evidence, peak: int, drop: float) -> _Judgement:
    best_at = position(float(evidence.position[peak]), evidence.axis)
    jitter, documents = 100 * evidence.jitter, 100 * evidence.typical_noise
    facts = (
        f"It is {100 * drop:.1f} points below its best, {100 * float(evidence.score[peak]):.1f} at {best_at}.",
        _trend(evidence),
        f"The fall is beyond the jitter between checkpoints ({jitter:.1f}) and that of documents ({documents:.1f}).",
    )
    step = (
        f"Compare what changed after {best_at} (data mixture, learning rate, batch size), and keep that checkpoint to "
        "restart from."
    )
    return REGRESSING, facts, step


def _trend(evidence: Evidence) -> str:
    slope, half = evidence.recent
    if not np.isfinite(half):
        return "Too few checkpoints lie in its newest doubling to tell a trend there."
    return f"Over its newest doubling the mean score moved by {points(slope)} points (± {100 * half:.1f}, 90%)."


def _outlook(evidence: Evidence) -> str:
    values = evidence.returns
    if values["next_gain"] is None:
        return "No law can be fitted to it yet, so nothing is said of the next doubling."
    return (
        f"The next doubling, to {position(2 * evidence.last, evidence.axis)}, is expected to bring "
        f"{points(values['next_gain'])} points ({range_of(values['next_gain_low'], values['next_gain_high'])}, 90%)."
    )


def _standing(evidence: Evidence) -> str:
    count, newest = evidence.score.size, 100 * float(evidence.score[-1])
    text = f"The newest of its {count} checkpoints scores {newest:.1f} of 100 above chance"
    if evidence.returns["next_gain"] is None:
        return f"{text}."
    return f"{text}; with a range that wide it may as well go on as stop."


def _at_the_top(evidence: Evidence, settings: Settings) -> list[str]:
    """The domains whose score has less room than the smallest gain that pays: their tasks can show no more."""
    return sorted(evidence.domains.filter(pl.col("room") < settings.smallest_gain)["domain"].to_list())


def _by_domain(evidence: Evidence, settings: Settings) -> str:
    known = evidence.domains.filter(pl.col("probability").is_not_null())
    if known.height < 2:
        pays = points(settings.smallest_gain).lstrip("+")
        return (
            f"It gains more than {pays} points with a probability of {share(evidence.returns['probability'] or 0.0)}."
        )
    known = known.sort("next_gain", "domain", descending=[True, False])
    first, final = known.row(0, named=True), known.row(-1, named=True)
    full = _at_the_top(evidence, settings)
    if len(full) == known.height:
        return "All its domains are at the top of what their tasks can measure."
    if full:
        verb = "is" if len(full) == 1 else "are"
        return (
            f"Most is to come in {first['domain']} ({points(first['next_gain'])}); {listed(full)} {verb} at the top of "
            "what the tasks can measure."
        )
    still = sorted(known.filter(pl.col("probability") >= 0.5)["domain"].to_list())
    paying = f"{listed(still)} still pay{'s' if len(still) == 1 else ''}" if still else "no domain is likely to pay"
    if still and len(still) == known.height:
        paying = "all domains still pay"
    return (
        f"Most is to come in {first['domain']} ({points(first['next_gain'])}), least in {final['domain']} "
        f"({points(final['next_gain'])}); {paying}."
    )


def _no_score(series: str, run: str, branch: str, axis: str) -> Verdict:
    facts = (
        "No checkpoint has a chance-corrected score in every domain.",
        "Metrics without a best value (perplexity, bits per byte) can't be averaged over tasks.",
        "Their own trajectories and laws are below, task by task.",
    )
    step = "Add a task with an accuracy to the suite, or read each task's own law."
    return Verdict(series, run, branch, CANNOT_SAY, None, facts, step, axis, None, 0, None)
