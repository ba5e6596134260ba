"""Decides about one TrajectoryAnalysis: the order of the rules. Pure: the same observed values, the same decision.

Nothing here remembers: what is analysed is read from the store, what failed from the Jobs and the status, so that a
restart anywhere loses nothing. A decision that needs to see more says so (`look`), and is asked again with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fineline.resources import TrajectoryAnalysisSpec
from fineline.resources.analysis_reasons import AnalysisEvent, AnalysisReason
from fineline_operator.analyses import conditions, outcome
from fineline_operator.analyses.conditions import Conditions
from fineline_operator.analyses.decision import CreateJob, Decision, DeleteJob, Look, StatusWanted, Told
from fineline_operator.analyses.failing import (
    Tried,
    attempt_of,
    event_of,
    is_told,
    message_of,
    occasion_of,
    tried_before,
)
from fineline_operator.analyses.observed import AnalysisJob, Asked, Listed, Observed, ResultsSeen
from fineline_operator.analyses.waiting import LIST_SECONDS, due, latest_start, next_listing, rested, seen_again
from fineline_operator.evaluations import wording
from fineline_operator.evaluations.observed import NotLooked, PodsSeen
from fineline_operator.jobs.analysis_job import Inputs
from fineline_operator.telling.events import event, warning
from fineline_operator.telling.problems import STUCK_SECONDS, Problem
from fineline_operator.telling.words import counted

_SUSPENDED = "spec.suspend is true: no analysis starts until it is false."
_RESUMED = "spec.suspend is false: analyses start again."


def decide(observed: Observed) -> Decision:
    """What to look at next, or what to do, tell and wait for."""
    seen, asked = observed.analysis, observed.asked
    if seen.deleting:
        return Decision()  # owner references take its Jobs; reports stay
    problem = observed.problem or observed.job_problem
    if problem is not None or seen.spec is None or asked is None:
        return _problem(observed, problem or Problem(AnalysisReason.SPEC_INVALID, "spec: can't be read"))
    return _meant(observed, seen.spec, asked)


def _meant(observed: Observed, spec: TrajectoryAnalysisSpec, asked: Asked) -> Decision:
    if observed.running is not None:
        return _running(observed, spec, observed.running)
    if spec.suspend and _is_read(observed):
        return _told(observed, spec, ())
    if isinstance(observed.results, Problem):
        return _problem(observed, observed.results)
    newest = _newest(observed)
    untold = newest is not None and newest.finished == "Failed" and not is_told(observed, newest)
    if untold and isinstance(observed.last_words, NotLooked):
        return Decision(look=Look.LAST_WORDS)
    if observed.results is None or _must_list(observed, spec, asked, observed.results):
        return Decision(look=Look.RESULTS)
    return _judge(observed, spec, asked, observed.results)


def last_try(observed: Observed) -> datetime | None:
    """When the newest Job was made, where it failed: results before it are not waited for any more."""
    newest, last = _newest(observed), observed.analysis.status.last_run
    if newest is not None:
        return newest.created if newest.finished == "Failed" else None
    return last.start_time if last is not None else None


def taken_up(observed: Observed, before: ResultsSeen | None, listed: Listed) -> ResultsSeen:
    """What a listing within this look adds to what was known `before`."""
    newest = _newest(observed)
    # Was it new by what is known now, such as by the analysis that ended since?
    was_new = before is not None and _is_new(observed, replace(before.listed, latest=listed.latest))
    return seen_again(before, listed, newest.uid if newest is not None else "", was_new=was_new)


def _is_new(observed: Observed, listed: Listed) -> bool:
    """Whether these are results that no analysis has, and that none was tried for."""
    if observed.asked is None or not listed.commits or _is_analysed(listed, observed.asked):
        return False
    return tried_before(observed, listed) is None


def _judge(observed: Observed, spec: TrajectoryAnalysisSpec, asked: Asked, results: ResultsSeen) -> Decision:
    listed = results.listed
    tried = tried_before(observed, listed)
    idle = LIST_SECONDS if observed.looked else _seconds_until(observed, rested(listed))
    if not listed.commits or (_is_analysed(listed, asked) and listed.latest is not None and not listed.latest.commits):
        message = "There are no results of its runs yet: it runs when there are."
        return _told(observed, spec, conditions.told(AnalysisReason.NO_RESULTS, message), again_after=idle)
    if _is_analysed(listed, asked):
        message = f"The newest analysis has every result that there is: {outcome.report_uri(observed, listed.latest)}"
        return _told(observed, spec, conditions.told(AnalysisReason.UP_TO_DATE, message), again_after=idle)
    if tried is not None:
        return _failed(observed, spec, tried, idle)
    when = _due(observed, spec, results)
    if observed.looked and observed.now >= when and not spec.suspend:
        return Decision(create=CreateJob(_inputs(observed, asked, listed)))
    wait = _seconds_until(observed, next_listing(results, spec, when))
    newest = _newest(observed)
    if newest is not None and newest.finished == "Failed":
        return _failed(observed, spec, Tried(newest.name, newest), wait)
    return _told(observed, spec, conditions.told(AnalysisReason.DEBOUNCING, _waits(spec, results)), again_after=wait)


def _inputs(observed: Observed, asked: Asked, listed: Listed) -> Inputs:
    return Inputs(
        results_uri=asked.results_uri,
        commits=listed.commits,
        commits_digest=listed.digest,
        settings_digest=asked.settings_digest,
        occasion=occasion_of(observed, listed),
        attempt=attempt_of(observed, asked, listed),
    )


def _failed(observed: Observed, spec: TrajectoryAnalysisSpec, tried: Tried, again_after: float) -> Decision:
    message = message_of(observed, tried, _unreadable(observed))
    if message is None:
        return Decision(look=Look.LAST_WORDS)
    said = conditions.told(AnalysisReason.ANALYSIS_FAILED, message)
    return _told(observed, spec, said, failed=tried.job, again_after=again_after)


def _waits(spec: TrajectoryAnalysisSpec, results: ResultsSeen) -> str:
    latest = latest_start(results, spec).isoformat(timespec="seconds").replace("+00:00", "Z")
    return (
        f"There are new results: the analysis starts {spec.debounce_seconds:,} s after the last of them, at the latest "
        f"at {latest}."
    )


def _running(observed: Observed, spec: TrajectoryAnalysisSpec, job: AnalysisJob) -> Decision:
    trouble, again_after = "", None
    if not (job.suspended or job.ready or job.deleting):
        early = observed.trouble_seconds - (observed.now - job.created).total_seconds()
        if early > 0:
            again_after = min(early, observed.trouble_seconds)  # clocks differ
        elif isinstance(observed.pods, NotLooked):
            return Decision(look=Look.PODS)
        else:
            trouble, again_after = _trouble(observed, job, observed.pods), observed.trouble_seconds
    status = StatusWanted(conditions.running(job, trouble), job_name=job.name)
    events = list(_turns(observed, spec)) if not spec.suspend else []
    if observed.analysis.status.job_name != job.name:
        what = counted(job.commits, "result")
        events.append(Told(event(AnalysisEvent.JOB_CREATED, f"The Job {job.name} analyses {what}."), job.uid))
    return Decision(delete=_beyond(observed, spec), status=status, events=tuple(events), again_after=again_after)


def _trouble(observed: Observed, job: AnalysisJob, pods: PodsSeen) -> str:
    """What keeps the Job's pod from its start, once it has lasted."""
    for trouble in pods.troubles:
        if (observed.now - trouble.since).total_seconds() >= observed.trouble_seconds:
            return wording.of_trouble(trouble)
    return "" if pods.made else wording.no_pods(job.name, observed.analysis.subject.namespace)


