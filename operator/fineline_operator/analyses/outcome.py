"""What the newest analysis says, as status and events: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from fineline.resources.analysis_reasons import AnalysisEvent
from fineline.resources.analysis_status import (
    MAX_LEFT_OUT,
    MAX_VERDICTS,
    LastRun,
    RunVerdict,
    TrajectoryAnalysisStatus,
)
from fineline.results.analyses import REPORT_FILE, WORST_FIRST, AnalysisManifest, analysis_folder, severity
from fineline_operator.analyses.decision import StatusWanted, Told
from fineline_operator.analyses.observed import AnalysisJob, AnalysisSeen, Observed
from fineline_operator.jobs.analysis_job import analysis_name
from fineline_operator.telling.conditions import merged
from fineline_operator.telling.events import event
from fineline_operator.telling.words import counted, sentence

MOST_CHANGES = 20
"""So many changed verdicts have an event each; one more says how many others there are."""

OTHER = "other"
STATES = (*WORST_FIRST, OTHER)
"""The states that runs are counted by."""

_LONGEST_WORD = 256
_LONGEST_MESSAGE = 2048


def report_uri(observed: Observed, latest: AnalysisManifest | None) -> str:
    """Where its report is; empty where there is none."""
    if latest is None or observed.asked is None:
        return ""
    folder = analysis_folder(analysis_name(observed.analysis.subject))
    return f"{observed.asked.results_uri}{folder}{latest.digest}/{REPORT_FILE}"


def worst(latest: AnalysisManifest) -> str | None:
    """The worst state of all runs."""
    return min((verdict.state for verdict in latest.verdicts), key=severity, default=None)


def counts(run_states: Iterable[str]) -> dict[str, int]:
    """How many runs have each state; those of a word that is not known count as `other`."""
    found = Counter(state if state in WORST_FIRST else OTHER for state in run_states)
    return {state: found[state] for state in STATES}


def states_of(manifest: AnalysisManifest) -> dict[str, str]:
    """The states of its runs, both in the words of a status."""
    return {item.run: item.state for item in _verdicts(manifest)}


def untold(status: TrajectoryAnalysisStatus) -> str:
    """The digest of the analysis that the status tells of, where it may have no room for all that this says; else
    nothing."""
    return (status.inputs_digest or "") if len(status.verdicts) >= MAX_VERDICTS else ""


def last_run(
    status: TrajectoryAnalysisStatus, job: AnalysisJob | None, latest: AnalysisManifest | None, occasion: str
) -> LastRun | None:
    """The newest Job that has ended; None keeps what is there. Where the `occasion` is still the one that the Job was
    made on, nothing came of it."""
    if job is None or (status.last_run is not None and status.last_run.job_name == job.name):
        return None
    made = job.finished == "Complete" and job.occasion != occasion
    made = made and latest is not None and latest.settings_digest == job.settings_digest
    return LastRun(
        job_name=job.name,
        start_time=job.created,
        completion_time=job.ended,
        commits=latest.commits if latest is not None and made else job.commits,
    )


def events(observed: Observed, latest: AnalysisManifest | None, previous: Mapping[str, str]) -> tuple[Told, ...]:
    """The report, what it changes, and what it leaves out: told until the status shows that analysis. `previous` as in
    `Listed`. That there are no results yet is no news."""
    status = observed.analysis.status
    if latest is None or status.inputs_digest == _cut(latest.digest, _LONGEST_WORD):
        return ()
    report = report_uri(observed, latest)
    state = worst(latest)
    judged = f", the worst is {state}" if state is not None else ""
    found = []
    if latest.commits:
        found.append(event(AnalysisEvent.REPORT_PUBLISHED, f"{counted(latest.runs, 'run')}{judged}: {report}"))
    before = {**previous, **{verdict.run: verdict.state for verdict in status.verdicts}}
    changes = [item for item in _verdicts(latest) if before.get(item.run, item.state) != item.state]
    for item in changes[:MOST_CHANGES]:
        worse = severity(item.state) < severity(before[item.run])
        kind = AnalysisEvent.VERDICT_WORSENED if worse else AnalysisEvent.VERDICT_CHANGED
        found.append(event(kind, sentence(f"{item.run}: {before[item.run]} → {item.state}: {item.message}")))
    if len(changes) > MOST_CHANGES:
        message = f"{counted(len(changes) - MOST_CHANGES, 'further verdict')} changed: see the report."
        found.append(event(AnalysisEvent.VERDICT_CHANGED, message))
    if latest.left_out:
        left_out = max(latest.left_out_count, len(latest.left_out))
        message = f"{counted(left_out, 'result')} could not be read, such as: {latest.left_out[0]}"
        found.append(event(AnalysisEvent.RESULTS_LEFT_OUT, sentence(message)))
    return tuple(Told(item, latest.digest) for item in found)


def next_status(seen: AnalysisSeen, wanted: StatusWanted, now: datetime) -> TrajectoryAnalysisStatus | None:
    """The status that should stand there; None where it does already. Without a newest analysis the one that is told
    of stays."""
    before, latest = seen.status, wanted.latest
    moment = now.replace(microsecond=0)
    told = {
        "observed_generation": seen.generation,
        "conditions": merged(wanted.conditions, before.conditions, moment, seen.generation),
        "job_name": wanted.job_name,
        "last_run": wanted.last_run or before.last_run,
    }
    if latest is not None:
        told |= {
            "runs": latest.runs,
            "worst": _cut(worst(latest) or "", _LONGEST_WORD) or None,
            "verdicts": _since(before, _verdicts(latest)[:MAX_VERDICTS], moment, wanted.previous),
            "published_at": _to_the_second(wanted.published_at),
            "report": _cut(wanted.report, _LONGEST_MESSAGE),
            "inputs_digest": _cut(latest.digest, _LONGEST_WORD),
            "left_out": tuple(_cut(text, _LONGEST_MESSAGE) for text in latest.left_out[:MAX_LEFT_OUT]),
        }
    after = before.model_copy(update=told)
    return None if after == before else after


def _verdicts(latest: AnalysisManifest) -> list[RunVerdict]:
    """The worst first; what stands there was written by whoever may write results, so all of it is bounded."""
    return [
        RunVerdict(
            run=_cut(item.run, _LONGEST_WORD),
            state=_cut(item.state, _LONGEST_WORD),
            message=_cut(item.message, _LONGEST_MESSAGE),
        )
        for item in sorted(latest.verdicts, key=lambda item: severity(item.state))
    ]


def _since(
    before: TrajectoryAnalysisStatus, verdicts: Iterable[RunVerdict], moment: datetime, previous: Mapping[str, str]
) -> tuple[RunVerdict, ...]:
    """A state that stays keeps the time when it was first told, or as much of it as is known."""
    since = dict.fromkeys(previous.items(), before.published_at)
    since |= {(verdict.run, verdict.state): verdict.since for verdict in before.verdicts}
    return tuple(item.model_copy(update={"since": since.get((item.run, item.state)) or moment}) for item in verdicts)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _to_the_second(at: datetime | None) -> datetime | None:
    return at.replace(microsecond=0) if at is not None else None
