"""The five conditions, as whole sets: no set can say that it goes on and that it is stuck, or leave one out.

kstatus (Helm's --wait, Flux, Argo CD) reads them: Reconciling=True is in progress, Stalled=True is failed, neither is
done.
"""

from __future__ import annotations

from fineline.resources.reasons import Reason
from fineline.resources.status import CheckpointEvalStatus
from fineline_operator.telling.conditions import NOBODY, ConditionWanted, condition

Conditions = tuple[ConditionWanted, ...]


def going_on(planned: ConditionWanted, admitted: ConditionWanted, reason: str, message: str) -> Conditions:
    """On its way, or waiting for what comes by itself."""
    return (
        planned,
        admitted,
        condition("Succeeded", "Unknown", reason, message),
        condition("Reconciling", "True", reason, message),
        condition("Stalled", "False", reason, NOBODY),
    )


def stuck(planned: ConditionWanted, admitted: ConditionWanted, reason: str, message: str) -> Conditions:
    """A person must act before it can go on."""
    return (
        planned,
        admitted,
        condition("Succeeded", "Unknown", reason, message),
        condition("Reconciling", "False", reason, "A person must act first."),
        condition("Stalled", "True", reason, message),
    )


def succeeded(planned: ConditionWanted, admitted: ConditionWanted, reason: str, message: str) -> Conditions:
    """The end: every unit has a result."""
    return (
        planned,
        admitted,
        condition("Succeeded", "True", reason, message),
        condition("Reconciling", "False", reason, "It has ended."),
        condition("Stalled", "False", reason, NOBODY),
    )


def failed(planned: ConditionWanted, admitted: ConditionWanted, reason: str, message: str) -> Conditions:
    """The end: units without a result are left, and a person must act before a retry can help."""
    return (
        planned,
        admitted,
        condition("Succeeded", "False", reason, message),
        condition("Reconciling", "False", reason, "It has ended."),
        condition("Stalled", "True", reason, message),
    )


def as_it_stands(status: CheckpointEvalStatus, kind: str) -> ConditionWanted | None:
    """What the status says of it now, to be said again; None where it says nothing."""
    there = status.condition(kind)
    return condition(kind, there.status, there.reason, there.message) if there is not None else None


def planned_as_it_stands(status: CheckpointEvalStatus) -> ConditionWanted:
    """For where the plan is not looked at."""
    return as_it_stands(status, "Planned") or condition(
        "Planned", "Unknown", Reason.PLANNING, "It is planned once what it needs is there."
    )


def admitted_as_it_stands(status: CheckpointEvalStatus) -> ConditionWanted:
    """For where nothing new is known of it, most often because there is no plan yet."""
    return as_it_stands(status, "Admitted") or condition(
        "Admitted", "Unknown", Reason.PLANNING, "There is nothing to admit before there is a plan."
    )
