"""What a Job's body says, as the plain value that decisions rest on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from fineline_operator.evaluations.observed import JobSeen
from fineline_operator.jobs.kueue import QUEUE_LABEL
from fineline_operator.jobs.ownership import MADE_FROM_ANNOTATION

MAX_INDEXES = 100_000
"""More indexes than this no Job with limits per index can have: what says so is not believed."""


def job_seen(body: Mapping[str, Any]) -> JobSeen:
    """The Job as the API server gave it.

    It is finished at Complete or Failed, not before: FailureTarget and SuccessCriteriaMet say how it will end while
    pods still run. It has not started while the Job controller says that it is suspended: after a resume the time of
    the start before stands there until the controller takes it up.
    """
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    conditions = status.get("conditions") or ()
    finished = _finished(conditions)
    ending: Mapping[str, Any] = finished or {}
    created = moment(metadata.get("creationTimestamp"))
    return JobSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        created=created or datetime.fromtimestamp(0, UTC),
        deleting=metadata.get("deletionTimestamp") is not None,
        suspended=bool(spec.get("suspend")),
        parallelism=spec.get("parallelism", 1),
        completions=spec.get("completions") or 1,
        active=status.get("active") or 0,
        ready=status.get("ready") or 0,
        terminating=status.get("terminating") or 0,
        completed_indexes=count_indexes(status.get("completedIndexes") or ""),
        failed_indexes=count_indexes(status.get("failedIndexes") or ""),
        started=None if _is_true(conditions, "Suspended") else moment(status.get("startTime")),
        finished=_how(ending),
        finished_reason=ending.get("reason") or "",
        finished_message=ending.get("message") or "",
        made_from=(metadata.get("annotations") or {}).get(MADE_FROM_ANNOTATION, ""),
        queue_name=(metadata.get("labels") or {}).get(QUEUE_LABEL, ""),
        ttl_seconds=spec.get("ttlSecondsAfterFinished"),
        failed_pods=status.get("failed") or 0,
    )


def count_indexes(text: str) -> int:
    """How many indexes a text such as `0-3,7` names; parts that are no range count for nothing."""
    return min(sum(_span(part) for part in text.split(",")), MAX_INDEXES)


def moment(text: str | None) -> datetime | None:
    """A time as Kubernetes writes it; None where there is none, or it can't be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _span(part: str) -> int:
    first, dash, last = part.strip().partition("-")
    if not dash:
        last = first
    if not (_is_index(first) and _is_index(last)):
        return 0
    return max(int(last) - int(first) + 1, 0)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_INDEXES))


def _is_true(conditions: Any, kind: str) -> bool:
    return any(item.get("type") == kind and item.get("status") == "True" for item in conditions)


def _finished(conditions: Any) -> Mapping[str, Any] | None:
    for condition in conditions:
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            return dict(condition)
    return None


def _how(ending: Mapping[str, Any]) -> Literal["", "Complete", "Failed"]:
    match ending.get("type"):
        case "Complete":
            return "Complete"
        case "Failed":
            return "Failed"
        case _:
            return ""
