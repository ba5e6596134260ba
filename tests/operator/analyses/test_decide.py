"""What is decided about a TrajectoryAnalysis, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fineline.resources.analysis_reasons import AnalysisReason
from fineline.resources.analysis_status import LastRun, TrajectoryAnalysisStatus
from fineline.resources.status import Condition
from fineline_operator.analyses.decide import decide
from fineline_operator.analyses.decision import CreateJob, Decision, DeleteJob, Look
from fineline_operator.analyses.observed import Observed
from fineline_operator.analyses.outcome import next_status
from fineline_operator.evaluations.observed import PodsSeen, PodTrouble
from fineline_operator.jobs.analysis_job import Inputs
from fineline_operator.telling.problems import Problem
from support.analysing import (
    RESULTS,
    START,
    after,
    asked,
    job,
    job_name,
    listed,
    manifest,
    observed,
    results,
    seen,
)

KNOWN = results(listed())
DONE = results(listed(latest=manifest()))


def shown(decision: Decision) -> tuple[str, dict[str, str]]:
    """The reason of Ready, and all statuses."""
    assert decision.status is not None, decision
    conditions = {item.type: item for item in decision.status.conditions}
    return conditions["Ready"].reason, {kind: item.status for kind, item in conditions.items()}


def message(decision: Decision) -> str:
    assert decision.status is not None, decision
    return next(item.message for item in decision.status.conditions if item.type == "Ready")


def told(decision: Decision) -> list[str]:
    return [item.event.reason for item in decision.events]


def status_after(case: Observed, decision: Decision) -> TrajectoryAnalysisStatus:
    assert decision.status is not None
    return next_status(case.analysis, decision.status, case.now) or case.analysis.status


def status(reason: str = "", *, ran: str = "", **values: Any) -> TrajectoryAnalysisStatus:
    ready = Condition(
        type="Ready", status="False", reason=reason or "Debouncing", message="as told", last_transition_time=START
    )
    last = LastRun(job_name=ran, start_time=START, commits=3) if ran else None
    return TrajectoryAnalysisStatus(conditions=(ready,), last_run=last, **values)


def test_what_is_deleted_starts_nothing() -> None:
    assert decide(observed(analysis=replace(seen(), deleting=True), results=KNOWN)) == Decision()


def test_nothing_is_decided_before_the_results_are_listed() -> None:
    assert decide(observed()).look is Look.RESULTS


def test_without_results_it_waits_for_some() -> None:
    decision = decide(observed(results=results(listed(commits=0, newest=None, oldest=None)), looked=True))
    assert shown(decision) == ("NoResults", {"Ready": "False", "Reconciling": "False", "Stalled": "False"})
    assert decision.again_after == 300


@pytest.mark.parametrize("values", [{"digest": "c2"}, {"latest": manifest(settings="s0")}], ids=["results", "settings"])
def test_with_the_analysis_of_just_these_results_nothing_runs(values: dict[str, Any]) -> None:
    decision = decide(observed(1e6, results=DONE))
    assert decision.look is Look.RESULTS, "what is an hour old is listed again"
    fresh = decide(observed(5, results=DONE))
    assert shown(fresh) == ("UpToDate", {"Ready": "True", "Reconciling": "False", "Stalled": "False"})
    other = replace(DONE, listed=replace(DONE.listed, **values))
    assert decide(observed(1e6, results=other, looked=True)).create is not None


def test_results_that_came_a_moment_ago_are_waited_with() -> None:
    decision = decide(observed(30, results=KNOWN))
    assert shown(decision) == ("Debouncing", {"Ready": "False", "Reconciling": "True", "Stalled": "False"})
    assert decision.again_after == 30  # the newest is 60 s old when listed, and debounceSeconds 120
    assert "120 s after the last of them, at the latest at 2026-11-21T12:29:00Z" in message(decision)


def test_when_it_is_due_the_results_are_listed_once_more_and_the_job_is_made() -> None:
    assert decide(observed(60, results=KNOWN)).look is Look.RESULTS
    decision = decide(observed(60, results=KNOWN, looked=True))
    assert decision == Decision(create=CreateJob(Inputs(RESULTS, 3, "c1", "s1")))


def test_one_job_at_a_time() -> None:
    decision = decide(observed(1e5, results=results(listed("c2")), jobs=(job("c1"),), looked=True))
    assert decision.create is None
    assert shown(decision) == ("Running", {"Ready": "False", "Reconciling": "True", "Stalled": "False"})
    assert told(decision) == ["JobCreated"]
    assert decision.status is not None
    assert decision.status.job_name == job_name("c1")


def test_a_job_that_is_told_is_not_told_again() -> None:
    running = observed(5, jobs=(job(),))
    later = replace(running, analysis=seen(status_after(running, decide(running))))
    assert told(decide(later)) == []
    assert next_status(later.analysis, decide(later).status, after(500)) is None  # type: ignore[arg-type]


def test_while_a_job_runs_nothing_is_listed() -> None:
    assert decide(observed(1e5, jobs=(job(),))).look is None


def test_a_pod_that_can_not_start_is_told_after_a_while() -> None:
    waiting = job(ready=0)
    assert decide(observed(10, jobs=(waiting,))).again_after == 20
    assert decide(observed(40, jobs=(waiting,))).look is Look.PODS
    trouble = PodTrouble("sevens-x", "ImagePullBackOff", "container analysis: not found", START)
    decision = decide(observed(40, jobs=(waiting,), pods=PodsSeen((trouble,), 0)))
    assert shown(decision)[0] == "Running"
    assert "Pod sevens-x: container analysis: not found." in message(decision)
    refused = decide(observed(40, jobs=(waiting,), pods=PodsSeen((), 0)))
    assert "a quota, an admission policy or a missing service account" in message(refused)
    starts = decide(observed(40, jobs=(waiting,), pods=PodsSeen((), 0, made=True)))
    assert message(starts) == f"The Job {waiting.name} runs."


def test_the_newest_analysis_comes_into_the_status() -> None:
    latest = manifest(states={"amber": "improving", "olmo": "regressing"}, left_out=("a: cut; left out",))
    case = observed(100, results=results(listed(at=95, latest=latest), after_job=job().uid), jobs=(job(ended=90),))
    decision = decide(case)
    found = status_after(case, decision)
    assert told(decision) == ["ReportPublished", "ResultsLeftOut"]
    assert (found.runs, found.worst, found.inputs_digest) == (2, "regressing", "c1-s1")
    assert [(one.run, one.state, one.since) for one in found.verdicts] == [
        ("olmo", "regressing", case.now),
        ("amber", "improving", case.now),
    ]
    assert found.report == f"{RESULTS}analyses/evals.sevens/c1-s1/report.html"
    assert found.left_out == ("a: cut; left out",)
    assert found.job_name is None
    assert found.last_run == LastRun(job_name=job_name(), start_time=START, completion_time=after(90), commits=3)
    again = replace(case, analysis=seen(found))
    assert told(decide(again)) == []


def test_a_verdict_that_changes_is_told_and_one_that_stays_keeps_its_time() -> None:
    first = observed(
        5, results=results(listed(latest=manifest(states={"a": "slowing", "b": "slowing", "c": "slowing"})))
    )
    before = status_after(first, decide(first))
    states = {"a": "plateaued", "b": "slowing", "c": "improving", "d": "unstable"}
    then = observed(
        500, analysis=seen(before), results=results(listed("c2", at=500, latest=manifest("c2", states=states)))
    )
    decision = decide(then)
    assert [(item.event.type, item.event.reason, item.event.message) for item in decision.events[1:]] == [
        ("Warning", "VerdictWorsened", "a: slowing → plateaued: a is plateaued."),
        ("Normal", "VerdictChanged", "c: slowing → improving: c is improving."),
    ]
    since = {one.run: one.since for one in status_after(then, decision).verdicts}
    assert since == {"a": after(500), "b": after(5), "c": after(500), "d": after(500)}


def test_very_many_changes_are_told_as_a_number() -> None:
    before = observed(5, results=results(listed(latest=manifest(states={f"r{n}": "slowing" for n in range(50)}))))
    changed = manifest("c2", states={f"r{n}": "improving" for n in range(50)})
    case = observed(
        500, analysis=seen(status_after(before, decide(before))), results=results(listed("c2", at=500, latest=changed))
    )
    decision = decide(case)
    assert len(decision.events) == 22
    assert decision.events[-1].event.message == "30 further verdicts changed: see the report."


def test_what_was_written_by_anybody_is_bounded_in_the_status() -> None:
    wild = manifest(states={"r" * 5000: "s" * 5000}, digest="d" * 5000, left_out=("x" * 9000,) * 500)
    case = observed(5, results=results(listed(latest=wild)))
    found = status_after(case, decide(case))
    assert len(found.model_dump_json()) < 60_000
    assert told(decide(replace(case, analysis=seen(found)))) == []


FAILED = job(ended=90, failed=True)
TRIED = results(listed(at=100), after_job=FAILED.uid)


def test_how_a_job_failed_is_asked_its_pod() -> None:
    assert decide(observed(100, jobs=(FAILED,), results=TRIED)).look is Look.LAST_WORDS


def test_a_failed_job_is_told_and_the_older_report_stays() -> None:
    older = status("UpToDate", report="s3://older", worst="slowing")
    case = observed(100, analysis=seen(older), jobs=(FAILED,), results=TRIED, last_words="no room")
    decision = decide(case)
    assert shown(decision) == ("AnalysisFailed", {"Ready": "False", "Reconciling": "False", "Stalled": "True"})
    assert (
        message(decision)
        == f"The Job {FAILED.name} failed: no room. The next analysis follows new results, or an edit."
    )
    assert told(decision) == ["AnalysisFailed"]
    found = status_after(case, decision)
    assert (found.report, found.worst) == ("s3://older", "slowing")
    assert found.last_run is not None
    assert found.last_run.job_name == FAILED.name


def test_a_failed_analysis_is_not_repeated_and_keeps_its_words() -> None:
    case = observed(100, jobs=(FAILED,), results=TRIED, last_words="no room")
    there = status_after(case, decide(case))
    for jobs in ((FAILED,), ()):
        later = decide(observed(1e6, analysis=seen(there), jobs=jobs, results=TRIED, looked=True))
        assert later.create is None
        assert told(later) == []
        assert "no room" in message(later)


@pytest.mark.parametrize("again", [{"template": "t2"}, {"settings": "s2"}])
def test_an_edit_repeats_it_at_once(again: dict[str, str]) -> None:
    case = observed(100, analysis=seen(status("AnalysisFailed", ran=FAILED.name)), jobs=(FAILED,), asked=asked(**again))
    assert decide(replace(case, results=TRIED)).look is Look.RESULTS
    assert decide(replace(case, results=TRIED, looked=True)).create is not None


def test_a_failed_one_stays_told_until_the_next_starts() -> None:
    case = observed(110, analysis=seen(status("AnalysisFailed", ran=FAILED.name)), jobs=(FAILED,))
    fresh = results(listed("c2", at=110, newest=after(105), oldest=after(105)), after_job=FAILED.uid)
    decision = decide(replace(case, results=fresh))
    assert shown(decision)[0] == "AnalysisFailed"
    assert decision.again_after == pytest.approx(115)


def test_a_job_that_ended_well_without_its_analysis_is_told() -> None:
    done = job(ended=90)
    broken = "s3://evals/results/analyses/evals.sevens/latest.json: not an analysis's (truncated, or another program's)"
    for unreadable, words in ((broken, "truncated"), ("", "settings.analysis.image")):
        found = results(listed(at=100, unreadable=unreadable), after_job=done.uid)
        decision = decide(observed(100, jobs=(done,), results=found))
        assert shown(decision)[0] == "AnalysisFailed"
        assert words in message(decision)
        assert told(decision) == ["AnalysisFailed"]


def test_a_job_that_somebody_deleted_is_made_again() -> None:
    running = status("Running", job_name=job_name())
    decision = decide(observed(1e5, analysis=seen(running), results=KNOWN, looked=True))
    assert decision.create is not None


def test_the_results_are_listed_again_after_each_job() -> None:
    case = observed(5, jobs=(job(ended=4),), results=DONE)
    assert decide(case).look is Look.RESULTS
    assert decide(replace(case, results=replace(DONE, after_job=job().uid))).look is None


def test_results_of_other_runs_or_elsewhere_are_listed_anew() -> None:
    assert decide(observed(5, results=DONE, asked=asked(runs=("amber",)))).look is Look.RESULTS


def test_a_listing_that_took_long_is_not_soon_repeated() -> None:
    slow = replace(DONE, listed=replace(DONE.listed, seconds=8.0))
    assert decide(observed(159, results=slow)).again_after == pytest.approx(1)
    assert decide(observed(161, results=slow)).look is Look.RESULTS
    endless = replace(DONE, listed=replace(DONE.listed, seconds=800.0))
    assert decide(observed(301, results=endless)).look is Look.RESULTS


def test_suspended_it_starts_nothing_and_says_so_once() -> None:
    case = observed(1e5, analysis=seen(suspend=True), results=KNOWN)
    decision = decide(case)
    assert (decision.create, decision.look) == (None, None)
    assert shown(decision) == ("Suspended", {"Ready": "False", "Reconciling": "False", "Stalled": "False"})
    assert told(decision) == ["Suspended"]
    there = status_after(case, decision)
    assert told(decide(replace(case, analysis=seen(there, suspend=True)))) == []
    resumed = decide(observed(70, analysis=seen(there), results=results(listed(at=70)), looked=True))
    assert told(resumed) == ["Resumed"]


def test_suspended_a_job_that_runs_goes_on_and_its_report_is_taken_up() -> None:
    running = decide(observed(5, analysis=seen(suspend=True), jobs=(job(),)))
    assert shown(running)[0] == "Running"
    assert running.delete == ()
    ended = observed(100, analysis=seen(suspend=True), jobs=(job(ended=90),), results=KNOWN)
    assert decide(ended).look is Look.RESULTS
    found = results(listed(at=100, latest=manifest()), after_job=job().uid)
    decision = decide(replace(ended, results=found, looked=True))
    assert told(decision) == ["ReportPublished", "Suspended"]


def test_old_jobs_are_cleared_away() -> None:
    jobs = tuple(job(f"c{n}", made=n * 10, ended=n * 10 + 5) for n in range(5))
    found = results(listed("c4", at=50, latest=manifest("c4")), after_job=jobs[4].uid)
    decision = decide(observed(50, analysis=seen(history=2), jobs=jobs, results=found))
    assert decision.delete == tuple(DeleteJob(one.name, one.uid) for one in (jobs[2], jobs[1], jobs[0]))


def test_what_a_person_must_mend_is_told_and_looked_at_again() -> None:
    problem = Problem(AnalysisReason.IMAGE_NOT_SET, "no image")
    decision = decide(observed(5, asked=None, problem=problem))
    assert shown(decision) == ("ImageNotSet", {"Ready": "False", "Reconciling": "False", "Stalled": "True"})
    assert (told(decision), decision.again_after) == (["ImageNotSet"], 300)


def test_what_may_pass_is_tried_again_with_growing_pauses() -> None:
    for reason in ("StoreUnavailable", "StoreFailed"):
        decision = decide(observed(5, results=Problem(reason, "no answer", lasting=False)))
        assert shown(decision) == (reason, {"Ready": "False", "Reconciling": "True", "Stalled": "False"})
        assert decision.backoff
        assert decision.events == ()


def test_a_job_that_is_refused_is_told() -> None:
    problem = Problem(AnalysisReason.JOB_REFUSED, "a quota")
    decision = decide(observed(60, results=KNOWN, looked=True, job_problem=problem))
    assert shown(decision)[0] == "JobRefused"


def test_edits_of_the_pauses_alone_make_no_analysis() -> None:
    for values in ({"debounceSeconds": 5}, {"maxWaitSeconds": 9000}, {"history": 3}):
        decision = decide(observed(5, analysis=seen(generation=2, **values), asked=asked(template="t2"), results=DONE))
        assert shown(decision)[0] == "UpToDate"


@pytest.mark.parametrize("reason", list(AnalysisReason))
def test_every_reason_has_its_three_conditions_as_its_page_says(reason: AnalysisReason) -> None:
    case = observed(5, asked=None, problem=Problem(reason, "words", lasting="Stalled=True" in reason.shown))
    statuses = shown(decide(case))[1]
    assert {f"{kind}={value}" for kind, value in statuses.items()} == set(reason.shown)


def test_a_clock_that_differs_a_little_does_no_harm() -> None:
    ahead = replace(KNOWN, listed=replace(KNOWN.listed, at=START + timedelta(seconds=30)))
    assert decide(observed(0, results=replace(ahead, seen=ahead.listed.at))).look is None
