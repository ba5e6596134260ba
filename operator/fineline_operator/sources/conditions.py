"""The three conditions, as whole sets, with their sentences: pure. The page of reasons says which set is which.

Nothing in them changes while nothing has changed (no times), so that a status is written seldom.
"""

from __future__ import annotations

from fineline.resources.source_reasons import SourceReason
from fineline.resources.source_status import SourceCounts
from fineline.resources.status import ConditionStatus
from fineline_operator.telling.conditions import NOBODY, ConditionWanted, condition
from fineline_operator.telling.problems import LOOKED_AT_AGAIN, TRIED_AGAIN, Problem
from fineline_operator.telling.words import counted, sentence

Conditions = tuple[ConditionWanted, ...]
_Told = tuple[ConditionStatus, str, str]
"""Status, reason, message."""


def first_listing() -> Conditions:
    """Before the prefix was listed as the spec says now."""
    message = "The prefix is being listed."
    return _three(
        ("Unknown", SourceReason.LISTING, message),
        ("True", SourceReason.LISTING, message),
        ("False", SourceReason.LISTING, NOBODY),
    )


def of_problem(problem: Problem, *, growing: bool = False) -> Conditions:
    """Why it does not go on, and what happens next. `growing`: a lasting one is tried again with growing pauses too."""
    again = LOOKED_AT_AGAIN if problem.lasting and not growing else TRIED_AGAIN
    message = f"{sentence(problem.message)} {again}"
    if problem.lasting:
        return _three(
            ("False", problem.reason, message),
            ("False", problem.reason, "A person must act first."),
            ("True", problem.reason, message),
        )
    return _three(
        ("False", problem.reason, message), ("True", problem.reason, message), ("False", problem.reason, NOBODY)
    )


def suspended(counts: SourceCounts) -> Conditions:
    """Held by `spec.suspend`."""
    waiting = f" {_checkpoints(counts.waiting)} for it." if counts.waiting else ""
    message = f"spec.suspend is true: no CheckpointEval is made.{waiting}"
    return _three(
        ("False", SourceReason.SUSPENDED, message),
        ("False", SourceReason.SUSPENDED, "It is held on purpose."),
        ("False", SourceReason.SUSPENDED, NOBODY),
    )


def well(counts: SourceCounts, *, evaluating: bool) -> Conditions:
    """It does what it is for."""
    if counts.found == 0:
        return _well(SourceReason.NO_CHECKPOINT, "No checkpoint is in the prefix yet. Those that come are evaluated.")
    if evaluating or counts.waiting:
        return _well(SourceReason.EVALUATING, f"{_checkpoints(counts.waiting)} for results.")
    failed = f" {counts.failed:,} of them failed: see its CheckpointEvals." if counts.failed else ""
    return _well(
        SourceReason.UP_TO_DATE, f"Every selected, complete checkpoint is evaluated or failed for good.{failed}"
    )


def _well(reason: SourceReason, message: str) -> Conditions:
    return _three(("True", reason, message), ("False", reason, "It waits for uploads."), ("False", reason, NOBODY))


def _three(ready: _Told, reconciling: _Told, stalled: _Told) -> Conditions:
    named = zip(("Ready", "Reconciling", "Stalled"), (ready, reconciling, stalled), strict=True)
    return tuple(condition(kind, status, reason, message) for kind, (status, reason, message) in named)


def _checkpoints(number: int) -> str:
    return f"{counted(number, 'checkpoint')} {'waits' if number == 1 else 'wait'}"
