"""There is a plan with something to do, and no Job: make one, unless something holds it."""

from __future__ import annotations

from fineline.resources.reasons import Reason
from fineline_operator.evaluations import wording
from fineline_operator.evaluations.admission import held_before_the_job
from fineline_operator.evaluations.conditions import admitted_as_it_stands, going_on
from fineline_operator.evaluations.decision import CreateJob, Decision, Look
from fineline_operator.evaluations.ending import judge_without_a_job
from fineline_operator.evaluations.observed import NotLooked
from fineline_operator.evaluations.problems import with_a_plan
from fineline_operator.evaluations.work import Work
from fineline_operator.telling.conditions import condition
from fineline_operator.telling.problems import Problem


def start(work: Work) -> Decision:
    """Make the Job. Where there was one before, only if the results say that something is left to do."""
    held = held_before_the_job(work)
    if held is not None:
        conditions = going_on(work.planned, held, held.reason, held.message)
        return Decision(status=work.status_with(conditions), events=work.planned_events)
    if work.had_job:
        commits = work.observed.commits
        if isinstance(commits, NotLooked):
            return Decision(look=Look.COMMITS)
        if isinstance(commits, Problem):
            return with_a_plan(work, commits, admitted_as_it_stands(work.status))
        if work.all_ended(commits):
            return judge_without_a_job(work, commits)
    problem = work.observed.job_problem
    if problem is not None:
        admitted = condition("Admitted", "False", problem.reason, wording.of_problem(problem))
        return with_a_plan(work, problem, admitted)
    return Decision(actions=(CreateJob(suspended=work.spec.queue_name is not None),))


def wait_for_older_jobs(work: Work) -> Decision:
    """Jobs of an older plan go first: two at once would do the same units twice."""
    names = ", ".join(sorted(job.name for job in work.observed.other_jobs))
    message = f"A Job of an older plan is deleted first ({names}); what is published stays."
    conditions = going_on(work.planned, admitted_as_it_stands(work.status), Reason.PROGRESSING, message)
    return Decision(status=work.status_with(conditions), events=work.planned_events)
