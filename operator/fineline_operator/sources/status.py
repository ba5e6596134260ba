"""The status to write, from what is wanted and what stands there: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fineline.resources.source_status import CheckpointSourceStatus, NewestCheckpoint, SourceCounts, WaitingOn
from fineline_operator.sources.observed import SourceSeen
from fineline_operator.telling.conditions import ConditionWanted, merged

LISTED_SECONDS = 300.0
"""`lastListed` alone is worth a write so often: one each poll of each source would be most of what is written."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a listing and a decision say."""

    counts: SourceCounts
    newest: NewestCheckpoint | None
    waiting_on: tuple[WaitingOn, ...]
    listed_at: datetime | None
    waiting_since: datetime | None


def next_status(
    seen: SourceSeen,
    conditions: tuple[ConditionWanted, ...],
    findings: Findings | None,
    now: datetime,
    *,
    suspended: bool = False,
) -> CheckpointSourceStatus | None:
    """The status that should stand there; None where it does already. Without findings what was found stays, but for
    what waits where it is suspended."""
    before = seen.status
    moment = now.replace(microsecond=0)
    waiting_since = findings.waiting_since if findings is not None else before.waiting_since
    after = CheckpointSourceStatus(
        observed_generation=seen.generation,
        conditions=merged(conditions, before.conditions, moment, seen.generation),
        checkpoints=findings.counts if findings is not None else before.checkpoints,
        newest=findings.newest if findings is not None else before.newest,
        waiting_on=findings.waiting_on if findings is not None else before.waiting_on,
        waiting_since=None if suspended else waiting_since,
        last_listed=before.last_listed,
    )
    listed = findings.listed_at if findings is not None else None
    if listed is None:
        return None if after == before else after
    listed = listed.replace(microsecond=0)
    stale = before.last_listed is None or (listed - before.last_listed).total_seconds() >= LISTED_SECONDS
    if after == before and not stale:
        return None
    return after.model_copy(update={"last_listed": listed})
