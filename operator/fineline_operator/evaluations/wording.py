"""The sentences of conditions and events: what is so, and what to do about it.

Nothing in them changes while nothing has changed (no times, no counts of pods), so that a status is written seldom.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fineline.resources.reasons import Reason
from fineline.resources.status import Failure
from fineline_operator.evaluations.observed import (
    CommitsSeen,
    EvaluationSeen,
    JobSeen,
    PlanSeen,
    PodTrouble,
    WorkloadSeen,
)
from fineline_operator.telling.problems import LOOKED_AT_AGAIN, TRIED_AGAIN, Problem
from fineline_operator.telling.words import counted, joined, sentence


def planned(plan: PlanSeen) -> str:
    """What the plan holds."""
    rest = [f"{counted(plan.todo, 'unit')} to do in {counted(plan.slices, 'slice')}"] if plan.todo else ["none to do"]
    if plan.reused:
        rest.append(f"{plan.reused:,} with a result already")
    if plan.failed_before:
        rest.append(f"{plan.failed_before:,} failed for good before")
    what = f"{counted(plan.units, 'unit')} of {counted(plan.checkpoints, 'checkpoint')}: {', '.join(rest)}."
    return joined(what, put_aside(plan))


def put_aside(plan: PlanSeen) -> str:
    """What was found and is not evaluated; empty where nothing was."""
    if not plan.put_aside:
        return ""
    what = f"{counted(plan.put_aside, 'checkpoint')} put aside"
    return sentence(f"{what}, such as {plan.put_aside_example}" if plan.put_aside_example else what)


def admitted(job: JobSeen) -> str:
    """Who let the Job run its pods."""
    if job.queue_name:
        return f"Kueue admitted the Job {job.name} through the queue {job.queue_name}."
    return f"The Job {job.name} may run its pods."


def no_workload(job: JobSeen, priority_class: str | None) -> str:
    """Kueue has not taken a Job up."""
    priority = f", that there is a WorkloadPriorityClass {priority_class}" if priority_class else ""
    return (
        f"Kueue has made no Workload for the Job {job.name}: see that its integration batch/job is switched on"
        f"{priority} and that it manages this namespace."
    )


def no_words(job: JobSeen, namespace: str) -> str:
    """Kueue does not say why a Job waits. Since 0.18 it sorts out Jobs of one shape by looking at one of them."""
    return (
        f"The Job {job.name} waits for Kueue to admit it. Kueue does not say why; of several that ask for the same it "
        f"may say so of one alone: kubectl describe workloads -n {namespace}."
    )


def switched_off(workload: WorkloadSeen, namespace: str, *, by_kueue: bool) -> str:
    """A Workload whose spec.active is false, though nobody suspended its evaluation."""
    if by_kueue:
        mended = f"To have Kueue try again, once the cause is mended: {_made_anew(workload, namespace)}"
        return joined(sentence(workload.message), mended)
    return joined(
        f"The Workload {workload.name} was switched off (spec.active is false), by a person or a program.",
        sentence(workload.message),
        f"To switch it on: kubectl patch workload {workload.name} -n {namespace} --type merge "
        '-p \'{"spec":{"active":true}}\'',
    )


def not_taken_up(workload: WorkloadSeen, namespace: str) -> str:
    """A Workload that is switched on again after Kueue itself had switched it off, and still waits.

    Kueue 0.19.0 never admits it (kubernetes-sigs/kueue#14870).
    """
    return joined(
        "The Workload is switched on again, and waits for Kueue, which said:",
        sentence(workload.message),
        f"Should that last: {_made_anew(workload, namespace)}",
    )


def _made_anew(workload: WorkloadSeen, namespace: str) -> str:
    return f"kubectl delete workload {workload.name} -n {namespace}. Kueue makes it anew; what is published stays."


def mend_of_quota(words: str) -> str:
    """What helps where Kueue says that a quota leaves a resource out; empty where it says something else."""
    found = re.search(r"resource (\S+) unavailable in ClusterQueue", words)
    if found is None:
        return ""
    return (
        f"A quota has to name all that pods ask for: add {found[1]} to a resource group of the ClusterQueue "
        "(coveredResources), or to resources.excludeResourcePrefixes in Kueue's configuration."
    )


def of_problem(problem: Problem) -> str:
    """Why it does not go on, and what happens next."""
    said = sentence(problem.message)
    known = known_reason(problem.reason)
    if not said and known is not None:
        said = joined(known.meaning, known.mend)
    return joined(said, LOOKED_AT_AGAIN if problem.lasting else TRIED_AGAIN)


def of_trouble(trouble: PodTrouble) -> str:
    """What keeps a pod from working, with its own words, and the mend where the reason has one."""
    known = known_reason(trouble.reason)
    said = sentence(trouble.message) or sentence(trouble.reason)
    return joined(f"Pod {trouble.pod}: {said}", known.mend if known is not None else "")


def no_pods(job: str, namespace: str) -> str:
    """A Job for which no pod was made."""
    return (
        f"The Job {job} has no pods: a quota, an admission policy or a missing service account may refuse them. "
        f"`kubectl describe job {job} -n {namespace}` says which."
    )


def known_reason(word: str) -> Reason | None:
    """The reason that a word stands for; None for words of Kubernetes that Fineline has no page for."""
    return next((reason for reason in Reason if reason == word), None)


def how_to_retry(evaluation: EvaluationSeen) -> str:
    """The command that opens an ended evaluation again."""
    target = f"{evaluation.name} -n {evaluation.namespace}"
    return f'kubectl annotate ckeval {target} --overwrite fineline.dev/retry="$(date +%s)"'


def all_published(plan: PlanSeen, *, had_job: bool) -> str:
    """The end, well."""
    if plan.todo:
        done = f"All {plan.todo:,} units are published" if plan.todo > 1 else "The one unit is published"
        what = f"{done}; {plan.reused:,} more had a result before." if plan.reused else f"{done}."
    elif had_job:
        what = f"Every unit has a result, {plan.units:,} in all."
    else:
        what = f"Every unit had a result before, {plan.units:,} in all: there was nothing to do."
    return joined(what, put_aside(plan))


def not_all_published(plan: PlanSeen, commits: CommitsSeen | None) -> str:
    """How many have a result, how many failed, and how many have neither."""
    published = min(commits.published, plan.todo) if commits is not None else 0
    failed = min(commits.failed, plan.todo - published) if commits is not None else 0
    missing = plan.todo - published - failed
    parts = [f"{published + plan.reused:,} of {counted(plan.units, 'unit')} have a result"]
    if failed:
        parts.append(f"{failed:,} failed for good")
    if plan.failed_before:
        parts.append(f"{plan.failed_before:,} failed for good in an earlier evaluation")
    if plan.put_aside_for_good:
        parts.append(f"{counted(plan.put_aside_for_good, 'checkpoint')} can't be evaluated")
    if missing:
        parts.append(f"{missing:,} have neither result nor failure record")
    return f"{', '.join(parts)}."


def first_failure(failures: Sequence[Failure]) -> str:
    """The first failure in words; empty where none is known."""
    if not failures:
        return ""
    failure = failures[0]
    return sentence(f"The first: {unit_name(failure.checkpoint, failure.task)}: {failure.reason}: {failure.message}")


def unit_name(checkpoint: str, task: str) -> str:
    """A unit, or the whole checkpoint."""
    return f"{checkpoint}, task {task}" if task else checkpoint
