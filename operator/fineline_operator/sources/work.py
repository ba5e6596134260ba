"""What follows from a listing: what results and CheckpointEvals say, what is decided, and what is done of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from fineline.errors import FinelineError
from fineline.plan.units import read_recipe
from fineline.sources.batches import template_digest
from fineline.sources.deciding import SourceDecision, SourceIdentity, SourceObserved, decide
from fineline.sources.listing import Aside, Listing, Member, Walked
from fineline.sources.progress import MemberProgress, Progress
from fineline.store import StoreTable, open_store
from fineline_operator import metrics
from fineline_operator.sources import events
from fineline_operator.sources.acting import Actor, Created
from fineline_operator.sources.latency import Waits
from fineline_operator.sources.observed import Source
from fineline_operator.sources.reading import Files, Made, SourceReader
from fineline_operator.telling.events import Teller
from fineline_operator.telling.problems import Problem, problem_of
from fineline_operator.threads import Threads


@dataclass(frozen=True, slots=True)
class Site:
    """Who a source's work is done with: shared by all sources."""

    reader: SourceReader
    actor: Actor
    teller: Teller
    threads: Threads
    stores: StoreTable


@dataclass(frozen=True, slots=True)
class Done:
    """What was decided, and why not all of it could be done. `again`: others act too, so it is looked at once more.
    `waiting_since`: the oldest that waits does so since then."""

    decision: SourceDecision
    waiting_since: datetime | None = None
    problem: Problem | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Grounds:
    """All that a decision rests on where nothing waits and nothing runs: while it stays, so does the decision.

    `news` counts what the watch told of the source's CheckpointEvals.
    """

    generation: int
    files: Files
    checkpoints: tuple[Walked, ...]
    aside: tuple[Aside, ...]
    news: int


class Work:
    """Of one source. What is kept between two looks saves reading it again, but for every `fullWalkSeconds`: others may
    change what lies elsewhere (a mirror, a tokenizer), evaluate the same, or have failures forgotten."""

    def __init__(self, site: Site, created: datetime) -> None:
        self._site = site
        self._progress = Progress()
        self._waits = Waits(created)
        self._lacking: frozenset[Member] = frozenset()
        self._refreshed: datetime | None = None
        self._settled: tuple[_Grounds, Done] | None = None

    def hold(self) -> None:
        """The source is suspended, whatever else comes of this look."""
        self._waits.hold()

    async def done(self, source: Source, files: Files, listing: Listing, lane: str, news: int) -> Done | Problem:
        """Does what is to be done about this listing; a problem where nothing could be decided."""
        grounds = _Grounds(source.seen.generation, files, listing.checkpoints, listing.aside, news)
        refresh = self._is_old(source, datetime.now(UTC))
        if self._settled is not None and self._settled[0] == grounds and not refresh:
            return self._settled[1]
        self._settled = None
        # Before the results are: one that ends and is deleted between the two has its results by then.
        made = await self._site.reader.made(source.seen)
        try:
            observed, decision = await self._decided(source, files, listing, made, lane, refresh=refresh)
        except FinelineError as error:
            return problem_of(error)
        done = await self._carried_out(source, observed.template, made, decision)
        if not (decision.evaluating or decision.delete or done.problem) and decision.again_after is None:
            self._settled = grounds, done
        return done

    def _is_old(self, source: Source, now: datetime) -> bool:
        age = (now - self._refreshed).total_seconds() if self._refreshed is not None else None
        # A clock that went back makes it old too.
        return age is None or not 0 <= age < source.spec.full_walk_seconds

    async def _decided(
        self, source: Source, files: Files, listing: Listing, made: Made, lane: str, *, refresh: bool
    ) -> tuple[SourceObserved, SourceDecision]:
        # Those that are not finished may have come farther; of those that succeeded results may have been deleted.
        again = {member for one in made.evaluations if one.succeeded or not one.finished for member in one.members}
        if refresh:
            again |= self._lacking
        run = self._site.threads.run
        observed, decision = await run(lane, self._observe_and_decide, source, files, listing, made, again)
        if decision.create:
            # They may have waited for long, and others evaluate too.
            again.update(member for new in decision.create for member in new.members)
            observed, decision = await run(lane, self._observe_and_decide, source, files, listing, made, again)
        self._lacking = frozenset(
            member for member, state in observed.progress.items() if state is not MemberProgress.EVALUATED
        )
        if refresh:
            self._refreshed = observed.now
        return observed, decision

    def _observe_and_decide(
        self, source: Source, files: Files, listing: Listing, made: Made, again: Collection[Member]
    ) -> tuple[SourceObserved, SourceDecision]:
        """In a thread: never in two at once, for the queue looks at a source once at a time."""
        observed = self._observed(source, files, listing, made, again)
        decision = decide(observed)
        for seconds in self._waits.look(observed, decision.waiting, (source.seen.generation, files)):
            metrics.UPLOAD_TO_RESULT.observe(seconds)
        return observed, decision

    def _observed(
        self, source: Source, files: Files, listing: Listing, made: Made, again: Collection[Member]
    ) -> SourceObserved:
        spec, stores, seen = source.spec, self._site.stores, source.seen
        with metrics.store_call("results"):
            recipe = read_recipe(
                spec.template,
                spec.checkpoints,
                suite_files=files.suite,
                datasets_uri=source.datasets_uri,
                stores=stores,
            )
            results = open_store(source.results_uri, stores=stores)
            progress = self._progress.of(results, recipe, listing.checkpoints, again)
        return SourceObserved(
            source=SourceIdentity(seen.name, seen.namespace, seen.uid),
            now=datetime.now(UTC),
            spec=spec,
            template=template_digest(spec, source.results_uri, recipe.digest),
            listing=listing,
            made=made.evaluations,
            progress=progress,
            status=seen.status,
            fresh=frozenset(again),
        )

    async def _carried_out(self, source: Source, template: str, made: Made, decision: SourceDecision) -> Done:
        """What was made and not told of before is told first; each CheckpointEval as soon as it is made, and at last
        what it evaluates again: that is no reason for anything to wait."""
        seen, now, tell = source.seen, datetime.now(UTC), self._site.teller.tell
        told: dict[str, Collection[Member]] = {}
        for one in events.made_lately(made.evaluations, now):
            await tell(seen.subject, events.created(one.name, one.members), now)
            told[one.name] = one.members
        created: Created | Problem = Created.NOW
        for new in decision.create:
            created = await self._site.actor.create(source, template, new)
            if created is not Created.NOW:
                break
            await tell(seen.subject, events.created(new.name, new.members), now)
            told[new.name] = new.members
        for name, members in told.items():
            if again := set(decision.changed).intersection(members):
                await tell(seen.subject, events.changed(name, again), now)
        gone = [one for one in made.evaluations if one.name in decision.delete and one.uid in made.owned]
        await self._site.actor.delete(seen, gone)
        problem = created if isinstance(created, Problem) else None
        return Done(decision, self._waits.oldest, problem, again=created is Created.BEFORE)
