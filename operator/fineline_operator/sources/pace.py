"""When a prefix is listed, and whether all of it: pure. Times are seconds of one monotonic clock.

The prefix is listed every `pollSeconds`, when its spec was edited, when a checkpoint may have become complete by time
alone, and when an event says that something changed; all of it every `fullWalkSeconds`, however long `pollSeconds` is.
A usual look is cheap, and finds what is new or was not settled: nearly always what an event was about. What it does not
find may be an overwrite in a folder that had settled, which only a full walk sees: that is owed from then on. Many
events are one look a second and one full walk a minute at most, or fewer where a full walk takes long.

A look that fails is tried again after a pause that doubles each time. Events don't shorten it: a bucket that sends them
and lets nobody list would else be asked without end. An edit of the spec does, for it may be the mend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

BREATH_SECONDS = 1.0
"""Between two looks, whatever asks for them."""

OWED_SECONDS = 60.0
"""From one full walk to the next that events ask for, where a usual look did not find what they were about."""

EXPLAINED_SECONDS = 600.0
"""The same where a usual look found something: an upload tells of each of its files, and might hide an overwrite."""

SHARE = 20.0
"""Full walks that events ask for take at most this part of the time: 1/20."""

LONGEST_PAUSE_SECONDS = 300.0
"""Between two tries of a look that fails; the first pause is `BREATH_SECONDS`."""

NEVER = float("-inf")


class Walking(Enum):
    """What is to be listed now."""

    NOTHING = auto()
    USUAL = auto()
    FULL = auto()


@dataclass(frozen=True, slots=True)
class Pace:
    """What is remembered of the looks at a prefix.

    `began` is when the last one that did not fail began, `ended` when the last one ended, failed or not. `wake` and
    `generation` are those that the last good one answered to; None before the first. `full_began`, `full_ended` and
    `full_seconds` are of the last full walk. `owed`: a full walk is due then. `failures` have come in a row, the last
    of them with the spec's generation `failed_generation`.
    """

    began: float = NEVER
    ended: float = NEVER
    wake: str | None = None
    generation: int | None = None
    full_began: float = NEVER
    full_ended: float = NEVER
    full_seconds: float = 0.0
    owed: float | None = None
    failures: int = 0
    failed_generation: int | None = None

    def failed(self, now: float, *, generation: int) -> Pace:
        """What called for the look calls for it still, after a pause."""
        return replace(self, ended=now, failures=self.failures + 1, failed_generation=generation)

    def listed(
        self, began: float, now: float, *, full: bool, found_something: bool, wake: str, generation: int
    ) -> Pace:
        """A look that ended now. `full`: it was a full walk, asked for or not."""
        woken = self.wake is not None and wake != self.wake
        after = replace(self, began=began, ended=now, wake=wake, generation=generation, failures=0)
        if full:
            return replace(after, full_began=began, full_ended=now, full_seconds=now - began, owed=None)
        if not woken:
            return after
        pause = max(EXPLAINED_SECONDS if found_something else OWED_SECONDS, SHARE * self.full_seconds)
        due = max(now, self.full_ended + pause)
        return replace(after, owed=due if self.owed is None else min(due, self.owed))


def wanted(pace: Pace, now: float, due: Due) -> Walking:
    """What to list now."""
    if now < _pause_ends(pace, due):
        return Walking.NOTHING
    if _full_at(pace, due) <= now:
        return Walking.FULL
    return Walking.USUAL if _usual_at(pace, due) <= now else Walking.NOTHING


def seconds_to_next(pace: Pace, now: float, due: Due) -> float:
    """Until there is something to list, without any further event."""
    soonest = min(_usual_at(pace, due), _full_at(pace, due))
    return max(0.0, max(soonest, _pause_ends(pace, due)) - now)


@dataclass(frozen=True, slots=True)
class Due:
    """What calls for a look: the poll, the time between two full walks, the wake annotation's value, the spec's
    generation, and when the next checkpoint may settle (None: none does that was not looked at since)."""

    poll_seconds: float
    full_walk_seconds: float
    wake: str
    generation: int
    settles: float | None = None


def _pause_ends(pace: Pace, due: Due) -> float:
    pause = BREATH_SECONDS
    if pace.failures and due.generation == pace.failed_generation:
        pause = min(BREATH_SECONDS * 2.0 ** min(pace.failures - 1, 16), LONGEST_PAUSE_SECONDS)
    return pace.ended + pause


def _full_at(pace: Pace, due: Due) -> float:
    regular = pace.full_began + due.full_walk_seconds
    return regular if pace.owed is None else min(regular, pace.owed)


def _usual_at(pace: Pace, due: Due) -> float:
    if due.wake != pace.wake or due.generation != pace.generation:
        return NEVER
    polled = pace.began + due.poll_seconds
    return polled if due.settles is None else min(polled, due.settles)
