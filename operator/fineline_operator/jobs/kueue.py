"""Kueue's side of a Job: what its Workload says.

Read as `kueue.x-k8s.io/v1beta2`, which Kueue serves since 0.15; its v1beta1 says all of this in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fineline_operator.evaluations.observed import WorkloadSeen

WORKLOAD_JOB_LABEL = "kueue.x-k8s.io/job-uid"
"""On a Workload: the uid of its Job."""

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""On a Job: the LocalQueue that it is handed to."""

PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
"""On a Job: its WorkloadPriorityClass."""

MAX_MESSAGE = 1000

Conditions = Mapping[str, Mapping[str, Any]]


def workload_seen(body: Mapping[str, Any]) -> WorkloadSeen:
    """A Workload as the API server gave it."""
    status = body.get("status") or {}
    conditions: Conditions = {item["type"]: item for item in status.get("conditions") or ()}
    evicted = _is_true(conditions, "Evicted")
    message = _message(conditions, status.get("admissionChecks") or ())
    return WorkloadSeen(
        name=body["metadata"]["name"],
        active=(body.get("spec") or {}).get("active", True),
        admitted=_is_true(conditions, "Admitted"),
        evicted=(conditions["Evicted"].get("reason") or "Evicted") if evicted else "",
        message=message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…",
    )


def _message(conditions: Conditions, checks: Iterable[Mapping[str, Any]]) -> str:
    """Kueue's words on where the Workload stands, the cause first."""
    evicted = _is_true(conditions, "Evicted")
    for kind in ("Finished", "Admitted"):
        # One that is evicted stays admitted until its pods are gone.
        if _is_true(conditions, kind) and not evicted:
            return _said(conditions, kind)
    reasons = []
    if evicted:
        # Preempted says by whom; Evicted only that it was.
        reasons.append(_said(conditions, "Preempted" if _is_true(conditions, "Preempted") else "Evicted"))
    if _is_true(conditions, "QuotaReserved"):
        reasons += [
            f"admission check {check.get('name')}: {check.get('message') or check.get('state')}"
            for check in checks
            if check.get("state") != "Ready"
        ]
    else:
        reasons.append(_said(conditions, "QuotaReserved"))
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def _is_true(conditions: Conditions, kind: str) -> bool:
    return conditions.get(kind, {}).get("status") == "True"


def _said(conditions: Conditions, kind: str) -> str:
    return " ".join(str(conditions.get(kind, {}).get("message") or "").split())
