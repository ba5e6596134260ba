"""Which of the found checkpoints are evaluated: `select` and `pinned` of a resource, as a pure function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fineline.checkpoints.checkpoint import Checkpoint
from fineline.errors import CheckpointError, SpecError


@dataclass(frozen=True, slots=True)
class Pin:
    """One checkpoint, exactly. `digest` None takes whatever lies at the position."""

    branch: str
    step: int
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class NotSelected:
    """Something that was asked for by its step and can't be had. `branch` is None where none was named."""

    branch: str | None
    step: int
    error: CheckpointError


@dataclass(frozen=True, slots=True)
class Selected:
    """`checkpoints` are complete and in order; `incomplete` were selected and have a problem; `missing` were asked for
    by step or pin and are not there, or have changed. A problem of one never stops the others."""

    checkpoints: tuple[Checkpoint, ...]
    incomplete: tuple[Checkpoint, ...] = ()
    missing: tuple[NotSelected, ...] = ()


def select(
    found: Sequence[Checkpoint],
    *,
    steps: Sequence[int] | None = None,
    every: int | None = None,
    last: int | None = None,
    from_step: int | None = None,
    to_step: int | None = None,
    pinned: Sequence[Pin] | None = None,
) -> Selected:
    """The checkpoints that a resource means, of those in `Found.checkpoints` (whose order is kept); all by default.

    - `steps`: these, in every branch that has them.
    - `every`: in each branch the first and then each N-th, counted over complete and incomplete ones alike: what is
      selected does not shift when an upload is completed.
    - `last`: in each branch the newest N that are complete.
    - `from_step`, `to_step`: narrow `every`, `last` or all, before they count; both inclusive.
    - `pinned`: exactly these positions, with these digests.

    SpecError where these contradict each other.
    """
    _check(steps, every, last, from_step, to_step, pinned)
    if pinned is not None:
        return _pinned(found, pinned)
    if steps is not None:
        return _of_steps(found, steps)
    start = 0 if from_step is None else from_step
    inside = [
        item for item in found if start <= item.position.step and (to_step is None or item.position.step <= to_step)
    ]
    if every is not None:
        inside = [item for branch in _by_branch(inside) for item in branch[::every]]
    if last is not None:
        inside = [item for branch in _by_branch(inside) for item in [one for one in branch if one.complete][-last:]]
    return _parted(inside)


def _check(
    steps: Sequence[int] | None,
    every: int | None,
    last: int | None,
    from_step: int | None,
    to_step: int | None,
    pinned: Sequence[Pin] | None,
) -> None:
    ways = {"steps": steps, "every": every, "last": last, "pinned": pinned}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) > 1:
        raise SpecError(f"checkpoints: has {' and '.join(chosen)}, and at most one of them can be meant. Keep one.")
    if (from_step is not None or to_step is not None) and chosen and chosen[0] in ("steps", "pinned"):
        raise SpecError(f"checkpoints: has {chosen[0]}, which are exact, and from or to. Leave from and to out.")
    for name, number in (("every", every), ("last", last)):
        if number is not None and number < 1:
            raise SpecError(f"checkpoints.select.{name}: is {number}, and must be at least 1.")


def _by_branch(items: Iterable[Checkpoint]) -> list[list[Checkpoint]]:
    branches: dict[str, list[Checkpoint]] = defaultdict(list)
    for item in items:
        branches[item.position.branch].append(item)
    return list(branches.values())


def _parted(items: Sequence[Checkpoint], missing: Sequence[NotSelected] = ()) -> Selected:
    return Selected(
        tuple(item for item in items if item.complete),
        tuple(item for item in items if not item.complete),
        tuple(missing),
    )


def _of_steps(found: Sequence[Checkpoint], steps: Sequence[int]) -> Selected:
    wanted = set(steps)
    there = {item.position.step for item in found}
    missing = [NotSelected(None, step, _no_step(step, there)) for step in sorted(wanted - there)]
    return _parted([item for item in found if item.position.step in wanted], missing)


def _no_step(step: int, there: set[int]) -> CheckpointError:
    nearest = ", ".join(str(number) for number in sorted(sorted(there, key=lambda other: abs(other - step))[:3]))
    hint = f" The nearest are {nearest}." if nearest else ""
    return CheckpointError(
        f"checkpoints.select.steps: no checkpoint has step {step}.{hint}", reason="CheckpointVanished"
    )


def _pinned(found: Sequence[Checkpoint], pinned: Sequence[Pin]) -> Selected:
    places: dict[tuple[str, int], list[Checkpoint]] = defaultdict(list)
    for item in found:
        places[item.position.branch, item.position.step].append(item)
    chosen: set[int] = set()
    missing = []
    for pin in pinned:
        there = places.get((pin.branch, pin.step), [])
        match = [item for item in there if pin.digest in (None, item.digest)]
        chosen.update(map(id, match))
        if not match:
            missing.append(NotSelected(pin.branch, pin.step, _not_pinned(pin, there)))
    return _parted([item for item in found if id(item) in chosen], missing)


def _not_pinned(pin: Pin, there: Sequence[Checkpoint]) -> CheckpointError:
    if not there:
        return CheckpointError(
            f"checkpoints.pinned: {pin.branch} step {pin.step} is not there any more.", reason="CheckpointVanished"
        )
    item = there[0]
    if item.problem is not None:
        return CheckpointError(item.problem.message, reason=item.problem.reason)
    return CheckpointError(
        f"checkpoints.pinned: {item.name} has changed since it was pinned: its digest is {item.digest[:12]}…, and was "
        f"{(pin.digest or '')[:12]}…. A CheckpointSource evaluates it anew; else pin it again.",
        reason="CheckpointChanged",
    )
