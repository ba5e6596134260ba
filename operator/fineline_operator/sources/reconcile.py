"""One look at one CheckpointSource: observe, decide, act. Called by the queue, never twice at once for the same one.

Nothing that is decided rests on memory of what was done: the listing, the results in the store and the CheckpointEvals
on the API server say it, each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fineline.errors import SpecError
from fineline.resources.source_reasons import SourceReason
from fineline.sources.listing import Listing
from fineline_operator import metrics
from fineline_operator.api import Api
from fineline_operator.queue import Backoff, Key
from fineline_operator.settings import OperatorSettings
from fineline_operator.sources import events
from fineline_operator.sources.acting import Actor
from fineline_operator.sources.conditions import Conditions, first_listing, of_problem, suspended, well
from fineline_operator.sources.observed import Source, SourceSeen
from fineline_operator.sources.pace import BREATH_SECONDS
from fineline_operator.sources.prefix import Prefix, Unlisted, basis_of
from fineline_operator.sources.reading import Files, SourceReader
from fineline_operator.sources.status import Findings, next_status
from fineline_operator.sources.work import Done, Site, Work
from fineline_operator.stores import store_table
from fineline_operator.telling.events import Teller, warning
from fineline_operator.telling.problems import STUCK_SECONDS, Problem, problem_of
from fineline_operator.telling.status import apply_status
from fineline_operator.threads import Threads
from fineline_operator.world import World

STORE_REASONS = (SourceReason.STORE_NOT_FOUND, SourceReason.STORE_DENIED)
"""A person must act, and nothing tells the operator that somebody did: it is tried again with growing pauses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to tell of a look, and when to look again. Without findings what was found before stays told; but nothing is
    said to wait where it is `suspended`."""

    conditions: Conditions
    findings: Findings | None = None
    suspended: bool = False
    again_after: float | None = None
    backoff: bool = False


class SourceReconciler:
    """Looks at CheckpointSources. What it keeps between two looks only saves listing again. `queue_problem` says why a
    queue brings no events now."""

    def __init__(
        self,
        api: Api,
        world: World,
        settings: OperatorSettings,
        threads: Threads,
        queue_problem: Callable[[str], Problem | None] = lambda _: None,
    ) -> None:
        self._api = api
        self._world = world
        self._threads = threads
        self._queue_problem = queue_problem
        self._stores = store_table(settings)
        self._reader = SourceReader(api, settings)
        self._teller = Teller(api)
        self._site = Site(self._reader, Actor(api, self._reader), self._teller, threads, self._stores)
        self._prefixes: dict[str, Prefix] = {}
        self._works: dict[str, Work] = {}
        self._told: dict[str, tuple[str, str]] = {}

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look without an event; None where it is gone.

        Raises `Backoff` for a fault that the status tells and that is tried again with growing pauses, `ApiError` where
        the API server fails.
        """
        read = await self._reader.source(key.namespace, key.name)
        if read is None:
            return None
        seen, source = read
        if seen.deleting:
            # Owner references take its CheckpointEvals; results stay.
            self.forget(seen.uid)
            return None
        if isinstance(source, Source) and source.aside is None and source.spec.sqs is not None:
            source = replace(source, aside=self._queue_problem(source.spec.sqs))
        try:
            if isinstance(source, Problem):
                outcome = _stuck(source)
            else:
                outcome = replace(await self._looked(key, source), suspended=source.spec.suspend)
            self._measure(seen, outcome)
            await self._tell(seen, outcome)
        finally:
            known = self._world.get(key)
            if known is None or known.uid != seen.uid:
                self.forget(seen.uid)
        if outcome.backoff:
            raise Backoff(f"{key}: {outcome.conditions[0].reason}; see its conditions")
        return outcome.again_after

    def forget(self, uid: str) -> None:
        """Nothing is needed any more of a source that is gone."""
        self._prefixes.pop(uid, None)
        self._works.pop(uid, None)
        place = self._told.pop(uid, None)
        if place is not None:
            metrics.forget_source(*place)

    async def _looked(self, key: Key, source: Source) -> Outcome:
        try:
            files = await self._reader.files(source)
        except SpecError as error:
            return _stuck(problem_of(error))
        now, seen = datetime.now(UTC), source.seen
        turned = events.turned(seen, suspend=source.spec.suspend)
        if turned is not None:
            await self._teller.tell(seen.subject, turned, now, attempt=str(seen.generation))
        lane, news = self._world.lane_of(key), self._world.news_of(seen.uid)
        work = self._works.setdefault(seen.uid, Work(self._site, seen.created))
        if source.spec.suspend:
            work.hold()
        prefix = self._prefix(source, files)
        if not prefix.listed and seen.status.observed_generation != seen.generation:
            await self._write(seen, Outcome(first_listing()), now)
        listing = await prefix.look(source, lane)
        if isinstance(listing, Unlisted):
            outcome = _failing(listing.problem)
            if outcome.backoff and not listing.tried:
                # An event came amid the pause, which is that of the listing: it is no failure of its own.
                return replace(outcome, backoff=False, again_after=prefix.seconds_to_next(source))
            return outcome
        done = await work.done(source, files, listing, lane, news)
        if isinstance(done, Problem):
            return _failing(done)
        return _outcome(source, listing, done, prefix.seconds_to_next(source))

    def _prefix(self, source: Source, files: Files) -> Prefix:
        """What is known of the prefix; nothing where it is to be read in another way now."""
        basis = basis_of(source, files)
        known = self._prefixes.get(source.seen.uid)
        if known is None or known.basis != basis:
            known = self._prefixes[source.seen.uid] = Prefix(basis, self._threads, self._stores)
        return known

    async def _tell(self, seen: SourceSeen, outcome: Outcome) -> None:
        """A lasting problem as a Warning too, once; then the status."""
        now = datetime.now(UTC)
        stalled = next(item for item in outcome.conditions if item.type == "Stalled")
        told = seen.status.condition("Stalled")
        if stalled.status == "True" and (told is None or (told.status, told.reason) != ("True", stalled.reason)):
            await self._teller.tell(seen.subject, warning(stalled.reason, stalled.message), now)
        await self._write(seen, outcome, now)

    def _measure(self, seen: SourceSeen, outcome: Outcome) -> None:
        place = (seen.subject.namespace, seen.subject.name)
        if (findings := outcome.findings) is not None:
            self._told[seen.uid] = place
            metrics.tell_source(*place, findings.counts, findings.waiting_since)
        elif outcome.suspended:
            metrics.tell_waiting(*place, None)

    async def _write(self, seen: SourceSeen, outcome: Outcome, now: datetime) -> None:
        status = next_status(seen, outcome.conditions, outcome.findings, now, suspended=outcome.suspended)
        if status is not None:
            await apply_status(self._api, "checkpointsources", seen.subject, status)


