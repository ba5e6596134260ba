"""Decides about one CheckpointEval: the order of the rules. Pure: the same observed values, the same decision.

Nothing here remembers: each rule reads what is there now, so that a restart anywhere loses nothing. A decision that
needs to see more says so (`look`), and is asked again with it; each thing is asked for once at most.
"""

from __future__ import annotations

from dataclasses import replace

from fineline.resources.reasons import Reason
from fineline_operator.evaluations.decision import Decision, DeleteJob, Look, MakePlan
from fineline_operator.evaluations.ending import judge, nothing_to_do, open_again, stay_ended
from fineline_operator.evaluations.observed import NotLooked, Observed
from fineline_operator.evaluations.problems import before_the_plan, without_a_plan
from fineline_operator.evaluations.running import run
from fineline_operator.evaluations.starting import start, wait_for_older_jobs
from fineline_operator.evaluations.work import Work
from fineline_operator.telling.problems import Problem

UNREADABLE = Problem(Reason.SPEC_INVALID, "spec: can't be read: compare it with `kubectl explain ckeval.spec`")


def decide(observed: Observed) -> Decision:
    """What to look at next, or what to do, tell and wait for."""
    for rule in (_ended, _can_be_meant, _planned):
        decision = rule(observed)
        if decision is not None:
            return decision
    if observed.evaluation.spec is None or observed.plan is None or isinstance(observed.plan, NotLooked):
        raise AssertionError("the rules above let nothing through without a spec and a plan")
    return _with_a_plan(Work(observed, observed.evaluation.spec, observed.plan))


def _ended(observed: Observed) -> Decision | None:
    """The first of all rules: what has ended, or is deleted, starts nothing."""
    evaluation = observed.evaluation
    if evaluation.deleting:
        # Owner references take the Job, its pods and the plan; results stay.
        return Decision()
    if evaluation.opened_again:
        return open_again(observed)
    return stay_ended(observed) if evaluation.status.finished else None


def _can_be_meant(observed: Observed) -> Decision | None:
    evaluation = observed.evaluation
    if evaluation.spec is None:
        return before_the_plan(observed, evaluation.problem or UNREADABLE)
    if observed.not_allowed is not None:
        return before_the_plan(observed, observed.not_allowed)
    return None


def _planned(observed: Observed) -> Decision | None:
    if isinstance(observed.plan, NotLooked):
        return Decision(look=Look.PLAN)
    if observed.plan is not None:
        return None
    if observed.plan_problem is not None:
        return without_a_plan(observed, observed.plan_problem)
    return Decision(actions=(MakePlan(observed.evaluation.attempt),))


def _with_a_plan(work: Work) -> Decision:
    observed = work.observed
    if isinstance(observed.job, NotLooked):
        return Decision(look=Look.JOB)
    older = tuple(DeleteJob(job.name, job.uid) for job in observed.other_jobs if not job.deleting)
    if work.plan.todo == 0:
        return replace(nothing_to_do(work), actions=older)
    if observed.other_jobs:
        return replace(wait_for_older_jobs(work), actions=older)
    if observed.job is None:
        return start(work)
    return judge(work, observed.job) if observed.job.finished else run(work, observed.job)
