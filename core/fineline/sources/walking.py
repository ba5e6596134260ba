"""Lists a prefix again and again at the cost of what is new in it.

A look lists the levels: the root, and each folder above checkpoints that is none itself, such as a branch. Then it
lists whole the folders in them that are new or not settled. All of it is listed at first, every `full_walk_seconds`,
when the caller's clock went back, when that costs no more requests, and when what was found does not tell the rest:
where the last checkpoint of a branch is gone, and where a new folder is part of a checkpoint above it.

What can't be split is listed whole in each look: a root that is itself a checkpoint, by its name or by weights in it,
and has none beside it or folders as parts of it; and a checkpoint that holds other checkpoints, where folders are parts
of it. Folders that hold no checkpoint, or one whose position nothing tells, are looked at again after ever longer
pauses, for logs change all the time; where the name is a checkpoint's, in each look for an hour first.

So unseen until all is listed again, `full_walk_seconds` at most, are: what changes in a checkpoint that was settled,
and what makes a checkpoint below a folder that held none, which is seen within a quarter of the time for which the
folder was known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fineline.checkpoints import FindOptions
from fineline.checkpoints.placing import Claim, in_order, judge
from fineline.sources.listing import Aside, Listing
from fineline.sources.looking import Look, NotSplitError
from fineline.sources.reads import RememberedReads
from fineline.sources.sighting import Moment
from fineline.sources.tree import Known, Tree
from fineline.store.interface import Store


@dataclass(frozen=True, slots=True)
class _State:
    """What a look leaves. `now`, `shift` and the listing are by the caller's clock, the other times by that of the
    looks. `full_requests` is how many pages it took to list all."""

    tree: Tree
    listing: Listing
    now: datetime
    shift: timedelta
    full_at: datetime
    full_requests: int
    distrusted_at: datetime | None


class Walk:
    """What is known of one prefix from look to look. Not for two threads at once.

    `full_walk_seconds` is how old what is known of a settled checkpoint may be at the end of a look.
    """

    def __init__(self, store: Store, options: FindOptions, *, full_walk_seconds: float) -> None:
        self._store = store
        self._options = options
        self._full_walk = timedelta(seconds=full_walk_seconds)
        self._requests_before = store.list_requests
        self._reads = RememberedReads()
        self._state: _State | None = None

    @property
    def requests(self) -> int:
        """Pages of listings asked for so far."""
        return self._store.list_requests - self._requests_before

    def look(self, now: datetime, *, full: bool = False) -> Listing:
        """What the prefix holds at `now`, by this machine's clock; `full` lists all of it. StoreError where a request
        fails: the next look goes on from what was known before."""
        before = self._state
        moment = self._moment(now)
        look = Look(self._store, self._options, self._reads, moment, before.tree if before is not None else None)
        tree: Tree | None = None
        folders: tuple[str, ...] = ()
        if before is not None and not full and not self._needs_all(before, moment):
            try:
                tree = look.partly(before.tree, before.full_requests)
            except NotSplitError as error:
                folders = tuple(error.folders)
        if before is None or tree is None:
            requests = self.requests
            tree = look.whole(folders)
            full_at, full_requests = moment.started, self.requests - requests
            self._reads.forget_unused()
        else:
            full_at, full_requests = before.full_at, before.full_requests
        if before is not None and before.shift == moment.shift and tree.holds_the_same(before.tree):
            listing = before.listing
        else:
            listing = _listing(tree, moment.shift)
        self._state = _State(
            tree=tree,
            listing=replace(listing, listed_at=now, full_at=full_at - moment.shift),
            now=now,
            shift=moment.shift,
            full_at=full_at,
            full_requests=full_requests,
            distrusted_at=moment.distrusted_at,
        )
        return self._state.listing

    def _moment(self, now: datetime) -> Moment:
        before = self._state
        if before is None:
            return Moment(now)
        shift = before.shift + max(before.now - now, timedelta())
        started = now + shift
        distrusted_at = before.distrusted_at
        if distrusted_at is not None and started - distrusted_at >= self._full_walk:
            distrusted_at = None
        return Moment(started, shift, distrusted_at)

    def _needs_all(self, before: _State, moment: Moment) -> bool:
        """Whether all is to be listed. Where the clock went back nobody can say how much time has passed."""
        tree = before.tree
        if tree.is_whole or moment.shift != before.shift or moment.started - before.full_at >= self._full_walk:
            return True
        return len(tree.levels) + sum(unit.waiting for unit in tree.units.values()) >= before.full_requests


def _listing(tree: Tree, shift: timedelta) -> Listing:
    """The series that the checkpoints make. Claims are judged anew, for one that comes or goes changes the others'."""
    known: list[Known] = [known for unit in tree.all() for known in unit.known]
    judged = judge(Claim(one.walked.folder, one.walked.position, one.readable, one.said_inside) for one in known)
    checkpoints = [
        replace(one.walked, problem=judged.ambiguous[one.walked.folder])
        if one.walked.folder in judged.ambiguous
        else one.walked
        for one in known
        if one.walked.folder not in judged.left_out
    ]
    asides = {Aside(folder, "PositionUnknown", message) for unit in tree.all() for folder, message in unit.asides}
    asides |= {Aside(folder, "DuplicatePosition", message) for folder, message in judged.left_out.items()}
    settling = [one.settles_at for one in known if one.settles_at is not None]
    return Listing(
        checkpoints=in_order(checkpoints),
        aside=tuple(sorted(asides)),
        settles_at=min(settling) - shift if settling else None,
    )