def _problem(observed: Observed, problem: Problem) -> Decision:
    running, spec = observed.running, observed.analysis.spec
    said = conditions.of_problem(problem)
    status = StatusWanted(said, job_name=running.name if running is not None else None)
    turns = _turns(observed, spec) if spec is not None and not spec.suspend else ()
    if not problem.lasting:
        return Decision(status=status, events=turns, backoff=True)
    there = observed.analysis.status.condition("Stalled")
    stalled = next(item for item in said if item.type == "Stalled")
    events = turns
    if there is None or (there.status, there.reason) != (stalled.status, stalled.reason):
        events = (*turns, Told(warning(problem.reason, stalled.message), str(observed.analysis.generation)))
    return Decision(status=status, events=events, again_after=STUCK_SECONDS)


def _told(
    observed: Observed,
    spec: TrajectoryAnalysisSpec,
    said: Conditions,
    *,
    failed: AnalysisJob | None = None,
    again_after: float | None = None,
) -> Decision:
    """The status and the events where no Job runs. `spec.suspend` goes before what is said otherwise; `failed` is the
    Job that came to nothing, however it ended."""
    listed = observed.results.listed if isinstance(observed.results, ResultsSeen) else None
    latest = listed.latest if listed is not None else None
    previous = listed.previous if listed is not None else {}
    newest = _newest(observed)
    events = list(outcome.events(observed, latest, previous))
    if newest is not None and (newest.finished == "Failed" or newest == failed):
        events += event_of(observed, newest, _unreadable(observed))
    if spec.suspend:
        said, again_after = conditions.told(AnalysisReason.SUSPENDED, _SUSPENDED), None
    occasion = occasion_of(observed, listed) if listed is not None else ""
    status = StatusWanted(
        said,
        last_run=outcome.last_run(observed.analysis.status, newest, latest, occasion),
        latest=latest,
        published_at=listed.published_at if listed is not None else None,
        report=outcome.report_uri(observed, latest),
        previous=previous,
    )
    events += _turns(observed, spec)
    return Decision(delete=_beyond(observed, spec), status=status, events=tuple(events), again_after=again_after)


