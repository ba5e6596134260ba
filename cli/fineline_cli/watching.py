"""What `fineline watch` knows of one source between two looks, and what it makes of a look: nothing of it is written,
for the listing and the results say all again to whoever starts anew.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fineline.plan import UnitRecipe, read_recipe
from fineline.plan.observing import find_options
from fineline.resources import CheckpointEval, validated
from fineline.resources.source_status import CheckpointSourceStatus
from fineline.sources.batches import evaluation_body, template_digest
from fineline.sources.deciding import (
    MadeEvaluation,
    NewEvaluation,
    SourceDecision,
    SourceIdentity,
    SourceObserved,
    decide,
)
from fineline.sources.listing import Listing, Member
from fineline.sources.progress import MemberProgress, Progress
from fineline.sources.walking import Walk
from fineline.store import open_store
from fineline_cli.evaluations import Evaluation, Source

PAUSE_SECONDS = 5.0
"""After a fault; each further one in a row doubles it."""

LONGEST_PAUSE_SECONDS = 300.0


def pause_after(faults: int) -> float:
    """Seconds until the next try after so many faults in a row."""
    return min(PAUSE_SECONDS * 2.0 ** min(faults - 1, 16), LONGEST_PAUSE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """A checkpoint that a fault kept from its results `faults` times; tried again from `due` on, by the monotonic
    clock."""

    faults: int
    due: float


class Watched:
    """One source. Its methods block, and raise `StoreError` and `SpecError`; what was known stays then."""

    def __init__(self, source: Source) -> None:
        spec = source.resource.spec
        self.source = source
        self._identity = SourceIdentity(source.name, source.resource.metadata.namespace or "")
        self._options = find_options(spec.template.run, spec.checkpoints, complete=spec.complete)
        self._walk: Walk | None = None
        self._progress = Progress()
        self._template = ""
        self._made: list[MadeEvaluation] = []
        self._unfinished: dict[Member, _Unfinished] = {}
        self._again: frozenset[Member] = frozenset()
        self._failed: frozenset[Member] = frozenset()
        self._full_at: datetime | None = None

    def recipe(self) -> UnitRecipe:
        """What results depend on besides the checkpoints: read anew, for a mirror may have been filled meanwhile."""
        spec = self.source.resource.spec
        return read_recipe(spec.template, spec.checkpoints, suite_files=self.source.suite_files)

    def look(self) -> Listing:
        """Lists what is to be listed now."""
        spec = self.source.resource.spec
        if self._walk is None:
            store = open_store(spec.uri, requester_pays=spec.checkpoints.requester_pays)
            self._walk = Walk(store, self._options, full_walk_seconds=spec.full_walk_seconds)
        return self._walk.look(datetime.now(UTC))

    def decide(self, listing: Listing) -> SourceDecision:
        """What follows from a listing, from the results in the store, and from what was evaluated here."""
        spec = self.source.resource.spec
        recipe = self.recipe()
        again = self._again
        if listing.full_at != self._full_at:
            again |= self._failed  # somebody may have had the failures forgotten
        progress = self._progress.of(open_store(self.source.results_uri), recipe, listing.checkpoints, again)
        self._again, self._full_at = frozenset(), listing.full_at
        self._failed = frozenset(member for member, state in progress.items() if state is MemberProgress.FAILED)
        self._template = template_digest(spec, self.source.results_uri, recipe.digest)
        left = self._left(progress)
        decision = decide(
            SourceObserved(
                source=self._identity,
                now=datetime.now(UTC),
                spec=spec,
                template=self._template,
                listing=listing,
                made=tuple(self._without(one, left) for one in self._made),
                progress=progress,
                status=CheckpointSourceStatus(),
                fresh=frozenset(again),
            )
        )
        return replace(decision, again_after=self._soonest(decision.again_after))

    def _left(self, progress: Mapping[Member, MemberProgress]) -> set[Member]:
        """What a fault left undone and is to be tried again now. What got results or failed for good is forgotten."""
        self._unfinished = {
            member: one for member, one in self._unfinished.items() if progress.get(member) is MemberProgress.OPEN
        }
        now = time.monotonic()
        return {member for member, one in self._unfinished.items() if one.due <= now}

    def _without(self, made: MadeEvaluation, members: set[Member]) -> MadeEvaluation:
        return replace(made, members=made.members - members)

    def _soonest(self, again_after: float | None) -> float | None:
        now = time.monotonic()
        later = [one.due - now for one in self._unfinished.values() if one.due > now]
        return min([*later, *([] if again_after is None else [again_after])], default=None)

    def evaluation(self, new: NewEvaluation) -> Evaluation:
        """The evaluation of some checkpoints, exactly as they were listed."""
        body = evaluation_body(self._identity, self.source.resource.spec, self._template, new)
        resource = validated(CheckpointEval, body, self.source.name)
        return Evaluation(resource, self.source.results_uri, self.source.suite_files)

    def ended(
        self, new: NewEvaluation, *, began: datetime, succeeded: bool, unfinished: Collection[Member] = ()
    ) -> float | None:
        """What is remembered of an evaluation that was done here: it is not done again for the same bytes. But those
        that a fault left `unfinished` are, after the seconds that are returned."""
        self._again |= frozenset(new.members)
        self._made.append(
            MadeEvaluation(
                name=new.name,
                uid=new.name,
                members=frozenset(new.members),
                template=self._template,
                finished=True,
                succeeded=succeeded,
                created=began,
                ended=datetime.now(UTC),
            )
        )
        if not unfinished:
            return None
        faults = 1 + max(self._unfinished[member].faults if member in self._unfinished else 0 for member in unfinished)
        pause = pause_after(faults)
        due = time.monotonic() + pause
        self._unfinished |= dict.fromkeys(unfinished, _Unfinished(faults, due))
        return pause

    def seconds_to_full_walk(self, listing: Listing) -> float:
        """From a listing until all of the prefix is to be listed again."""
        if listing.listed_at is None or listing.full_at is None:
            raise RuntimeError(f"{self.source.name}: a walk tells when it listed")
        age = (listing.listed_at - listing.full_at).total_seconds()
        return max(0.0, self.source.resource.spec.full_walk_seconds - age)
