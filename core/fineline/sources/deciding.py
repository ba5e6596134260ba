"""What to do about a CheckpointSource: a pure function of what one look saw. All of the rules are here and below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from fineline.resources.source_status import (
    MAX_WAITING_ON,
    NewestCheckpoint,
    SourceCounts,
    WaitingOn,
)
from fineline.sources import batches, history
from fineline.sources.choosing import Place, chosen
from fineline.sources.listing import Listing, Member, Walked
from fineline.sources.observed import MadeEvaluation, NewEvaluation, SourceDecision, SourceIdentity, SourceObserved
from fineline.sources.progress import MemberProgress

__all__ = ["MadeEvaluation", "NewEvaluation", "SourceDecision", "SourceIdentity", "SourceObserved", "decide"]

_LONGEST_MESSAGE = 2048

_MOST_IN_VAIN = 2
"""So many CheckpointEvals that succeeded may leave a checkpoint without results; then a person must look."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The chosen checkpoints by how far they have come; `waiting` are those that need a CheckpointEval."""

    evaluated: int
    failed: int
    under_way: tuple[Walked, ...]
    waiting: tuple[Walked, ...]
    unsettled: frozenset[Member]


def decide(observed: SourceObserved) -> SourceDecision:
    """What follows from one look. Nothing that was decided before is asked, so any look gives the same."""
    spec, made = observed.spec, observed.made
    checkpoints = observed.listing.checkpoints
    selected = _sorted(chosen(checkpoints, spec.select, _anchors(observed)), observed)
    running = any(not item.finished for item in made)
    cut = batches.Cut(()) if spec.suspend else batches.cut(selected.waiting, spec, observed.now, idle=not running)
    now_made = cut.batches[: batches.MOST_AT_ONCE]
    first = batches.last_number(made, observed.source, observed.template) + 1
    waiting = (*selected.under_way, *selected.waiting)
    return SourceDecision(
        create=tuple(
            NewEvaluation(batches.evaluation_name(observed.source, observed.template, number), together)
            for number, together in enumerate(now_made, first)
        ),
        delete=history.to_delete(observed, selected.unsettled),
        counts=SourceCounts(
            found=len(checkpoints),
            complete=sum(item.problem is None for item in checkpoints),
            evaluated=selected.evaluated,
            failed=selected.failed,
            waiting=len(waiting),
        ),
        newest=_newest(checkpoints, observed),
        waiting_on=_waiting_on(checkpoints, observed),
        evaluating=running or bool(waiting),
        changed=() if spec.suspend else _changed(waiting, observed),
        again_after=_again_after(observed, cut, more=len(cut.batches) > len(now_made)),
        waiting=waiting,
    )


def _anchors(observed: SourceObserved) -> set[Place]:
    """Where a choice was made: what has results, failed, or is a member of a CheckpointEval of this template."""
    places = {
        (member.branch, member.step) for member, state in observed.progress.items() if state is not MemberProgress.OPEN
    }
    for item in _of_template(observed):
        places.update((member.branch, member.step) for member in item.members)
    return places


def _of_template(observed: SourceObserved) -> Iterable[MadeEvaluation]:
    return (item for item in observed.made if item.template == observed.template)


def _sorted(selected: Sequence[Walked], observed: SourceObserved) -> _Sorted:
    taken: set[Member] = set()
    running: set[Member] = set()
    succeeded: Counter[Member] = Counter()
    for made in _of_template(observed):
        taken |= made.members
        if not made.finished:
            running |= made.members
        elif made.succeeded:
            succeeded.update(made.members)
    evaluated = failed = 0
    under_way: list[Walked] = []
    waiting: list[Walked] = []
    for item in selected:
        member = item.member
        state = observed.progress.get(member, MemberProgress.OPEN)
        if state is MemberProgress.EVALUATED:
            evaluated += 1
        elif state is MemberProgress.FAILED:
            failed += 1
        elif item.problem is not None:
            failed += not item.problem.passing
        elif member not in taken:
            waiting.append(item)
        elif member in running or (member in succeeded and member not in observed.fresh):
            # Of one that has succeeded the results are there, and will be seen with the next listing of them.
            under_way.append(item)
        elif 0 < succeeded[member] < _MOST_IN_VAIN:
            # They were there: somebody deleted them.
            waiting.append(item)
        else:
            # Its CheckpointEval ended without a word on it, past its deadline for instance: a person must retry that.
            failed += 1
    unsettled = frozenset(
        member
        for member in (item.member for item in observed.listing.checkpoints)
        if member in taken and observed.progress.get(member, MemberProgress.OPEN) is MemberProgress.OPEN
    )
    return _Sorted(evaluated, failed, tuple(under_way), tuple(waiting), unsettled)


