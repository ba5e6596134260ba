"""How evaluations on a cluster are drawn: a list with bars on a terminal, one in detail, and plain lines for a log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fineline_cli.output import harmless
from fineline_cli.reported import Reported

BAR_WIDTH = 10
MAX_TO_MEND = 10

LEAVE_OUT = ("Checkpoints", "Bar", "Age", "Run", "Reason")
"""What a narrow terminal does without, in this order."""

UNSEEN_SECONDS = 60
"""After so long without a status it is told that no operator seems to look."""

STYLES = {"True": "green", "False": "red", "Unknown": "yellow"}


def list_drawn(
    evaluations: Sequence[Reported], now: datetime, *, namespaces: bool, width: int | None, height: int | None = None
) -> RenderableType:
    """The table, and below it what a person must mend. `width` and `height` are the terminal's; None for a log. Where
    there is a height, nothing wraps and finished ones are left out first."""
    shown = list(evaluations)
    below = [*mending_lines(evaluations, namespaces=namespaces), *unseen_lines(evaluations, now)]
    if height is not None:
        below = below[: height // 3]
        for text in below:
            text.no_wrap, text.overflow = True, "ellipsis"
        room = max(1, height - len(below) - 3)
        if len(shown) > room:
            chosen = sorted(shown, key=lambda each: each.finished)[:room]
            shown = sorted(chosen, key=lambda each: (each.namespace, each.name))
    parts: list[RenderableType] = [list_table(shown, now, namespaces=namespaces, width=width)]
    if len(shown) < len(evaluations):
        parts.append(Text(f"and {len(evaluations) - len(shown):,} more; in all {counted(evaluations)}", style="dim"))
    return Group(*parts, *below)


def list_table(evaluations: Sequence[Reported], now: datetime, *, namespaces: bool, width: int | None) -> Table:
    """One row each, with as many columns as fit."""
    rows = [_cells(evaluation, now) for evaluation in evaluations]
    columns = ["Name", "Run", "Checkpoints", "Bar", "Progress", "Succeeded", "Reason", "Age"]
    if namespaces:
        columns.insert(0, "Namespace")
    if width is None:
        columns.remove("Bar")
    else:
        for name in LEAVE_OUT:
            if _width(rows, columns) <= width:
                break
            columns.remove(name)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        header = "" if name == "Bar" else name
        table.add_column(header, justify="right" if name == "Checkpoints" else "left", overflow="fold")
    for evaluation, cells in zip(evaluations, rows, strict=True):
        table.add_row(*(bar(evaluation, BAR_WIDTH) if name == "Bar" else cells[name] for name in columns))
    return table


def counted(evaluations: Sequence[Reported]) -> str:
    """How many stand how, as in `440 succeeded, 3 failed, 57 unfinished`."""
    words = {"True": "succeeded", "False": "failed"}
    counts = Counter(words.get(each.succeeded, "unfinished") if each.finished else "unfinished" for each in evaluations)
    return ", ".join(f"{counts[word]:,} {word}" for word in ("succeeded", "failed", "unfinished") if counts[word])


def mending_lines(evaluations: Sequence[Reported], *, namespaces: bool) -> list[Text]:
    """A heading, and a line for each that a person must mend; nothing where nobody must act."""
    found = [(each, each.to_mend) for each in evaluations if each.to_mend is not None]
    lines = [Text(""), Text("Needs a person:", style="bold")] if found else []
    for evaluation, condition in found[:MAX_TO_MEND]:
        name = harmless(evaluation.key if namespaces else evaluation.name)
        lines.append(Text.assemble("  ", (name, "bold"), harmless(f": {condition.reason}: {condition.message}")))
    if len(found) > MAX_TO_MEND:
        lines.append(Text(f"  and {len(found) - MAX_TO_MEND:,} more; `fineline status NAME` tells of each"))
    return lines


def unseen_lines(evaluations: Sequence[Reported], now: datetime) -> list[Text]:
    """A line where no operator seems to look."""
    unseen = [
        each for each in evaluations if each.told is None and (now - each.created).total_seconds() > UNSEEN_SECONDS
    ]
    if not unseen:
        return []
    places = ", ".join(sorted({each.namespace for each in unseen})[:MAX_TO_MEND])
    which = unseen[0].name if len(unseen) == 1 else f"{len(unseen):,} of them"
    return [Text(""), Text(harmless(f"No operator has looked at {which}: does it run, and does it watch {places}?"))]


def line(evaluation: Reported, *, namespaces: bool = True) -> str:
    """How it stands, in one line for a log."""
    told = evaluation.told
    name = evaluation.key if namespaces else evaluation.name
    progress = evaluation.status.progress
    parts = [progress.text] if progress else []
    if told is None:
        parts.append("no operator has looked at it yet")
    else:
        parts.append(f"Succeeded={evaluation.succeeded or 'Unknown'} {told.reason}")
    text = f"{name}: {', '.join(parts)}"
    if told is not None and told.message:
        text += f": {told.message}"
    if evaluation.retry_pending:
        text += " (a retry was asked for)"
    return harmless(text)


def age(seconds: float) -> str:
    """A span as kubectl writes it: 45s, 5m30s, 3h, 12d; two units while that tells more."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86_400
    steps = (
        (whole < 120, f"{whole}s"),
        (minutes < 10, f"{minutes}m{whole % 60}s"),
        (hours < 3, f"{minutes}m"),
        (hours < 8, f"{hours}h{minutes % 60}m"),
        (hours < 48, f"{hours}h"),
        (days < 8, f"{days}d{hours % 24}h"),
    )
    text = next((text for fits, text in steps if fits), f"{days}d")
    return re.sub(r"(?<=[mhd])0[smh]$", "", text)


def _cells(evaluation: Reported, now: datetime) -> dict[str, Text]:
    status, told = evaluation.status, evaluation.told
    succeeded = evaluation.succeeded
    reason = told.reason if told else ""
    if evaluation.deleting:
        reason = "Deleting"
    elif evaluation.retry_pending:
        reason = "RetryAsked"
    values = {
        "Namespace": evaluation.namespace,
        "Name": evaluation.name,
        "Run": evaluation.run,
        "Checkpoints": f"{status.plan.checkpoints:,}" if status.plan else "",
        "Progress": status.progress.text if status.progress else "",
        "Succeeded": succeeded,
        "Reason": reason,
        "Age": age((now - evaluation.created).total_seconds()),
    }
    styles = {"Succeeded": STYLES.get(succeeded, ""), "Reason": "red" if evaluation.to_mend is not None else ""}
    return {name: Text(harmless(value), style=styles.get(name, "")) for name, value in values.items()}


def bar(evaluation: Reported, width: int) -> RenderableType:
    """How far the work is, red where some of it failed; nothing before there is a plan. No work at all is all done."""
    progress = evaluation.status.progress
    if progress is None:
        return ""
    whole = progress.of or 1
    done = min(whole, progress.published + progress.failed) if progress.of else whole
    style = "red" if progress.failed else "green"
    return ProgressBar(total=whole, completed=done, width=width, complete_style=style, finished_style=style)


def _width(rows: Sequence[dict[str, Text]], columns: Sequence[str]) -> int:
    """Cells that the table needs: two between columns."""
    widths = [
        BAR_WIDTH if name == "Bar" else max(len(name), *(cell_len(row[name].plain) for row in rows), 0)
        for name in columns
    ]
    return sum(widths) + 2 * (len(columns) - 1)
