"""Conditions as Kubernetes writes them: what is wanted, and what that makes of those that stand there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fineline.resources.status import Condition, ConditionStatus

MAX_REASON = 128
MAX_MESSAGE = 2048
NOBODY = "Nothing needs a person."
"""What Stalled=False says."""


@dataclass(frozen=True, slots=True)
class ConditionWanted:
    """A condition without its times, which depend on what was there before."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


def condition(kind: str, status: ConditionStatus, reason: str, message: str) -> ConditionWanted:
    """One condition, with a reason that the CRD takes whatever the API server or a pod called it."""
    return ConditionWanted(kind, status, _word(reason), message)


def merged(
    wanted: Sequence[ConditionWanted], before: Sequence[Condition], now: datetime, generation: int
) -> tuple[Condition, ...]:
    """The conditions to write: a time of transition stays while the status does."""
    there = {item.type: item for item in before}
    return tuple(_condition(item, there.get(item.type), now, generation) for item in wanted)


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


def _word(reason: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]", "", str(reason)).lstrip("0123456789_")
    return plain[:MAX_REASON] or "Unknown"
