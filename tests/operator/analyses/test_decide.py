"""What is decided about a TrajectoryAnalysis, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from fineline.resources.analysis_reasons import AnalysisReason
from fineline.resources.analysis_status import LastRun, TrajectoryAnalysisStatus
from fineline.resources.status import Condition
from fineline.results.analyses import AnalysisManifest
from fineline_operator.analyses.decide import decide
from fineline_operator.analyses.decision import CreateJob, Decision, DeleteJob, Look
from fineline_operator.analyses.failing import occasion_of
from fineline_operator.analyses.observed import Observed, ResultsSeen
from fineline_operator.analyses.outcome import last_run, next_status, states_of, untold
from fineline_operator.analyses.waiting import due, latest_start, seen_again
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
    spec,
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
    for unreadable, words in ((broken, "truncated"), ("", "There is no analysis in the store: see that settings.")):
        found = results(listed(at=100, unreadable=unreadable), after_job=done.uid)
        decision = decide(observed(100, jobs=(done,), results=found))
        assert shown(decision)[0] == "AnalysisFailed"
        assert words in message(decision)
        assert told(decision) == ["AnalysisFailed"]


NEWER = manifest("c2")
AT = after(50)


def published_by(latest: AnalysisManifest, at: datetime = AT, **values: Any) -> ResultsSeen:
    """Listed a minute later: results that are not those of what is published."""
    return results(listed("c1", at=110, latest=latest, published_at=at), **values)


def test_results_that_return_to_an_earlier_set_are_analysed_again() -> None:
    first, second = job("c1", ended=10), job("c2", made=20, ended=50)
    there = status("UpToDate", ran=second.name, inputs_digest=NEWER.digest, published_at=AT)
    found = published_by(NEWER, after_job=second.uid)
    case = observed(1e4, analysis=seen(there), jobs=(first, second), results=found, looked=True)
    decision = decide(case)
    assert decision.create is not None
    name = job_name("c1", occasion=decision.create.inputs.occasion)
    assert name not in {first.name, second.name}
    failed = job("c1", made=1e4, ended=1e4 + 50, failed=True, occasion=decision.create.inputs.occasion)
    assert failed.name == name
    after_it = replace(found, after_job=failed.uid)
    later = observed(2e4, analysis=seen(there), jobs=(failed, second), results=after_it, looked=True, last_words="no")
    assert shown(decide(later))[0] == "AnalysisFailed", "it is not repeated while nothing else is published"
    anew = published_by(NEWER, after(9e3), after_job=failed.uid)
    assert decide(replace(later, results=anew)).create is not None


def test_an_analysis_that_is_deleted_is_made_again_each_time() -> None:
    done = job("c1", ended=10)
    names = {done.name}
    for published in (AT, after(9000)):
        there = status("UpToDate", ran=done.name, inputs_digest="c1-s1", published_at=published)
        gone = results(listed("c1", at=1e4), after_job=done.uid)
        decision = decide(observed(1e4, analysis=seen(there), jobs=(done,), results=gone, looked=True))
        assert decision.create is not None
        names.add(job_name("c1", occasion=decision.create.inputs.occasion))
    assert len(names) == 3


def test_an_analysis_that_another_one_is_put_over_is_made_again_once() -> None:
    overwritten = published_by(manifest("older"), after_job=job().uid)
    decision = decide(observed(200, jobs=(job(ended=90),), results=overwritten, looked=True))
    assert decision.create is not None
    assert decision.create.inputs.attempt == 2
    second = job(ended=150, occasion=decision.create.inputs.occasion, attempt=2)
    again = published_by(manifest("older"), after(149), after_job=second.uid)
    decision = decide(observed(200, jobs=(second,), results=again, looked=True))
    assert shown(decision)[0] == "AnalysisFailed"
    assert "is of other results" in message(decision)
    assert "nobody else writes there" in message(decision)
    edited = observed(200, jobs=(second,), results=again, looked=True, asked=asked(template="t2"))
    assert decide(edited).create is not None


def test_of_a_job_that_published_nothing_the_results_that_were_there_are_told() -> None:
    older = manifest("c0", commits=7)
    found = published_by(older)
    now = occasion_of(observed(100), found.listed)
    for made_on, commits in ((now, 3), ("another", 7)):
        run = last_run(TrajectoryAnalysisStatus(), job(ended=90, occasion=made_on), older, now)
        assert run is not None
        assert run.commits == commits


EMPTY = manifest(states={}, commits=0, left_out=("a: torn; left out",))


def test_runs_that_have_no_results_by_the_newest_analysis_are_waited_for_without_a_warning() -> None:
    case = observed(100, results=results(listed(at=95, latest=EMPTY), after_job=job().uid), jobs=(job(ended=90),))
    decision = decide(case)
    assert shown(decision) == ("NoResults", {"Ready": "False", "Reconciling": "False", "Stalled": "False"})
    assert told(decision) == ["ResultsLeftOut"]
    there = status_after(case, decision)
    assert (there.runs, there.verdicts, there.worst) == (0, (), None)
    later = replace(case, now=after(1e5), analysis=seen(there), looked=True)
    assert (decide(later).create, told(decide(later))) == (None, []), "the same results are not analysed again"
    more = results(listed("c2", at=1e5, latest=EMPTY), after_job=job().uid)
    assert decide(replace(later, now=after(1e5 + 500), results=more)).create is not None


def test_a_verdict_beyond_the_first_fifty_is_told_when_it_changes_and_keeps_its_time() -> None:
    states = {f"r{number:02}": "regressing" for number in range(50)} | {"sixtieth": "improving", "steady": "improving"}
    first = manifest(states=states)
    before = observed(5, results=results(listed(latest=first, published_at=after(3))))
    there = status_after(before, decide(before))
    assert "sixtieth" not in {one.run for one in there.verdicts}
    assert untold(there) == first.digest
    worse = dict.fromkeys(states, "improving") | {"sixtieth": "unstable"}
    second = listed("c2", at=500, latest=manifest("c2", states=worse), previous=states_of(first))
    case = observed(500, analysis=seen(there), results=results(second))
    found = decide(case)
    worsened = [item.event.message for item in found.events if item.event.reason == "VerdictWorsened"]
    assert worsened == ["sixtieth: improving → unstable: sixtieth is unstable."]
    since = {one.run: one.since for one in status_after(case, found).verdicts}
    assert since["sixtieth"] == after(500)
    fewer = {"steady": "improving"}
    last = listed("c3", at=900, latest=manifest("c3", states=fewer), previous=states_of(first))
    only = observed(900, analysis=seen(there), results=results(last))
    assert status_after(only, decide(only)).verdicts[0].since == after(3), "it was so when that was published"


def test_how_many_results_were_left_out_is_told_though_few_are_named() -> None:
    many = manifest(left_out=("a: cut; left out",), left_out_count=75_000)
    decision = decide(observed(5, results=results(listed(latest=many))))
    assert decision.events[-1].event.message == "75,000 results could not be read, such as: a: cut; left out."


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
    assert decide(observed(167, results=slow)).again_after == pytest.approx(1)
    assert decide(observed(169, results=slow)).look is Look.RESULTS
    endless = replace(DONE, listed=replace(DONE.listed, seconds=800.0))
    assert decide(observed(1099, results=endless)).again_after == pytest.approx(1)
    assert decide(observed(1101, results=endless)).look is Look.RESULTS


def test_results_that_are_due_are_not_listed_within_the_pause_unless_they_start_at_the_latest_then() -> None:
    new = results(listed(at=0, newest=after(0), oldest=after(0)))
    impatient: dict[str, Any] = {"debounceSeconds": 3}
    waiting = decide(observed(5, analysis=seen(**impatient), results=new))
    assert (waiting.look, waiting.create) == (None, None)
    assert waiting.again_after == pytest.approx(5.1)
    assert decide(observed(10.2, analysis=seen(**impatient), results=new)).look is Look.RESULTS
    latest = seen(**impatient, maxWaitSeconds=6)
    assert decide(observed(5, analysis=latest, results=new)).again_after == pytest.approx(1)
    assert decide(observed(6, analysis=latest, results=new)).look is Look.RESULTS
    late = results(listed(at=7, newest=after(7), oldest=after(0)), new_seen=after(0))
    assert decide(observed(8, analysis=latest, results=late)).look is None, "it was listed since then"


def test_suspended_it_starts_nothing_and_says_so_once() -> None:
    case = observed(1e5, analysis=seen(suspend=True), results=KNOWN)
    decision = decide(case)
    assert (decision.create, decision.look) == (None, None)
    assert shown(decision) == ("Suspended", {"Ready": "False", "Reconciling": "False", "Stalled": "False"})
    assert told(decision) == ["Suspended"]
    there = status_after(case, decision)
    assert told(decide(replace(case, analysis=seen(there, suspend=True)))) == []
    waiting = decide(observed(70, analysis=seen(there), results=results(listed(at=70)), looked=True))
    assert (shown(waiting)[0], told(waiting)) == ("Debouncing", ["Resumed"])


def test_that_it_goes_on_is_told_though_its_job_starts_at_once_or_the_store_is_down() -> None:
    stopped = observed(1e5, analysis=seen(suspend=True), results=KNOWN)
    there = status_after(stopped, decide(stopped))
    resumed = observed(1e5, analysis=seen(there), results=KNOWN, looked=True)
    assert decide(resumed).create is not None
    running = replace(resumed, jobs=(job(made=1e5),))
    assert told(decide(running)) == ["Resumed", "JobCreated"]
    assert told(decide(replace(running, analysis=seen(status_after(running, decide(running)))))) == []
    down = replace(resumed, results=Problem("StoreUnavailable", "no answer", lasting=False))
    assert told(decide(down)) == ["Resumed"]
    assert told(decide(replace(down, analysis=seen(there, suspend=True)))) == []


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


@pytest.mark.parametrize("known", [KNOWN, DONE], ids=["new results", "none"])
def test_after_the_clock_went_back_the_results_are_listed_once_and_then_as_ever(known: ResultsSeen) -> None:
    assert decide(observed(-3600, results=known)).look is Look.RESULTS
    again = replace(known, listed=replace(known.listed, at=after(-3600)))
    decision = decide(observed(-3595, results=again))
    assert decision.look is None
    assert decision.again_after is not None
    assert 0 < decision.again_after <= 300


def test_what_was_seen_before_the_clock_went_back_makes_nobody_wait() -> None:
    before = results(listed("c1", at=3600), new_not_before=after(3500))
    found = seen_again(before, listed("c2", at=0, newest=after(0), oldest=after(0)), "", was_new=True)
    assert due(found, spec()) == after(120)
    assert latest_start(found, spec()) == after(1800)