def _stuck(problem: Problem) -> Outcome:
    """It can't be meant as it is written."""
    return Outcome(of_problem(problem), again_after=STUCK_SECONDS)


def _failing(problem: Problem) -> Outcome:
    """A store does not do what it should: tried again with growing pauses, whoever must act."""
    if problem.reason not in set(SourceReason):
        reason = SourceReason.SPEC_INVALID if problem.lasting else SourceReason.STORE_UNAVAILABLE
        problem = Problem(reason, problem.message, problem.lasting)
    if problem.lasting and problem.reason not in STORE_REASONS:
        return _stuck(problem)
    return Outcome(of_problem(problem, growing=True), backoff=True)


def _outcome(source: Source, listing: Listing, done: Done, next_listing: float) -> Outcome:
    """`next_listing` is in seconds."""
    decision, problem = done.decision, done.problem
    findings = Findings(decision.counts, decision.newest, decision.waiting_on, listing.listed_at, done.waiting_since)
    if problem is not None and not problem.lasting:
        return Outcome(of_problem(problem), findings, backoff=True)
    again_after = next_listing
    if problem is None and (done.again or decision.again_after is not None):
        again_after = min(next_listing, max(BREATH_SECONDS, 0.0 if done.again else decision.again_after or 0.0))
    if source.spec.suspend:
        told = suspended(decision.counts)
    elif (asking := problem or source.aside) is not None:
        told = of_problem(asking)
    else:
        told = well(decision.counts, evaluating=decision.evaluating)
    return Outcome(told, findings, again_after=again_after)
