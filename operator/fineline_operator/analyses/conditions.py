"""The three conditions, as whole sets: the page of reasons says which set is which.

Nothing in their words changes while nothing has changed (no counts, no times but that of the longest wait), so that a
status is written seldom.
"""

from __future__ import annotations

from typing import cast

from fineline.resources.analysis_reasons import ANALYSIS_CONDITIONS, AnalysisReason
from fineline.resources.status import ConditionStatus
from fineline_operator.analyses.observed import AnalysisJob
from fineline_operator.telling.conditions import NOBODY, ConditionWanted, condition
from fineline_operator.telling.problems import LOOKED_AT_AGAIN, TRIED_AGAIN, Problem
from fineline_operator.telling.words import joined, sentence

Conditions = tuple[ConditionWanted, ...]


def told(reason: AnalysisReason, message: str) -> Conditions:
    """The set of this reason."""
    statuses = dict(shown.split("=") for shown in reason.shown)
    stuck = statuses["Stalled"] == "True"
    others = {"Reconciling": "A person must act first." if stuck else message, "Stalled": message if stuck else NOBODY}
    return tuple(
        condition(kind, cast("ConditionStatus", statuses[kind]), reason, others.get(kind, message))
        for kind in ANALYSIS_CONDITIONS
    )


def of_problem(problem: Problem) -> Conditions:
    """Why it does not go on, and what happens next. Reasons of stores that the page does not list count by whether they
    last."""
    message = joined(sentence(problem.message), LOOKED_AT_AGAIN if problem.lasting else TRIED_AGAIN)
    known = next((reason for reason in AnalysisReason if reason == problem.reason), None)
    like = known or (AnalysisReason.STORE_DENIED if problem.lasting else AnalysisReason.STORE_UNAVAILABLE)
    conditions = told(like, message)
    if known is not None:
        return conditions
    return tuple(condition(item.type, item.status, problem.reason, item.message) for item in conditions)


def running(job: AnalysisJob, trouble: str) -> Conditions:
    """A Job runs; `trouble` is what keeps its pod from it."""
    if job.suspended:
        trouble = "It is suspended: a queue holds it, or a person."
    return told(AnalysisReason.RUNNING, joined(f"The Job {job.name} runs.", sentence(trouble)))
