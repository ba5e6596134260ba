"""How long it took from the last change of a checkpoint until all of its results were seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from fineline.sources.listing import Member, Walked
from fineline.sources.progress import MemberProgress


class UploadToResult:
    """Of one source. What was evaluated when this process first saw it is not counted: nobody knows since when."""

    def __init__(self) -> None:
        self._open: dict[Member, datetime] = {}

    def seen(
        self, checkpoints: Iterable[Walked], progress: Mapping[Member, MemberProgress], now: datetime
    ) -> list[float]:
        """The seconds of those that were open at an earlier look, and are evaluated now: each once, and also where the
        training has deleted the checkpoint meanwhile."""
        took = [
            max(0.0, (now - changed).total_seconds())
            for member, changed in self._open.items()
            if progress.get(member) is MemberProgress.EVALUATED
        ]
        still_open = {member for member, state in progress.items() if state is MemberProgress.OPEN}
        there = {walked.member: walked.changed for walked in checkpoints} if still_open else {}
        known = self._open | there
        self._open = {member: known[member] for member in still_open if member in known}
        return took
