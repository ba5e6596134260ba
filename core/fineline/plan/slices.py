"""Cuts a plan's units into slices of about the same cost, each over as few checkpoints as possible, in order.

So each pod's engine stays warm, and the next checkpoint's download overlaps with the scoring of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SPLIT_GAIN = 1.25
"""A checkpoint is split over two slices only if the longest slice gets shorter by this factor: it is loaded twice."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a unit costs, in any one unit of cost, and what loading its checkpoint costs."""

    checkpoint: int
    work: float
    load: float


def cut(costs: Sequence[Cost], slices: int) -> list[range]:
    """Contiguous ranges over `costs` (in order of checkpoint), at most `slices`, none empty."""
    if not costs:
        return []
    whole = _cut_between(_groups(costs, by_checkpoint=True), slices)
    split = _cut_between(_groups(costs, by_checkpoint=False), slices)
    chosen = split if whole.longest > SPLIT_GAIN * split.longest else whole
    return list(chosen.parts)


@dataclass(frozen=True, slots=True)
class _Group:
    """Units that stay together."""

    checkpoint: int
    stop: int
    work: float
    load: float


@dataclass(frozen=True, slots=True)
class _Cut:
    parts: tuple[range, ...]
    longest: float


def _groups(costs: Sequence[Cost], *, by_checkpoint: bool) -> list[_Group]:
    groups: list[_Group] = []
    for index, cost in enumerate(costs):
        if by_checkpoint and groups and groups[-1].checkpoint == cost.checkpoint:
            groups[-1] = _Group(cost.checkpoint, index + 1, groups[-1].work + cost.work, cost.load)
        else:
            groups.append(_Group(cost.checkpoint, index + 1, cost.work, cost.load))
    return groups


def _cut_between(groups: Sequence[_Group], slices: int) -> _Cut:
    """The contiguous cut whose longest slice is shortest, found by bisection over its length."""
    low = max(group.work + group.load for group in groups)
    high = sum(group.work + group.load for group in groups)
    best = _filled(groups, high)
    for _ in range(40):
        middle = (low + high) / 2
        candidate = _filled(groups, middle)
        if len(candidate.parts) <= slices:
            best, high = candidate, middle
        else:
            low = middle
    return best


def _filled(groups: Sequence[_Group], capacity: float) -> _Cut:
    """Fills one slice after another up to `capacity`; a slice that starts within a checkpoint loads it again."""
    parts: list[range] = []
    start, stop, cost, longest = 0, 0, 0.0, 0.0
    loaded: int | None = None
    for group in groups:
        added = group.work + (0.0 if group.checkpoint == loaded else group.load)
        if stop > start and cost + added > capacity * (1 + 1e-12):
            parts.append(range(start, stop))
            start, cost, added = stop, 0.0, group.work + group.load
        cost += added
        stop, loaded = group.stop, group.checkpoint
        longest = max(longest, cost)
    return _Cut((*parts, range(start, stop)), longest)
