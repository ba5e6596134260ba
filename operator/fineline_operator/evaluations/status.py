"""The status to write, from what is wanted and what stands there: pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fineline.resources.status import CheckpointEvalStatus, Condition
from fineline_operator.evaluations.decision import ConditionWanted, StatusWanted
from fineline_operator.evaluations.observed import EvaluationSeen

MAX_MESSAGE = 2048


def next_status(evaluation: EvaluationSeen, wanted: StatusWanted, now: datetime) -> CheckpointEvalStatus | None:
    """The status that should stand there; None where it does already."""
    before = CheckpointEvalStatus() if wanted.forget else evaluation.status
    moment = now.replace(microsecond=0)
    after = CheckpointEvalStatus(
        observed_generation=evaluation.generation,
        # An older status may know further conditions: server-side apply would take them away, and so it should.
        conditions=tuple(
            _condition(item, evaluation.status.condition(item.type), moment, evaluation.generation)
            for item in wanted.conditions
        ),
        plan=wanted.plan or before.plan,
        progress=wanted.progress or before.progress,
        failures=before.failures if wanted.failures is None else wanted.failures,
        results=wanted.results or before.results,
        job_name=before.job_name if wanted.job_name is None else wanted.job_name or None,
        retry=before.retry if wanted.retry is None else wanted.retry,
        start_time=before.start_time or (moment if wanted.started else None),
        completion_time=before.completion_time or (moment if wanted.finished else None),
    )
    return None if after == evaluation.status else after


def status_body(evaluation: EvaluationSeen, status: CheckpointEvalStatus, api_version: str) -> dict[str, Any]:
    """The body of the server-side apply. The uid in it makes sure that it is not a namesake that is written to."""
    return {
        "apiVersion": api_version,
        "kind": "CheckpointEval",
        "metadata": {"name": evaluation.name, "namespace": evaluation.namespace, "uid": evaluation.uid},
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _condition(wanted: ConditionWanted, before: Condition | None, now: datetime, generation: int) -> Condition:
    same = before is not None and before.status == wanted.status
    return Condition(
        type=wanted.type,
        status=wanted.status,
        reason=wanted.reason,
        message=_cut(wanted.message),
        last_transition_time=before.last_transition_time if before is not None and same else now,
        observed_generation=generation,
    )


def _cut(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…"
