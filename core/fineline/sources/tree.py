"""What a walk knows of a prefix, as the folders that are listed one by one: levels, and units below them.

A level is a folder above checkpoints: each look lists the folders in it. A unit is a folder in a level that is none
itself; it is listed whole, with all below it. The files directly in a level are a unit too, its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fineline.checkpoints.folders import folders_above
from fineline.sources.listing import Walked
from fineline.sources.sighting import Sight

ROOT = ""

# A folder without a checkpoint, such as one of logs, changes all the time and matters rarely. It is looked at again
# after a quarter of the time for which it is known; only where its name is a checkpoint's, in each look at first.
_PAUSE = 4
_UPLOADS_LAST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint as it was last listed, judged by its own files alone.

    `settles_at` is set while nothing but time is missing. `settled`: neither time nor a further upload of what is
    missing makes another of it.
    """

    walked: Walked
    readable: bool
    said_inside: bool
    sight: Sight
    settled: bool
    settles_at: datetime | None = None


@dataclass(slots=True)
class Part:
    """What was listed, before it is put in its place.

    `sights` are of folders whose name tells a position and that hold nothing of a checkpoint yet.
    `spread` are the folders of checkpoints that hold further folders as parts of them, `candidates` all that hold a
    checkpoint or weights of none, `named` those of them whose name says so, `bare` those
    whose name says so and that hold nothing of a checkpoint, `others` further folders that hold none.
    """

    known: list[Known] = field(default_factory=list)
    asides: list[tuple[str, str]] = field(default_factory=list)
    sights: dict[str, Sight] = field(default_factory=dict)
    candidates: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    spread: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Unit:
    """A folder with all below it, or the files directly in a level.

    `waiting`: it is listed in each look. `expected`: its name is a checkpoint's, and it holds none. `mark` is the hash
    of a level's own files, for those come without asking.
    """

    since: datetime
    listed_at: datetime
    known: tuple[Known, ...] = ()
    asides: tuple[tuple[str, str], ...] = ()
    sights: tuple[tuple[str, Sight], ...] = ()
    holds: bool = False
    named: bool = False
    waiting: bool = False
    expected: bool = False
    mark: int = 0

    def is_due(self, now: datetime) -> bool:
        if self.waiting or self.known:
            return self.waiting
        if self.expected and now - self.since < _UPLOADS_LAST:
            return True
        return now - self.listed_at >= (self.listed_at - self.since) / _PAUSE


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was seen of folders before, by their paths."""

    known: Mapping[str, Known]
    sights: Mapping[str, Sight]

    @classmethod
    def of(cls, units: Iterable[Unit]) -> Earlier:
        units = list(units)
        return cls(
            {known.walked.folder: known for unit in units for known in unit.known},
            {path: seen for unit in units for path, seen in unit.sights},
        )


@dataclass(frozen=True, slots=True)
class Tree:
    """`levels` have their own files as units, by folder. `root_owns`: the root's own name would make a checkpoint of
    loose files, if there were no others."""

    levels: Mapping[str, Unit]
    units: Mapping[str, Unit]
    looked_at: datetime
    root_owns: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it can't be split: the root itself is a checkpoint that other folders are part of."""
        return ROOT in self.units

    def all(self) -> Iterator[Unit]:
        yield from self.levels.values()
        yield from self.units.values()

    def absent_at(self, folder: str) -> datetime | None:
        """When the last look saw that the folder was not there; None where that can't be told."""
        path = ""
        for part in ("", *folder.split("/")):
            path = f"{path}/{part}" if path else part
            if path in self.units:
                return None
            if path not in self.levels:
                return self.looked_at
        return None

    def holds_the_same(self, other: Tree) -> bool:
        return self.units == other.units and self.levels == other.levels

    def is_sound(self) -> bool:
        """Whether each level is still one: without a checkpoint below it what it holds is to be sorted anew."""
        holding = [path for path, unit in self.units.items() if unit.holds]
        holding += [path for path, unit in self.levels.items() if unit.holds and path]
        above = folders_above(holding)
        if ROOT not in above and self.levels[ROOT].holds:
            return False
        if self.root_owns and not any(unit.named for unit in self.all()):
            return False
        return all(path in above or path == ROOT for path in self.levels)


def plant(top: str, part: Part, now: datetime, before: Tree | None) -> tuple[dict[str, Unit], dict[str, Unit]]:
    """Levels (with their own files) and units of what was listed at and below `top`."""
    levels = {path for path in folders_above(part.candidates) if _is_in(path, top)}
    whole = part.spread & levels
    if top == ROOT:
        levels.add(ROOT)
        if ROOT in part.candidates and (ROOT in part.spread or len(part.candidates) == 1):
            whole.add(ROOT)
    levels = {path for path in levels if whole.isdisjoint((path, *folders_above([path])))}

    def unit_of(folder: str) -> str:
        path = top
        while path in levels and path != folder:
            path = folder[:end] if (end := folder.find("/", len(path) + bool(path))) > 0 else folder
        return path

    parts: dict[str, Part] = defaultdict(Part)
    for known in part.known:
        parts[unit_of(known.walked.folder)].known.append(known)
    for aside in part.asides:
        parts[unit_of(aside[0])].asides.append(aside)
    for path, seen in part.sights.items():
        parts[unit_of(path)].sights[path] = seen
    for folder in part.candidates:
        parts[unit_of(folder)].candidates.add(folder)
    for folder in part.named:
        parts[unit_of(folder)].named.add(folder)
    for folder in part.bare:
        parts[unit_of(folder)].bare.add(folder)
    for folder in (*part.others, *levels, top):
        _ = parts[unit_of(folder)]
    units = {path: _unit(path, of, now, before, restless=path in whole) for path, of in parts.items()}
    return {path: units.pop(path) for path in levels}, units


def _unit(path: str, part: Part, now: datetime, before: Tree | None, *, restless: bool) -> Unit:
    old = (before.units.get(path) or before.levels.get(path)) if before is not None else None
    since = old.since if old is not None else now
    return unit_with(part, since, now, restless=restless, expected=path in part.bare)


def unit_with(
    part: Part, since: datetime, now: datetime, *, restless: bool = False, expected: bool = False, mark: int = 0
) -> Unit:
    """A unit of what was listed just now."""
    return Unit(
        since=since,
        listed_at=now,
        known=tuple(part.known),
        asides=tuple(part.asides),
        sights=tuple(part.sights.items()),
        holds=bool(part.candidates),
        named=bool(part.named),
        waiting=restless or not all(known.settled for known in part.known),
        expected=expected,
        mark=mark,
    )


def _is_in(path: str, top: str) -> bool:
    return not top or path == top or path.startswith(f"{top}/")


def is_above(path: str, top: str) -> bool:
    """Whether a folder is neither `top` nor below it."""
    return not _is_in(path, top)
