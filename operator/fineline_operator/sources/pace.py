"""When a prefix is listed, and whether all of it: pure. Times are seconds of one monotonic clock.

The prefix is listed every `pollSeconds`, when its spec was edited, when a checkpoint may have become complete by time
alone, and when an event says that something changed. A usual look is cheap, and finds what is new or was not settled:
nearly always what an event was about. What it does not find may be an overwrite in a folder that had settled, which
only a full walk sees: that is owed from then on. Many events are one look a second and one full walk a minute at most,
or fewer where a full walk takes long.
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
    `generation` are those that the last good one answered to; None before the first. `full_ended` and `full_seconds`
    are of the last full walk. `owed`: a full walk is due then.
    """

    began: float = NEVER
    ended: float = NEVER
    wake: str | None = None
    generation: int | None = None
    full_ended: float = NEVER
    full_seconds: float = 0.0
    owed: float | None = None

    def failed(self, now: float) -> Pace:
        """What called for the look calls for it still."""
        return replace(self, ended=now)

    def listed(
        self, began: float, now: float, *, full: bool, found_something: bool, wake: str, generation: int
    ) -> Pace:
        """A look that ended now. `full`: it was a full walk, asked for or not."""
        woken = self.wake is not None and wake != self.wake
        after = replace(self, began=began, ended=now, wake=wake, generation=generation)
        if full:
            return replace(after, full_ended=now, full_seconds=now - began, owed=None)
        if not woken:
            return after
        pause = max(EXPLAINED_SECONDS if found_something else OWED_SECONDS, SHARE * self.full_seconds)
        due = max(now, self.full_ended + pause)
        return replace(after, owed=due if self.owed is None else min(due, self.owed))


def wanted(pace: Pace, now: float, due: Due) -> Walking:
    """What to list now."""
    if now < pace.ended + BREATH_SECONDS:
        return Walking.NOTHING
    if pace.owed is not None and pace.owed <= now:
        return Walking.FULL
    return Walking.USUAL if _usual_at(pace, due) <= now else Walking.NOTHING


def seconds_to_next(pace: Pace, now: float, due: Due) -> float:
    """Until there is something to list, without any further event."""
    soonest = min(_usual_at(pace, due), pace.owed if pace.owed is not None else float("inf"))
    return max(0.0, max(soonest, pace.ended + BREATH_SECONDS) - now)


@dataclass(frozen=True, slots=True)
class Due:
    """What calls for a look: the poll, the wake annotation's value, the spec's generation, and when the next checkpoint
    may settle (None: none does)."""

    poll_seconds: float
    wake: str
    generation: int
    settles: float | None = None


def _usual_at(pace: Pace, due: Due) -> float:
    if due.wake != pace.wake or due.generation != pace.generation:
        return NEVER
    polled = pace.began + due.poll_seconds
    # A checkpoint that was to settle before the last look began was looked at by it.
    return min(polled, due.settles) if due.settles is not None and due.settles > pace.began else polled
