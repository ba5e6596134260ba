"""One evaluation on a cluster in full: how it stands and why, what is done, what failed, where things are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fineline.resources.status import MAX_FAILURES
from fineline_cli.output import harmless
from fineline_cli.reported import Reported
from fineline_cli.status_tables import STYLES, age, bar, unseen_lines

BAR_WIDTH = 24

NARROW = 72
"""Terminals with fewer columns get what a table's last column says below the rest of its row."""


def details_drawn(evaluation: Reported, now: datetime, *, width: int | None) -> RenderableType:
    """All that the cluster says of it. `width` is the terminal's, None for a log; a terminal gets a bar."""
    narrow = width is not None and width < NARROW
    parts: list[RenderableType] = [_heading(evaluation), *unseen_lines([evaluation], now)]
    parts += ["", _facts(evaluation, now, terminal=width is not None)]
    if evaluation.status.conditions:
        header = ("Condition", "Status", "For", "Reason and message")
        parts += ["", _drawn(header, _conditions(evaluation, now), narrow=narrow)]
    if evaluation.status.failures:
        parts += ["", _drawn(("Failed", "Task", "Reason and message"), _failures(evaluation), narrow=narrow)]
    if _has_more_failures(evaluation):
        parts.append("These are the first; all are among the results, as failed.json beside the units.")
    advice = retry_advice(evaluation)
    if advice:
        parts += ["", Text(harmless(advice))]
    return Group(*parts)


def retry_advice(evaluation: Reported) -> str:
    """How to have it tried again; empty where there is nothing to try again."""
    command = f"fineline retry {evaluation.name} -n {evaluation.namespace}"
    if evaluation.retry_pending:
        return "A retry was asked for; the operator has not taken it up yet."
    if evaluation.succeeded == "False":
        return f"To try again what failed, once it is mended: {command}"
    if evaluation.stalled:
        return f"It is looked at again every few minutes; at once with: {command}"
    return ""


def _heading(evaluation: Reported) -> Text:
    parts = [f"run {evaluation.run}"]
    if evaluation.suite:
        parts.append(f"suite {evaluation.suite}")
    if evaluation.queue:
        parts.append(f"queue {evaluation.queue}")
    if evaluation.suspended:
        parts.append("suspended")
    if evaluation.deleting:
        parts.append("being deleted")
    return Text.assemble((harmless(evaluation.key), "bold"), harmless(f": {', '.join(parts)}"))


def _conditions(evaluation: Reported, now: datetime) -> list[list[Text]]:
    return [
        [
            Text(harmless(condition.type)),
            Text(condition.status, style=STYLES[condition.status] if condition.type == "Succeeded" else ""),
            Text(age((now - condition.last_transition_time).total_seconds())),
            _told(condition.reason, condition.message),
        ]
        for condition in evaluation.status.conditions
    ]


def _failures(evaluation: Reported) -> list[list[Text]]:
    return [
        [
            Text(harmless(failure.checkpoint)),
            Text(harmless(failure.task or "all tasks")),
            _told(failure.reason, failure.message),
        ]
        for failure in evaluation.status.failures
    ]


def _told(reason: str, message: str) -> Text:
    return Text(harmless(f"{reason}: {message}" if message else reason))


def _drawn(header: Sequence[str], rows: Sequence[Sequence[Text]], *, narrow: bool) -> RenderableType:
    """A table; on a narrow terminal a line for each row, and what it tells below it."""
    if narrow:
        return Group(*(part for *row, told in rows for part in (Text("  ").join(row), Padding(told, (0, 0, 0, 2)))))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _facts(evaluation: Reported, now: datetime, *, terminal: bool) -> Table:
    status = evaluation.status
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    if status.progress is not None:
        if terminal:
            table.add_row("", bar(evaluation, BAR_WIDTH))
        progress = status.progress
        text = f"{progress.text}: {progress.published:,} published, {progress.failed:,} failed"
        table.add_row("Progress", Text(harmless(text)))
    if status.plan is not None:
        plan = status.plan
        text = f"{plan.checkpoints:,} checkpoints, {plan.units:,} units, {plan.reused:,} of them already had a result"
        text += f"; {plan.slices:,} slices" if plan.slices else ""
        text += f"; {plan.put_aside:,} checkpoints are not evaluated" if plan.put_aside else ""
        table.add_row("Plan", text)
    if status.job_name:
        table.add_row("Job", Text(harmless(status.job_name)))
    if status.results:
        table.add_row("Results", Text(harmless(status.results)))
    table.add_row("Age", age((now - evaluation.created).total_seconds()))
    if status.start_time is not None:
        end = status.completion_time or now
        table.add_row("Took" if status.completion_time else "Runs for", age((end - status.start_time).total_seconds()))
    return table


def _has_more_failures(evaluation: Reported) -> bool:
    """How many lines more can't be told: a whole checkpoint is one line and many units."""
    progress, listed = evaluation.status.progress, evaluation.status.failures
    return progress is not None and len(listed) >= MAX_FAILURES and progress.failed > len(listed)
