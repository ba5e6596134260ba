"""`fineline status`: the CheckpointEvals of a cluster, once; as they change in status_watch.py."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from fineline.errors import SpecError
from fineline_cli import output
from fineline_cli.cluster import Cluster, connect
from fineline_cli.output import Format
from fineline_cli.reported import reported, reported_row
from fineline_cli.status_details import details_drawn
from fineline_cli.status_tables import list_drawn
from fineline_cli.status_watch import Scope, watch_status

COLUMNS = (
    "namespace", "name", "run", "suite", "queue", "checkpoints", "units", "reused", "published", "failed", "of",
    "succeeded", "reason", "message", "stalled", "finished", "created", "started", "completed", "job", "results",
)  # fmt: skip
"""Of the CSV; JSON has more."""


def show_status(
    name: str | None,
    namespace: str | None,
    *,
    everywhere: bool = False,
    watch: bool = False,
    kubeconfig: Path | None = None,
    context: str | None = None,
    output_format: Format = Format.TABLE,
) -> int:
    """Prints how they stand and returns the exit code: 0, but 1 for a watch of one evaluation that ended badly."""
    if everywhere and (name is not None or namespace is not None):
        raise SpecError("--all-namespaces: takes neither NAME nor --namespace")
    if watch and output_format is Format.CSV:
        raise SpecError("--watch: prints a table or lines, or with -o json an object per change; not csv")
    check_name("NAME", name)
    check_name("--namespace", namespace)
    cluster = connect(kubeconfig, context)
    scope = Scope(None if everywhere else namespace or cluster.namespace, name)
    if watch:
        return watch_status(cluster, scope, output_format)
    if scope.namespace is not None and name is not None:
        _show_one(cluster, scope.namespace, name, output_format)
    else:
        _show_all(cluster, scope, output_format)
    return 0


def check_name(option: str, name: str | None) -> None:
    """`SpecError` where no object can be called so: it would be another address."""
    if name is not None and not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", name):
        raise SpecError(f"{option}: {name!r} is not the name of an object: small letters, digits, `-` and `.`")


def _show_one(cluster: Cluster, namespace: str, name: str, output_format: Format) -> None:
    evaluation = reported(cluster.evaluation(namespace, name))
    if output_format is Format.TABLE:
        console = output.console()
        console.print(details_drawn(evaluation, datetime.now(UTC), width=output.terminal_width(console)))
    else:
        output.emit([reported_row(evaluation)], COLUMNS, output_format)


def _show_all(cluster: Cluster, scope: Scope, output_format: Format) -> None:
    evaluations = sorted(map(reported, cluster.evaluations(scope.namespace).bodies), key=lambda each: each.place)
    if not evaluations:
        if scope.namespace is not None:
            cluster.check_namespace(scope.namespace)
        output.say(f"no CheckpointEval in {scope}{'; -A looks in all' if scope.namespace else ''}")
    if output_format is not Format.TABLE:
        output.emit([reported_row(each) for each in evaluations], COLUMNS, output_format)
    elif evaluations:
        console = output.console()
        now, width = datetime.now(UTC), output.terminal_width(console)
        console.print(list_drawn(evaluations, now, namespaces=scope.namespace is None, width=width))
