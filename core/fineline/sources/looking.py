"""One look at a prefix: lists all of it, or what may have changed, and puts what was found in its place."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta

from fineline.checkpoints import Checkpoint, FindOptions, own_tokenizer, tokenizer_digest
from fineline.checkpoints.completeness import not_settled
from fineline.checkpoints.find import understand
from fineline.checkpoints.folders import Names, Sorted, folders_above, sort_listing
from fineline.checkpoints.formats import READABLE
from fineline.sources.listing import Walked
from fineline.sources.reads import RememberedReads
from fineline.sources.sighting import Moment, Sight, sight
from fineline.sources.tree import ROOT, Earlier, Known, Part, Tree, Unit, is_above, plant, unit_with
from fineline.store.interface import Store, StoredObject


class NotSplitError(Exception):
    """What was listed does not tell the rest: all has to be. `folders` were seen in levels."""

    def __init__(self, folders: Collection[str] = ()) -> None:
        super().__init__("all has to be listed")
        self.folders = folders


class Look:
    """What is at hand while one look is made; `before` is what was known."""

    def __init__(
        self, store: Store, options: FindOptions, reads: RememberedReads, moment: Moment, before: Tree | None
    ) -> None:
        self._store = store
        self._options = options
        self._reads = reads
        self._moment = moment
        self._before = before
        self._names = Names(store.uri, options.positions)
        self._root_owns = before is not None and before.root_owns

    def whole(self, folders: Collection[str] = ()) -> Tree:
        """All of the prefix from one listing, of which the objects of one checkpoint at a time are kept. `folders` are
        others that levels showed."""
        try:
            part = self._listed(self._store.list())
        except _UnsortedError:  # as S3 Express gives them
            part = self._listed(sorted(self._store.list(), key=lambda item: item.name.encode("utf-8", "replace")))
        part.others.update(folders)
        now, before = self._moment.started, self._before
        levels, units = plant(ROOT, part, now, before)
        for path, unit in before.units.items() if before is not None else ():
            # Folders of which a listing shows nothing: S3 consoles leave objects called `folder/`.
            if not unit.holds and path not in units and path not in levels and path.rpartition("/")[0] in levels:
                units[path] = Unit(unit.since, now)
        return Tree(levels, units, now, self._root_owns)

    def partly(self, before: Tree, most: int) -> Tree:
        """The prefix from the levels and the units that are due; NotSplitError where these are more than `most`, or do
        not tell the rest."""
        now = self._moment.started
        levels: dict[str, Unit] = {}
        units: dict[str, Unit] = {}
        due: list[str] = []
        open_levels = [ROOT]
        while open_levels:
            level = open_levels.pop()
            listed = self._store.list_level(f"{level}/" if level else "")
            levels[level] = self._own_files(level, listed.objects, before.levels[level])
            for folder in listed.folders:
                path = folder[:-1]
                unit = before.units.get(path)
                if path in before.levels:
                    open_levels.append(path)
                elif unit is None or unit.is_due(now):
                    due.append(path)
                else:
                    units[path] = unit
        if len(due) > most:
            raise NotSplitError(due)
        for path in due:
            more_levels, more_units = self._unit(path, before)
            levels |= more_levels
            units |= more_units
        tree = Tree(levels, units, now, self._root_owns)
        if not tree.is_sound():
            raise NotSplitError
        return tree

    def _listed(self, objects: Iterable[StoredObject]) -> Part:
        part = Part()
        earlier = Earlier.of(self._before.all() if self._before is not None else ())
        for belongs, together in _in_parts(objects, self._names):
            if belongs:
                self._add(part, sort_listing(together, self._names), earlier)
            else:
                rest = sort_listing(together, self._names, folders_above(part.candidates))
                self._root_owns = ROOT in rest.bare
                self._add(part, rest, earlier)
        return part

    def _own_files(self, level: str, objects: tuple[StoredObject, ...], before: Unit) -> Unit:
        mark = hash(objects)
        if mark == before.mark and not before.waiting:
            return before
        listing = sort_listing(objects, self._names)
        if level == ROOT and ROOT in listing.named and not listing.named[ROOT].weights():
            self._root_owns = True
            del listing.named[ROOT]
        if listing.named and not before.named:
            raise NotSplitError  # folders below may be part of it
        self._must_be_in(level, listing)
        listing.bare.clear()  # more of it may lie in folders
        part = Part()
        self._add(part, listing, Earlier.of([before]))
        return unit_with(part, before.since, self._moment.started, mark=mark)

    def _unit(self, path: str, before: Tree) -> tuple[dict[str, Unit], dict[str, Unit]]:
        listing = sort_listing(self._store.list(f"{path}/"), self._names)
        if ROOT in listing.named and not listing.named[ROOT].weights():
            listing.bare[ROOT] = listing.named.pop(ROOT)
        for owner in [owner for owner in listing.bare if is_above(owner, path)]:
            del listing.bare[owner]
            if owner in before.levels and before.levels[owner].named:
                raise NotSplitError  # it is part of a checkpoint above
            self._root_owns = self._root_owns or owner == ROOT
        self._must_be_in(path, listing)
        part = Part()
        self._add(part, listing, Earlier.of([before.units[path]] if path in before.units else []))
        return plant(path, part, self._moment.started, before)

    def _must_be_in(self, top: str, listing: Sorted) -> None:
        if any(is_above(path, top) for path in (*listing.named, *listing.unnamed)):
            raise NotSplitError

    def _add(self, part: Part, listing: Sorted, earlier: Earlier) -> None:
        understood = understand(self._store, listing, self._options, self._reads)
        for checkpoint in understood.checkpoints:
            said_inside = checkpoint.folder in understood.said_inside
            part.known.append(self._known(checkpoint, earlier, said_inside=said_inside))
        part.asides += [(aside.folder, aside.message) for aside in understood.not_understood]
        for path, candidate in listing.bare.items():
            inventory = [item for folder in candidate.folders for item in folder.files.values()]
            part.sights[path] = self._sight(path, inventory, (), earlier)
        for candidates in (listing.named, listing.unnamed):
            part.candidates.update(candidates)
            part.spread.update(path for path, candidate in candidates.items() if candidate.is_spread)
        part.named.update(listing.named)
        part.bare.update(listing.bare)
        part.others.update(listing.loose)

    def _known(self, checkpoint: Checkpoint, earlier: Earlier, *, said_inside: bool) -> Known:
        folder, inventory = checkpoint.folder, checkpoint.inventory
        tokenizer = own_tokenizer(checkpoint)
        seen = self._sight(folder, inventory, (*checkpoint.loaded, *tokenizer), earlier)
        changed_at = seen.changed_at(self._moment)
        problem, settles_at = checkpoint.problem, None
        if problem is None and not seen.settled:
            newest = max(inventory, key=lambda item: item.modified)
            age = (self._moment.started - changed_at).total_seconds()
            problem = not_settled(newest, max(age, 0), self._options.settle_seconds)
            if problem is not None:
                settles_at = changed_at + timedelta(seconds=self._options.settle_seconds)
        return Known(
            walked=Walked(
                folder=folder,
                position=checkpoint.position,
                digest=checkpoint.digest,
                tokenizer_digest=sys.intern(tokenizer_digest(tokenizer)),  # most often one for all checkpoints
                changed=seen.newest,
                problem=problem,
            ),
            readable=checkpoint.format in READABLE,
            said_inside=said_inside,
            sight=seen,
            settled=seen.settled and (problem is None or not problem.passing),
            settles_at=settles_at,
        )

    def _sight(
        self,
        folder: str,
        inventory: Sequence[StoredObject],
        counted: Collection[StoredObject],
        earlier: Earlier,
    ) -> Sight:
        known = earlier.known.get(folder)
        return sight(
            inventory,
            counted,
            self._moment,
            before=known.sight if known is not None else earlier.sights.get(folder),
            absent_at=self._before.absent_at(folder) if self._before is not None else None,
            settle_seconds=self._options.settle_seconds,
        )


class _UnsortedError(Exception):
    """The store does not list in order of names."""


def _in_parts(objects: Iterable[StoredObject], names: Names) -> Iterator[tuple[bool, list[StoredObject]]]:
    """The objects that belong to checkpoints by their paths, as (True, all in the first folder that says so); at last
    (False, all others)."""
    loose: list[StoredObject] = []
    together: list[StoredObject] = []
    begun: set[str] = set()
    folder = first = current = None
    for item in objects:
        path = item.name.rpartition("/")[0]
        if path != folder:
            folder, first = path, names.first(path)
            if first is not None and first != current:
                if first in begun:
                    raise _UnsortedError
                if together:
                    yield True, together
                together, current = [], first
                begun.add(first)
        (loose if first is None else together).append(item)
    if together:
        yield True, together
    yield False, loose