def _turns(observed: Observed, spec: TrajectoryAnalysisSpec) -> tuple[Told, ...]:
    """That a person stopped it, or let it go on: told until the status shows it."""
    was_suspended = _shown(observed) == AnalysisReason.SUSPENDED
    if spec.suspend == was_suspended:
        return ()
    turn = event(AnalysisEvent.SUSPENDED, _SUSPENDED) if spec.suspend else event(AnalysisEvent.RESUMED, _RESUMED)
    return (Told(turn, str(observed.analysis.generation)),)


def _must_list(observed: Observed, spec: TrajectoryAnalysisSpec, asked: Asked, results: ResultsSeen) -> bool:
    """Whether what is known of the results is too old for this decision. A listing may be thousands of requests."""
    listed = results.listed
    if observed.looked:
        return False
    if listed.scope != asked.scope or not _is_after(observed.ended, results):
        return True
    if observed.now < listed.at:
        return True  # the clock went back: how old the listing is can't be told
    if _is_new(observed, listed):
        when = _due(observed, spec, results)
        # What a person asks for anew is looked at at once; what comes of it is known then.
        again = when if _is_known(observed, listed) else next_listing(results, spec, when)
        return not spec.suspend and observed.now >= again
    return observed.now >= rested(listed)


def _due(observed: Observed, spec: TrajectoryAnalysisSpec, results: ResultsSeen) -> datetime:
    return observed.now if _is_known(observed, results.listed) else due(results, spec)


def _is_known(observed: Observed, listed: Listed) -> bool:
    """Whether the results are those of the newest analysis or try: a person changed what is asked for, or took away
    what came of it."""
    newest, latest = _newest(observed), listed.latest
    known = {newest.commits_digest if newest is not None else "", latest.commits_digest if latest is not None else ""}
    return listed.digest in known


def _is_analysed(listed: Listed, asked: Asked) -> bool:
    latest = listed.latest
    return latest is not None and (latest.commits_digest, latest.settings_digest) == (
        listed.digest,
        asked.settings_digest,
    )


def _is_read(observed: Observed) -> bool:
    """Whether the status has taken up how the newest Job ended."""
    newest = _newest(observed)
    return newest is None or is_told(observed, newest)


def _is_after(ended: Sequence[AnalysisJob], results: ResultsSeen) -> bool:
    """Whether the results were listed after the newest Job's end."""
    return not ended or ended[0].uid == results.after_job


def _newest(observed: Observed) -> AnalysisJob | None:
    return next(iter(observed.ended), None)


def _beyond(observed: Observed, spec: TrajectoryAnalysisSpec) -> tuple[DeleteJob, ...]:
    """The finished Jobs that are not kept."""
    return tuple(DeleteJob(job.name, job.uid) for job in observed.ended[spec.history :] if not job.deleting)


def _unreadable(observed: Observed) -> str:
    """Why the newest analysis in the store can't be read; empty where it can."""
    return observed.results.listed.unreadable if isinstance(observed.results, ResultsSeen) else ""


def _shown(observed: Observed) -> str:
    ready = observed.analysis.status.condition("Ready")
    return ready.reason if ready is not None else ""


def _seconds_until(observed: Observed, when: datetime) -> float:
    """Not longer than what is looked at anyway: clocks jump."""
    return min(max((when - observed.now).total_seconds(), 0.0), LIST_SECONDS)
