"""The series that checkpoints make: their order, and which is meant where several claim one place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from fineline.checkpoints.checkpoint import Duplicate, Position, Problem


class Placed(Protocol):
    """What has a place in the series."""

    @property
    def folder(self) -> str: ...

    @property
    def position(self) -> Position: ...


PlacedT = TypeVar("PlacedT", bound=Placed)


@dataclass(frozen=True, slots=True)
class Claim:
    """A folder's claim to a place. `said_inside`: a file in it tells the position, not its name."""

    folder: str
    position: Position
    readable: bool
    said_inside: bool

    @property
    def name(self) -> str:
        return self.folder or "."


@dataclass(frozen=True, slots=True)
class Judged:
    """What comes of the claims, by folder: those that have no place because another is meant, with the words on it, and
    those of which none is, for nobody can say which."""

    duplicates: tuple[Duplicate, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    ambiguous: Mapping[str, Problem] = field(default_factory=dict)


def in_order(items: Sequence[PlacedT]) -> tuple[PlacedT, ...]:
    """By branch, then by tokens in a branch where all tell them, else by step."""
    without_tokens = {item.position.branch for item in items if item.position.tokens is None}

    def place(item: PlacedT) -> tuple[str, int, int, str]:
        position = item.position
        tokens = 0 if position.branch in without_tokens else position.tokens or 0
        return position.branch, tokens, position.step, item.folder

    return tuple(sorted(items, key=place))


def judge(claims: Iterable[Claim]) -> Judged:
    """Which folders have the place that they claim."""
    places: dict[tuple[str, int], list[Claim]] = defaultdict(list)
    for claim in claims:
        places[claim.position.branch, claim.position.step].append(claim)
    duplicates = []
    left_out: dict[str, str] = {}
    ambiguous: dict[str, Problem] = {}
    for same in places.values():
        if len(same) == 1:
            continue
        meant = _meant(same)
        names = tuple(sorted(claim.name for claim in same))
        position = same[0].position
        message = f"{', '.join(names[:5])}: {len(names)} folders claim {position}"
        if meant is not None:
            message += f"; {meant.name} is the one that is read."
            left_out |= {claim.folder: message for claim in same if claim is not meant}
        else:
            message += (
                ". Move those that are not meant, or give them places of their own under `checkpoints.positions`."
            )
            # What can't be read in any place keeps its own problem, for that has to be mended first.
            problem = Problem("PositionAmbiguous", message)
            ambiguous |= {claim.folder: problem for claim in same if claim.readable}
        duplicates.append(Duplicate(position, names, message))
    duplicates.sort(key=lambda duplicate: (duplicate.position.branch, duplicate.position.step))
    return Judged(tuple(duplicates), left_out, ambiguous)


def _meant(same: list[Claim]) -> Claim | None:
    """The one that can be read; of several that can, the one whose name says the position."""
    meant = [claim for claim in same if claim.readable]
    if len(meant) != 1:
        meant = [claim for claim in meant if not claim.said_inside]
    return meant[0] if len(meant) == 1 else None
