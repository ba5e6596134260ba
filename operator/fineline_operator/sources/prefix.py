"""One source's prefix: walked in threads of its lane, when its pace says so. What is known survives a look that fails.

Nothing of it is written anywhere: whoever starts anew walks anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from fineline.errors import FinelineError
from fineline.plan.observing import find_options
from fineline.resources.checkpoint_eval import CheckpointFiles
from fineline.resources.checkpoint_source import Complete
from fineline.sources.listing import Listing
from fineline.sources.walking import Walk
from fineline.store import StoreTable, open_store
from fineline_operator import metrics
from fineline_operator.sources.observed import Source
from fineline_operator.sources.pace import Due, Pace, Walking, seconds_to_next, wanted
from fineline_operator.sources.reading import Files
from fineline_operator.telling.problems import Problem, problem_of
from fineline_operator.threads import Threads


@dataclass(frozen=True, slots=True)
class Basis:
    """All that a listing depends on: where one of these changed, the prefix is walked anew."""

    uri: str
    checkpoints: CheckpointFiles
    complete: Complete
    full_walk_seconds: int
    tokens_per_step: int | None
    positions: str | None


def basis_of(source: Source, files: Files) -> Basis:
    spec = source.spec
    return Basis(
        uri=spec.uri,
        checkpoints=spec.checkpoints,
        complete=spec.complete,
        full_walk_seconds=spec.full_walk_seconds,
        tokens_per_step=spec.template.run.tokens_per_step,
        positions=files.positions,
    )


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Why the last try to list failed. `tried`: that was just now; else it is not time for the next one yet."""

    problem: Problem
    tried: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """A listing, and when it began and ended by the monotonic clock."""

    listing: Listing
    began: float
    ended: float


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Prefix:
    """What is kept of a prefix between two looks. `clock` is monotonic, `now` the time that a look calls its own."""

    def __init__(
        self,
        basis: Basis,
        threads: Threads,
        stores: StoreTable,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _wall_clock,
    ) -> None:
        self.basis = basis
        self._listing: Listing | None = None
        self._problem: Problem | None = None
        self._threads = threads
        self._stores = stores
        self._clock = clock
        self._now = now
        self._walk: Walk | None = None
        self._pace = Pace()

    @property
    def listed(self) -> bool:
        """Whether it is known what the prefix holds, be it from before a fault."""
        return self._listing is not None

    async def look(self, source: Source, lane: str) -> Listing | Unlisted:
        """What the prefix holds, listed now if that is due; or why the last try to list it failed."""
        walking = wanted(self._pace, self._clock(), self._due(source))
        if walking is not Walking.NOTHING:
            await self._list(source, lane, full=walking is Walking.FULL)
        if self._problem is not None:
            return Unlisted(self._problem, tried=walking is not Walking.NOTHING)
        if self._listing is None:
            raise RuntimeError(f"{source.spec.uri}: what was never listed is to be listed at once")
        return self._listing

    async def _list(self, source: Source, lane: str, *, full: bool) -> None:
        before = self._listing
        try:
            look = await self._threads.run(lane, self._look, source, full=full)
        except FinelineError as error:
            self._problem = problem_of(error)
            self._pace = self._pace.failed(self._clock(), generation=source.seen.generation)
            return
        self._listing, self._problem = look.listing, None
        self._pace = self._pace.listed(
            look.began,
            look.ended,
            full=before is None or before.full_at != look.listing.full_at,
            found_something=before is None or _found_something(before, look.listing),
            wake=source.seen.wake,
            generation=source.seen.generation,
        )

    def seconds_to_next(self, source: Source) -> float:
        """Until it is to be listed again, without any further event."""
        return seconds_to_next(self._pace, self._clock(), self._due(source))

    def _due(self, source: Source) -> Due:
        settles_at = self._listing.settles_at if self._listing is not None else None
        return Due(
            poll_seconds=source.spec.poll_seconds,
            full_walk_seconds=source.spec.full_walk_seconds,
            wake=source.seen.wake,
            generation=source.seen.generation,
            settles=None if settles_at is None else self._clock() + (settles_at - self._now()).total_seconds(),
        )

    def _look(self, source: Source, *, full: bool) -> _Look:
        """In a thread: never in two at once, for the queue looks at a source once at a time.

        Its time is taken here: the wait for a thread may take minutes, in which objects come.
        """
        with metrics.store_call("walk"):
            walk = self._walk or self._opened(source)
            before = walk.requests
            began = self._clock()
            try:
                listing = walk.look(self._now(), full=full)
            finally:
                metrics.SOURCE_LISTS.inc(walk.requests - before)
            return _Look(listing, began, self._clock())

    def _opened(self, source: Source) -> Walk:
        spec = source.spec
        store = open_store(spec.uri, requester_pays=spec.checkpoints.requester_pays, stores=self._stores)
        options = find_options(spec.template.run, spec.checkpoints, self.basis.positions, spec.complete)
        self._walk = Walk(store, options, full_walk_seconds=spec.full_walk_seconds)
        return self._walk


def _found_something(before: Listing, after: Listing) -> bool:
    """Whether a look found what may have caused an event: a problem that is told in other words is nothing."""
    if before.checkpoints == after.checkpoints and before.aside == after.aside:
        return False
    return _holds(before) != _holds(after)


def _holds(listing: Listing) -> tuple[object, ...]:
    found = tuple((one.folder, one.digest, one.changed) for one in listing.checkpoints)
    return found, tuple(aside.folder for aside in listing.aside)
