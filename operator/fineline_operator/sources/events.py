"""The events on a CheckpointSource: pure. Each has the same words whenever it is told, for it is known by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from fineline.resources.source_reasons import SourceEvent, SourceReason
from fineline.sources.deciding import MadeEvaluation
from fineline.sources.listing import Member
from fineline_operator.sources.observed import SourceSeen
from fineline_operator.telling.events import EventWanted, event
from fineline_operator.telling.words import counted

MOST_NAMED = 5
"""So many checkpoints an event names; the CheckpointEval itself names all."""

FRESH = timedelta(minutes=10)
"""So long after its making a CheckpointEval's event is told, if it was not: whoever made it may have died then."""


def created(name: str, members: Collection[Member]) -> EventWanted:
    """That a CheckpointEval was made."""
    return event(SourceEvent.EVALUATION_CREATED, f"{name}: {_named(members)}.")


def made_lately(evaluations: Iterable[MadeEvaluation], now: datetime) -> list[MadeEvaluation]:
    """Those that were made a moment ago. What was told of them is told again: by its words that is once."""
    return [one for one in evaluations if now - one.created < FRESH]


def changed(name: str, members: Collection[Member]) -> EventWanted:
    """That members of a CheckpointEval have other bytes than those that were evaluated."""
    has, them = ("has", "it") if len(members) == 1 else ("have", "them")
    return event(
        SourceEvent.CHECKPOINT_CHANGED, f"{_named(members)} {has} other bytes now: {name} evaluates {them} again."
    )


def turned(seen: SourceSeen, *, suspend: bool) -> EventWanted | None:
    """That `spec.suspend` stops it, or lets it go on: until the status shows so."""
    was_suspended = seen.reason == SourceReason.SUSPENDED
    if suspend and not was_suspended:
        return event(SourceEvent.SUSPENDED, "spec.suspend is true: no CheckpointEval is made until it is false.")
    if was_suspended and not suspend:
        return event(SourceEvent.RESUMED, "spec.suspend is false: what came meanwhile is evaluated.")
    return None


def _named(members: Collection[Member]) -> str:
    first = sorted(members)[:MOST_NAMED]
    rest = len(members) - len(first)
    named = ", ".join(_place(member) for member in first)
    return f"{named} and {counted(rest, 'further checkpoint')}" if rest else named


def _place(member: Member) -> str:
    return f"step {member.step:,}" if member.branch == "main" else f"{member.branch} step {member.step:,}"
