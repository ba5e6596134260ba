"""What is kept of a prefix between two looks: small frozen values, for a source may hold ten thousand checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from fineline.checkpoints import Position, Problem


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One checkpoint with the bytes that it had: what is evaluated once, and what a CheckpointEval pins."""

    branch: str
    step: int
    digest: str


@dataclass(frozen=True, slots=True)
class Walked:
    """One checkpoint of a prefix.

    `digest` is that of `fineline.checkpoints.Checkpoint`, `tokenizer_digest` that of the tokenizer it carries itself
    (empty where it carries none). `changed` is when anything in its folder last changed. `problem` says why it can't be
    evaluated as it lies there: `passing` ones may end by a further upload, or by time.
    """

    folder: str
    position: Position
    digest: str
    tokenizer_digest: str
    changed: datetime
    problem: Problem | None = None

    @property
    def complete(self) -> bool:
        return self.problem is None

    @property
    def member(self) -> Member:
        return Member(self.position.branch, self.position.step, self.digest)


class Aside(NamedTuple):
    """A folder that has no place in the series, and why: PositionUnknown, or DuplicatePosition where another folder
    that claims the same one is meant."""

    folder: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a prefix holds, as far as it is known after a look: all of it, but for overwrites since the last full walk.

    `checkpoints` are in order of (branch, tokens or step), `aside` in order of their folders. `settles_at` is when the
    next checkpoint may become complete by time alone: after `listed_at`.
    """

    checkpoints: tuple[Walked, ...]
    aside: tuple[Aside, ...] = ()
    listed_at: datetime | None = None
    full_at: datetime | None = None
    settles_at: datetime | None = None
