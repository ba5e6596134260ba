"""When a checkpoint last changed, told by two clocks that may differ: the store's, and that of whoever lists.

A time of the store's counts as it is where it can be right: not later than the look that saw the change first, nor
earlier than the look that did not see it yet. Else the moment counts in which it was seen. So nothing waits longer than
it must after it was seen, and nothing counts as settled too early because the store's clock is behind.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fineline.store.interface import StoredObject

# S3 tells whole seconds, and cuts the rest off.
_RESOLUTION = timedelta(seconds=1)


@dataclass(slots=True)
class Moment:
    """A look's place in time: by the clock of the looks, which never goes back, as `shift` later than the caller's.

    `distrusted_at` is when the store's clock was found to be behind, now or lately.
    """

    started: datetime
    shift: timedelta = timedelta()
    distrusted_at: datetime | None = None
    _began: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """A listing of many pages takes a while, in which objects come."""
        return self.started + timedelta(seconds=time.monotonic() - self._began)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a checkpoint. `newest` is by the store's clock, all else by that of the looks.

    `listed_at` is when the look began that listed it last, `new_at` when something new was seen in it last,
    `distrusted_at` when something new was whose time can't be right. `marks` are the hashes of its objects; of one that
    is `settled` only of those that count for what is measured.
    """

    listed_at: datetime
    newest: datetime
    new_at: datetime
    distrusted_at: datetime | None = None
    marks: array[int] = field(default_factory=lambda: array("q"))
    settled: bool = False

    def changed_at(self, moment: Moment) -> datetime:
        """When it last changed, as far as it can be told."""
        told = min(self.newest + moment.shift, self.new_at)
        return told if self.distrusted_at is None else max(told, self.distrusted_at)


def sight(
    inventory: Sequence[StoredObject],
    counted: Collection[StoredObject],
    moment: Moment,
    *,
    before: Sight | None,
    absent_at: datetime | None,
    settle_seconds: float,
) -> Sight:
    """A checkpoint as this look lists it; `counted` are those of its objects that count for what is measured.

    `before` is what the last one saw, if it did; else `absent_at` is when one looked and it was not there, if any did.
    """
    since = absent_at if before is None else before.listed_at
    fresh, kept_times = (inventory, False) if before is None else _fresh(inventory, counted, before)
    distrusted_at = before.distrusted_at if before is not None else None
    if fresh and since is not None:
        earliest = since - moment.shift - _RESOLUTION
        if any(item.modified < earliest for item in fresh):
            moment.distrusted_at = moment.started
        if moment.distrusted_at is not None:
            distrusted_at = moment.now()
    if kept_times:
        distrusted_at = moment.now()
    newest = max(item.modified for item in inventory)
    new_at = moment.now() if fresh or before is None else before.new_at
    seen = Sight(moment.started, newest, new_at, distrusted_at)
    settled = (moment.started - seen.changed_at(moment)).total_seconds() >= settle_seconds
    marks = array("q", [hash(item) for item in (counted if settled else inventory)])
    return replace(seen, marks=marks, settled=settled)


def _fresh(
    inventory: Sequence[StoredObject], counted: Collection[StoredObject], before: Sight
) -> tuple[Sequence[StoredObject], bool]:
    """What is new in a checkpoint; and whether one that was settled has files that kept the times that they had
    elsewhere, as `rsync -a` leaves them."""
    known = set(before.marks)
    if not before.settled:
        return [item for item in inventory if hash(item) not in known], False
    kept_times = any(item.modified <= before.newest and hash(item) not in known for item in counted)
    return [item for item in inventory if item.modified > before.newest], kept_times
