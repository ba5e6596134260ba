"""Which ended CheckpointEvals of a source are kept."""

from __future__ import annotations

from collections.abc import Collection

from fineline.sources.batches import last_number, number_of
from fineline.sources.listing import Member
from fineline.sources.observed import MadeEvaluation, SourceObserved


def to_delete(observed: SourceObserved, unsettled: Collection[Member]) -> tuple[str, ...]:
    """Names of the ended ones beyond `history`, the oldest first.

    `unsettled` are the checkpoints of the listing with neither results nor recorded failures. One of this template that
    has some of them is kept, or they would be evaluated again and again. So is the last one that was
    made for this template, for the next one's number follows from it; and with `every`, of each branch the one with
    the farthest checkpoint: the count goes on from that, when the training has deleted it.
    """
    last = last_number(observed.made, observed.source, observed.template)
    history = observed.spec.history
    farthest = _farthest(observed)

    def needed(item: MadeEvaluation) -> bool:
        if item.template != observed.template:
            return False
        if last and number_of(item.name, observed.source, observed.template) == last:
            return True
        if item.name in farthest:
            return True
        return not item.members.isdisjoint(unsettled)

    gone: list[MadeEvaluation] = []
    for succeeded, most in ((True, history.succeeded), (False, history.failed)):
        ended = [item for item in observed.made if item.finished and item.succeeded is succeeded]
        ended.sort(key=_age, reverse=True)
        gone += [item for item in ended[most:] if not needed(item)]
    return tuple(item.name for item in sorted(gone, key=_age))


def _farthest(observed: SourceObserved) -> set[str]:
    """The names of those that hold the highest step of a branch; none where nothing counts from it."""
    if observed.spec.select is None or observed.spec.select.every is None:
        return set()
    steps: dict[str, tuple[int, float, str]] = {}
    for item in observed.made:
        if item.template == observed.template:
            for member in item.members:
                place = member.step, item.created.timestamp(), item.name
                steps[member.branch] = max(place, steps.get(member.branch, place))
    return {name for _, _, name in steps.values()}


def _age(item: MadeEvaluation) -> tuple[float, float, str]:
    created = item.created.timestamp()
    return item.ended.timestamp() if item.ended is not None else created, created, item.name
