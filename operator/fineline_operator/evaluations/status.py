"""The status to write, from what is wanted and what stands there: pure."""

from __future__ import annotations

from datetime import datetime

from fineline.resources.status import CheckpointEvalStatus
from fineline_operator.evaluations.decision import StatusWanted
from fineline_operator.evaluations.observed import EvaluationSeen
from fineline_operator.telling.conditions import merged


def next_status(evaluation: EvaluationSeen, wanted: StatusWanted, now: datetime) -> CheckpointEvalStatus | None:
    """The status that should stand there; None where it does already."""
    before = CheckpointEvalStatus() if wanted.forget else evaluation.status
    moment = now.replace(microsecond=0)
    after = CheckpointEvalStatus(
        observed_generation=evaluation.generation,
        # An older status may know further conditions: server-side apply would take them away, and so it should.
        conditions=merged(wanted.conditions, evaluation.status.conditions, moment, evaluation.generation),
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
