"""What a problem means: a person must act, or it may pass. Neither ends an evaluation: nothing is known for good."""

from __future__ import annotations

from collections.abc import Sequence

from fineline_operator.evaluations import wording
from fineline_operator.evaluations.conditions import (
    Conditions,
    admitted_as_it_stands,
    as_it_stands,
    going_on,
    planned_as_it_stands,
    stuck,
)
from fineline_operator.evaluations.decision import Action, Decision, StatusWanted
from fineline_operator.evaluations.observed import JobSeen, Observed
from fineline_operator.evaluations.work import Work
from fineline_operator.telling.conditions import ConditionWanted, condition
from fineline_operator.telling.events import EventWanted, warning
from fineline_operator.telling.problems import STUCK_SECONDS, Problem


def before_the_plan(observed: Observed, problem: Problem) -> Decision:
    """The spec, the stores it names or the planning. A plan that is there stays, and so does its Job."""
    status = observed.evaluation.status
    message = wording.of_problem(problem)
    planned = planned_as_it_stands(status)
    if status.plan is None or planned.status != "True":
        planned = condition("Planned", "False" if problem.lasting else "Unknown", problem.reason, message)
    return _told(observed, problem, planned, admitted_as_it_stands(status))


def without_a_plan(observed: Observed, problem: Problem) -> Decision:
    """Planning failed, and there is none: not any more, if the status still says so."""
    planned = condition(
        "Planned", "False" if problem.lasting else "Unknown", problem.reason, wording.of_problem(problem)
    )
    return _told(observed, problem, planned, admitted_as_it_stands(observed.evaluation.status))


def with_a_plan(
    work: Work,
    problem: Problem,
    admitted: ConditionWanted,
    *,
    job: JobSeen | None = None,
    actions: Sequence[Action] = (),
    events: Sequence[EventWanted] = (),
) -> Decision:
    """The Job, its queue or the listing of the results."""
    conditions = _conditions(problem, work.planned, admitted)
    return _decision(
        work.observed,
        problem,
        work.status_with(conditions, job=job),
        actions=tuple(actions),
        events=(*work.planned_events, *events),
    )


def _told(observed: Observed, problem: Problem, planned: ConditionWanted, admitted: ConditionWanted) -> Decision:
    conditions = _conditions(problem, planned, admitted)
    status = StatusWanted(conditions=conditions, retry=observed.evaluation.attempt or None)
    return _decision(observed, problem, status)


def _conditions(problem: Problem, planned: ConditionWanted, admitted: ConditionWanted) -> Conditions:
    build = stuck if problem.lasting else going_on
    return build(planned, admitted, problem.reason, wording.of_problem(problem))


def _decision(
    observed: Observed,
    problem: Problem,
    status: StatusWanted,
    *,
    actions: tuple[Action, ...] = (),
    events: tuple[EventWanted, ...] = (),
) -> Decision:
    if not problem.lasting:
        return Decision(actions=actions, status=status, events=events, backoff=True)
    told = as_it_stands(observed.evaluation.status, "Stalled")
    wanted = next(item for item in status.conditions if item.type == "Stalled")
    if told is None or (told.status, told.reason) != (wanted.status, wanted.reason):
        events = (*events, warning(problem.reason, wording.of_problem(problem)))
    return Decision(actions=actions, status=status, events=events, again_after=STUCK_SECONDS)
