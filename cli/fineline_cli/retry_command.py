"""`fineline retry`: has the operator open a finished or stalled CheckpointEval once more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fineline.errors import ClusterError
from fineline_cli import output
from fineline_cli.cluster import connect
from fineline_cli.reported import RETRY_ANNOTATION, Reported, reported
from fineline_cli.status_command import check_name

TRIES = 5
"""How often it is read and annotated anew where the operator wrote in between."""


def retry_evaluation(
    name: str, namespace: str | None, *, kubeconfig: Path | None = None, context: str | None = None
) -> None:
    """Sets the annotation to a value that it never had, and says what follows. `ClusterError` where there is nothing to
    try again."""
    check_name("NAME", name)
    check_name("--namespace", namespace)
    cluster = connect(kubeconfig, context)
    place = namespace or cluster.namespace
    for tries_left in reversed(range(TRIES)):
        body = cluster.evaluation(place, name)
        evaluation = reported(body)
        if evaluation.retry_pending and not evaluation.deleting:
            text = f"{evaluation.key}: a retry was asked for already; the operator has not taken it up yet"
            output.console().print(output.harmless(text), markup=False)
            return
        answer = what_follows(evaluation)
        try:
            cluster.annotate(body, RETRY_ANNOTATION, datetime.now(UTC).isoformat(timespec="microseconds"))
        except ClusterError as error:
            if error.reason != "Conflict" or not tries_left:
                raise
            continue
        output.console().print(output.harmless(answer), markup=False)
        return


def what_follows(evaluation: Reported) -> str:
    """What a retry of it brings. `ClusterError` where a retry means nothing."""
    if evaluation.deleting:
        raise ClusterError(f"{evaluation.key}: is being deleted", reason="Deleting")
    if not evaluation.status.finished and not evaluation.stalled:
        raise ClusterError(
            f"{evaluation.key}: is not finished: there is nothing to try again yet; see how it stands with: "
            f"fineline status {evaluation.name} -n {evaluation.namespace}",
            reason="NotFinished",
        )
    progress, plan = evaluation.status.progress, evaluation.status.plan
    failed = progress.failed if progress else 0
    there = (progress.published if progress else 0) + (plan.reused if plan else 0)
    if evaluation.status.finished:
        text = f"{evaluation.key}: is planned again"
        text += f"; {failed:,} failed units are tried again" if failed else ""
        text += f"; {there:,} units that have a result are not done again" if there else ""
        text += "; checkpoints that are complete by now are evaluated as well"
    else:
        text = f"{evaluation.key}: is looked at again now; if what stalled it is mended, it goes on"
    if evaluation.suspended:
        text += "; but spec.suspend is set: no pod starts until it is taken away"
    return f"{text}. Follow it with: fineline status {evaluation.name} -n {evaluation.namespace} -w"
