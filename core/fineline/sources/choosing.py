"""Which of the checkpoints are evaluated: `select` of a CheckpointSource, as a pure function.

A choice that was made stays: what was evaluated, or is a member of a CheckpointEval, is an anchor that `every` goes on
counting from, whatever comes late or is deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

from fineline.resources.checkpoint_source import SourceSelect
from fineline.sources.listing import Walked

Place = tuple[str, int]
"""(branch, step)."""


def chosen(
    checkpoints: Sequence[Walked], select: SourceSelect | None, anchors: Collection[Place] = ()
) -> tuple[Walked, ...]:
    """Those that are selected, complete or not, in the order that they came in: by (branch, tokens or step).

    `from` and `to` first. Then with `every: N`, in each branch: the anchors, or the first where there is none; and each
    N-th after the last one chosen, counted over all that are there, complete or not. Those that come late before the
    first anchor are counted back from it. Folders that claim one position have one place.

    A training may delete all but its last few. So an anchor that is gone is counted from as well, and what went with
    it is counted too, as if it had stood as close as the closest that are there.
    """
    if select is None:
        return tuple(checkpoints)
    low = 0 if select.from_ is None else select.from_
    inside = [
        item
        for item in checkpoints
        if item.position.step >= low and (select.to is None or item.position.step <= select.to)
    ]
    if select.every is None:
        return tuple(inside)
    of_branch: dict[str, list[Walked]] = defaultdict(list)
    for item in inside:
        of_branch[item.position.branch].append(item)
    steps: dict[str, set[int]] = defaultdict(set)
    for branch, step in anchors:
        if step >= low and (select.to is None or step <= select.to):
            steps[branch].add(step)
    taken: list[Walked] = []
    for branch, items in of_branch.items():
        chosen_steps = set(_each_nth((item.position.step for item in items), select.every, steps[branch]))
        taken += [item for item in items if item.position.step in chosen_steps]
    return tuple(taken)


def _each_nth(steps: Iterable[int], every: int, anchors: set[int]) -> Iterator[int]:
    """Of the steps of a branch, in its order: the anchors, or the first, and each N-th from there on, and back.

    The order is that of tokens where all tell them, in which steps need not rise.
    """
    ordered = list(dict.fromkeys(steps))
    first = _first_anchored(ordered, anchors) if anchors else 0
    yield from ordered[first % every : first : every]
    apart = min((later - step for step, later in pairwise(sorted(ordered))), default=0)
    gone = sorted(anchors.difference(ordered), reverse=True)
    since = 0 if anchors else every - 1
    for step in ordered[first:]:
        while gone and gone[-1] < step:
            distance = step - gone.pop()
            since = max(distance // apart - 1, 0) if apart else 0
        since += 1
        if since >= every or step in anchors:
            since = 0
            yield step


def _first_anchored(ordered: Sequence[int], anchors: set[int]) -> int:
    """The index of the first anchor, or of what follows one that is gone: of that nothing is known but its step."""
    first_gone = min(anchors.difference(ordered), default=None)
    return next(
        (
            index
            for index, step in enumerate(ordered)
            if step in anchors or (first_gone is not None and first_gone < step)
        ),
        len(ordered),
    )