def _newest(checkpoints: Sequence[Walked], observed: SourceObserved) -> NewestCheckpoint | None:
    """The last complete one of the branch that grew last. When it was seen, and evaluated, the status says, unless it
    has other bytes now."""
    last = {item.position.branch: item for item in checkpoints if item.problem is None}
    if not last:
        return None
    newest = max(last.values(), key=lambda item: (item.changed, item.position.branch))
    branch, step, tokens = newest.position.branch, newest.position.step, newest.position.tokens
    before = observed.status.newest
    if before is not None and (before.branch, before.step, before.digest) == (branch, step, newest.digest):
        seen, evaluated = before.seen_at or observed.now, before.evaluated_at
    else:
        seen, evaluated = _first_seen(newest, observed), None
    if observed.progress.get(newest.member) is not MemberProgress.EVALUATED:
        evaluated = None
    elif evaluated is None:
        evaluated = observed.now
    return NewestCheckpoint(
        branch=branch, step=step, tokens=tokens, digest=newest.digest, seen_at=seen, evaluated_at=evaluated
    )


def _first_seen(newest: Walked, observed: SourceObserved) -> datetime:
    """When one that the status does not tell was seen to be complete: now, but for one that had settled by the last
    listing, and is the newest only since another is gone."""
    before = observed.status
    settled = newest.changed + timedelta(seconds=observed.spec.complete.settle_seconds)
    overwritten = before.newest is not None and (before.newest.branch, before.newest.step) == _place(newest)
    if before.newest is None or overwritten or before.last_listed is None or before.last_listed < settled:
        return observed.now
    return settled


def _waiting_on(checkpoints: Sequence[Walked], observed: SourceObserved) -> tuple[WaitingOn, ...]:
    """The incomplete ones, the newest first; behind them folders that have no place in the series, and at last those
    that gave theirs up to another, for which nothing is missing."""
    incomplete = [
        item
        for item in checkpoints
        if item.problem is not None and observed.progress.get(item.member) is not MemberProgress.EVALUATED
    ]
    incomplete.sort(key=lambda item: (-item.position.step, item.position.branch, item.folder))
    told = [(item.folder, item.problem.reason, item.problem.message) for item in incomplete if item.problem is not None]
    aside = sorted(observed.listing.aside, key=lambda one: one.reason == "DuplicatePosition")
    return tuple(
        WaitingOn(checkpoint=folder or ".", reason=reason, message=_cut(message))
        for folder, reason, message in islice((*told, *aside), MAX_WAITING_ON)
    )


def _cut(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"


def _place(item: Walked) -> Place:
    return item.position.branch, item.position.step


def _changed(waiting: Sequence[Walked], observed: SourceObserved) -> tuple[Member, ...]:
    """Those that have no results yet, where other bytes were evaluated or are a member of a CheckpointEval."""
    if not waiting:
        return ()
    known = {member for member, state in observed.progress.items() if state is not MemberProgress.OPEN}
    for item in observed.made:
        known |= item.members
    digests: dict[Place, set[str]] = {}
    for member in known:
        digests.setdefault((member.branch, member.step), set()).add(member.digest)
    return tuple(item.member for item in waiting if digests.get(_place(item), set()) - {item.digest})


def _again_after(observed: SourceObserved, cut: batches.Cut, *, more: bool) -> float | None:
    if more:
        return 0.0
    listing: Listing = observed.listing
    moments = [moment for moment in (listing.settles_at, cut.due) if moment is not None]
    return max(0.0, (min(moments) - observed.now).total_seconds()) if moments else None
