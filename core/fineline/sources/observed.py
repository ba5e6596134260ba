"""What a CheckpointSource is decided from, and what is decided: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fineline.resources.checkpoint_source import CheckpointSourceSpec
from fineline.resources.source_status import CheckpointSourceStatus, NewestCheckpoint, SourceCounts, WaitingOn
from fineline.sources.listing import Listing, Member, Walked
from fineline.sources.progress import MemberProgress


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which source it is. Without a cluster there is no `uid`."""

    name: str
    namespace: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class MadeEvaluation:
    """A CheckpointEval of the source, as the API server has it. `template` is its annotation `fineline.dev/template`;
    `ended` is its completionTime, None while it is not finished, or where nothing tells it."""

    name: str
    uid: str
    members: frozenset[Member]
    template: str
    finished: bool
    succeeded: bool
    created: datetime
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceObserved:
    """One look.

    `template` is `batches.template_digest`. `made` are all CheckpointEvals of the source, of any template. `progress`
    is what `progress.Progress.of` says of the listing's members, in any order; one that is not in it is OPEN. `fresh`
    are those of which it was listed after `made` was read.
    """

    source: SourceIdentity
    now: datetime
    spec: CheckpointSourceSpec
    template: str
    listing: Listing
    made: tuple[MadeEvaluation, ...]
    progress: Mapping[Member, MemberProgress]
    status: CheckpointSourceStatus
    fresh: frozenset[Member] = frozenset()


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """A CheckpointEval to create: its name and its checkpoints, in order."""

    name: str
    checkpoints: tuple[Walked, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(item.member for item in self.checkpoints)


@dataclass(frozen=True, slots=True)
class SourceDecision:
    """What is to be done and told.

    - `create`: in this order. Where one is there already (409), somebody else made one of other members, or the same:
      create none of those after it, and look again at once.
    - `delete`: names of ended ones that history need not keep.
    - `evaluating`: some run, or checkpoints wait for theirs.
    - `changed`: those without results whose position was evaluated, or is a member, with other bytes; none while
      suspended.
    - `again_after`: seconds after which time alone may change something, None where it can't. The caller adds its poll.
    - `waiting`: chosen, complete ones without results, whether their CheckpointEval is made yet or not.
    """

    create: tuple[NewEvaluation, ...]
    delete: tuple[str, ...]
    counts: SourceCounts
    newest: NewestCheckpoint | None
    waiting_on: tuple[WaitingOn, ...]
    evaluating: bool
    changed: tuple[Member, ...]
    again_after: float | None
    waiting: tuple[Walked, ...]
