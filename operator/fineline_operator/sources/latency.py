"""Since when the checkpoints of a source wait for results, and how long those took that have theirs.

A checkpoint waits from its last change on. But many lie there long before anybody asks for their results: when a source
is made over an old prefix, when its template or its choice is edited, when it is resumed. These wait from then on, or
whoever looks at the figures would take a backlog for a delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from fineline.resources.source_reasons import SourceReason
from fineline.sources.deciding import SourceObserved
from fineline.sources.listing import Member, Walked
from fineline.sources.progress import MemberProgress


class Waits:
    """Of one source, which was `created` then.

    Nothing that matters is lost with the process: `status.waitingSince` tells since when the oldest waits, and
    `status.lastListed` when nothing did. What was evaluated when this process first saw it is not counted.
    """

    def __init__(self, created: datetime) -> None:
        self._created = created
        self._template = ""
        self._grounds: object = None
        self._since: dict[Member, datetime] = {}
        self._settled: frozenset[tuple[str, datetime]] = frozenset()
        self._oldest: datetime | None = None

    @property
    def oldest(self) -> datetime | None:
        """Since when the one waits that waits longest, in whole seconds; None where none does, or it is suspended."""
        return self._oldest

    def hold(self) -> None:
        """It is suspended: nothing waits, and what goes on later has waited since then."""
        self._since, self._oldest = {}, None

    def look(self, observed: SourceObserved, waiting: Sequence[Walked], grounds: object) -> list[float]:
        """The seconds of those that waited at an earlier look, and are evaluated now: each once, and also where the
        training has deleted the checkpoint meanwhile. `waiting` are those of the decision.

        `grounds` is what people may edit: where it has changed, what waits anew has waited since the edit.
        """
        now = observed.now
        known = self._since if observed.template == self._template else {}
        took = [
            max(0.0, (now - since).total_seconds())
            for member, since in known.items()
            if observed.progress.get(member) is MemberProgress.EVALUATED
        ]
        earliest = self._earliest(observed, grounds)
        listed = {item.member for item in observed.listing.checkpoints}
        self._since = {
            member: since
            for member, since in known.items()
            if member not in listed and observed.progress.get(member) is MemberProgress.OPEN
        }
        self._since |= {item.member: known.get(item.member) or self._began(item, earliest, now) for item in waiting}
        oldest = min((self._since[item.member] for item in waiting), default=None)
        self._oldest = oldest.replace(microsecond=0) if oldest is not None else None
        self._template, self._grounds = observed.template, grounds
        settled_by = now - timedelta(seconds=observed.spec.complete.settle_seconds)
        self._settled = frozenset(
            (item.digest, item.changed) for item in observed.listing.checkpoints if item.changed <= settled_by
        )
        if observed.spec.suspend:
            self.hold()
        return took

    def _earliest(self, observed: SourceObserved, grounds: object) -> datetime:
        """Nothing that is new among those that wait has waited since before."""
        if self._grounds is not None:
            edited = (self._template, self._grounds) != (observed.template, grounds)
            return observed.now if edited else self._created
        status = observed.status
        ready = status.condition("Ready")
        if ready is not None and ready.reason == SourceReason.SUSPENDED:
            return observed.now
        return max(self._created, status.waiting_since or status.last_listed or self._created)

    def _began(self, item: Walked, earliest: datetime, now: datetime) -> datetime:
        """When one began to wait that did not at the last look. If it was there just the same, something else than an
        upload makes it wait now."""
        if (item.digest, item.changed) in self._settled:
            return now
        return min(now, max(item.changed, earliest))
