"""What `fineline run` shows: the plan, a bar or lines of progress, the table of results, the verdicts, the report."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fineline.plan import Plan
from fineline.results import read_metrics
from fineline.store import open_store
from fineline_cli import output
from fineline_cli.analyze_command import analyse, print_verdicts
from fineline_cli.evaluations import Evaluation, read_evaluations
from fineline_cli.running import RunOutcome, run_evaluation
from fineline_cli.slices import Event
from fineline_cli.summary import last_checkpoints

SHOWN_FAILURES = 20
SHOWN_TASKS = 4


def run_file(path: Path, *, results: str | None, slices: int, analysis: str | None, with_analysis: bool) -> int:
    """Runs every evaluation of a file, then analyses their runs; returns the exit code."""
    evaluations = read_evaluations(path, results)
    outcomes: list[RunOutcome] = []
    for evaluation in evaluations:
        outcome = run_and_tell(evaluation, slices)
        outcomes.append(outcome)
        if outcome.stopped:
            output.say("stopped in order; the same command goes on where it ended")
            return 1
    _print_results(evaluations)
    if with_analysis and any(outcome.published + outcome.reused for outcome in outcomes):
        _analyse(evaluations, analysis)
    return 0 if all(outcome.succeeded for outcome in outcomes) else 1


def run_and_tell(evaluation: Evaluation, slices: int) -> RunOutcome:
    """Runs one evaluation and shows how it gets on, and what became of it."""
    reporter = _Bar() if sys.stderr.isatty() else _Lines()
    with reporter:
        outcome = run_evaluation(
            evaluation,
            slices=slices,
            on_plan=lambda plan: reporter.planned(evaluation.name, plan),
            on_event=reporter.event,
        )
    _print_outcome(evaluation, outcome)
    return outcome


class _Lines:
    """Progress for a log: a plain line per unit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0
        self._of = 0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def planned(self, name: str, plan: Plan) -> None:
        self._of = len(plan.todo)
        output.say(f"{name}: {plan.units} units, {len(plan.reused)} already there, {len(plan.todo)} to do")

    def event(self, event: Event) -> None:
        with self._lock:
            if event["event"] == "unit":
                self._done += 1
                output.say(f"[{self._done}/{self._of}] {_unit_line(event)}")
            elif event["event"] == "checkpoint":
                output.say(_checkpoint_line(event))


class _Bar:
    """Progress for a terminal: one bar, and a line for what went wrong."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            console=self._console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def planned(self, name: str, plan: Plan) -> None:
        self._task = self._progress.add_task(name, total=len(plan.todo), now="starting the engine")

    def event(self, event: Event) -> None:
        if self._task is None:
            return
        if event["event"] == "unit":
            self._progress.update(self._task, advance=1, now=output.harmless(f"{event['checkpoint']}, {event['task']}"))
            if event["outcome"] == "failed":
                self._progress.console.print(output.harmless(_unit_line(event)), markup=False)
        elif event["event"] == "checkpoint" and event.get("flags"):
            self._progress.console.print(output.harmless(_checkpoint_line(event)), markup=False)


def _unit_line(event: Event) -> str:
    line = f"{event['checkpoint']}, {event['task']}: {event['outcome']}"
    if event["outcome"] == "failed":
        return f"{line}: {event.get('reason')}: {event.get('message')}"
    return f"{line} in {event['seconds']:.1f} s" if "seconds" in event else line


def _checkpoint_line(event: Event) -> str:
    flags = ", ".join(event.get("flags", ()))
    warning = f"; looks wrong: {flags}" if flags else ""
    return f"{event['checkpoint']}: engine {event['load']} in {event['load_seconds']:.1f} s{warning}"


def _print_outcome(evaluation: Evaluation, outcome: RunOutcome) -> None:
    counts = f"{outcome.published} published, {outcome.reused} already there, {len(outcome.failures)} failed"
    output.say(f"{evaluation.name}: {counts}{f', {outcome.left} left' if outcome.left else ''}")
    lines = _failure_lines(outcome)
    for line in lines[:SHOWN_FAILURES]:
        output.say(f"  failed: {line}")
    if len(lines) > SHOWN_FAILURES:
        output.say(f"  and {len(lines) - SHOWN_FAILURES} more, in the store as failed.json")
    for item in outcome.plan.put_aside[:SHOWN_FAILURES]:
        output.say(f"  not evaluated: {item.name}: {item.reason}: {item.message}")
    if outcome.error is not None:
        output.say(f"error: {outcome.error}")
    if outcome.logs is not None:
        output.say(f"  logs: {outcome.logs}")


def _failure_lines(outcome: RunOutcome) -> list[str]:
    """One line a fault: a bad checkpoint fails all of its tasks with one message."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for address, record in outcome.failures:
        name = f"step {address.step}" if address.branch == "main" else f"{address.branch}, step {address.step}"
        tasks.setdefault((name, f"{record.reason}: {record.message}"), []).append(address.task)
    return [
        f"{name}, {', '.join(failed) if len(failed) <= SHOWN_TASKS else f'{len(failed)} tasks'}: {message}"
        for (name, message), failed in tasks.items()
    ]


def _print_results(evaluations: Sequence[Evaluation]) -> None:
    for uri in dict.fromkeys(evaluation.results_uri for evaluation in evaluations):
        runs = [each.resource.spec.run.name for each in evaluations if each.results_uri == uri]
        metrics = read_metrics(open_store(uri), runs)
        for notice in metrics.notices:
            output.say(f"left out: {notice}")
        rows, columns = last_checkpoints(metrics.frame)
        if rows:
            output.emit(rows, columns, output.Format.TABLE, title="The newest checkpoints")


def _analyse(evaluations: Sequence[Evaluation], folder: str | None) -> None:
    for uri in dict.fromkeys(evaluation.results_uri for evaluation in evaluations):
        same = [evaluation for evaluation in evaluations if evaluation.results_uri == uri]
        runs = [evaluation.resource.spec.run.name for evaluation in same]
        print_verdicts(analyse(uri, folder, runs, name=same[0].name))
