"""`fineline status --watch`: a picture that is kept up to date on a terminal, a line per change in a log, an object per
change for programs. The watch of one evaluation ends with it, so that a script can wait.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from fineline.errors import ClusterError
from fineline_cli import output
from fineline_cli.cluster import Cluster
from fineline_cli.following import Known, Seen, follow
from fineline_cli.output import Format, Row, harmless
from fineline_cli.reported import reported_row
from fineline_cli.status_details import details_drawn
from fineline_cli.status_tables import line, list_drawn

REFRESHES_PER_SECOND = 2
"""At most so often is the terminal drawn anew, however much happens."""


@dataclass(frozen=True)
class Scope:
    """What is looked at: all namespaces (None) or one, all evaluations (None) or one."""

    namespace: str | None
    name: str | None

    def __str__(self) -> str:
        return "any namespace" if self.namespace is None else f"namespace {self.namespace}"


def watch_status(cluster: Cluster, scope: Scope, output_format: Format) -> int:
    """Until it is finished, where one is named; else until it is stopped, which is no failure. The exit code."""
    known: Known = {}
    try:
        if scope.namespace is not None and scope.name is not None:
            cluster.evaluation(scope.namespace, scope.name)  # where it is not there, this says what is
        elif scope.namespace is not None:
            cluster.check_namespace(scope.namespace)
        _show(_until_finished(follow(cluster, scope.namespace, scope.name, known), scope), known, scope, output_format)
    except KeyboardInterrupt:
        return 0
    return 0 if all(each.succeeded == "True" for each in known.values()) else 1


def _show(seen: Iterator[Seen], known: Known, scope: Scope, output_format: Format) -> None:
    console = output.console()
    if output_format is Format.JSON:
        _print_objects(seen)
    elif console.is_terminal and not console.is_dumb_terminal:
        _draw(seen, known, scope, console)
    else:
        _print_lines(seen, known, scope, console)


def _until_finished(seen: Iterator[Seen], scope: Scope) -> Iterator[Seen]:
    """Passes on what is seen; ends where the named one is finished, fails where it is deleted."""
    for news in seen:
        yield news
        if scope.name is None:
            continue
        if news.gone:
            raise ClusterError(f"{scope.namespace}/{scope.name}: was deleted", reason="NotFound")
        if any(each.finished for each in news.changed):
            return


def _draw(seen: Iterator[Seen], known: Known, scope: Scope, console: Console) -> None:
    """The picture. It is drawn by a thread of its own, from a copy of what is known."""
    lost = ""

    def picture() -> RenderableType:
        evaluations = sorted(known.values(), key=lambda each: each.place)
        now = datetime.now(UTC)
        footer = [Text(harmless(f"trying again: {lost}"), style="yellow")] if lost else []
        if scope.name is not None and evaluations:
            return Group(details_drawn(evaluations[0], now, width=console.width), *footer)
        if not evaluations:
            return Group(f"no CheckpointEval in {scope} yet", *footer)
        size = console.size
        height = size.height - 3 * len(footer)
        drawn = list_drawn(evaluations, now, namespaces=scope.namespace is None, width=size.width, height=height)
        return Group(drawn, *footer)

    with Live(console=console, get_renderable=picture, refresh_per_second=REFRESHES_PER_SECOND):
        for news in seen:
            lost = news.lost


def _print_lines(seen: Iterator[Seen], known: Known, scope: Scope, console: Console) -> None:
    """A line for each change that a person would notice; at the end of a named one its details."""
    namespaces = scope.namespace is None
    last: dict[tuple[str, str], str] = {}
    lost = False
    for news in seen:
        if news.lost and not lost:
            output.say(f"trying again: {news.lost}")
        elif lost and not news.lost:
            output.say("the cluster answers again")
        lost = bool(news.lost)
        for each in sorted(news.changed, key=lambda each: each.place):
            text = line(each, namespaces=namespaces)
            if last.get(each.place) != text:
                last[each.place] = text
                _print_line(text)
        for each in news.gone:
            last.pop(each.place, None)
            _print_line(f"{each.key if namespaces else each.name}: deleted")
    for each in known.values() if scope.name is not None else ():
        console.print(details_drawn(each, datetime.now(UTC), width=None))


def _print_objects(seen: Iterator[Seen]) -> None:
    """An object and line for each change, for programs."""
    last: dict[tuple[str, str], Row] = {}
    for news in seen:
        for each in (*sorted(news.changed, key=lambda each: each.place), *news.gone):
            row = reported_row(each) | {"deleted": each in news.gone}
            if last.get(each.place) != row:
                last[each.place] = row
                _print_line(json.dumps(row, allow_nan=False))


def _print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()  # whoever reads from a pipe wants it now
