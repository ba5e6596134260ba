"""What was read of a CheckpointSource: plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fineline.resources.checkpoint_source import CheckpointSourceSpec
from fineline.resources.source_status import CheckpointSourceStatus
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.subject import Subject
from fineline_operator.world import SOURCE


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """The CheckpointSource, but for its spec. `wake` is the value of the annotation by which events tell."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    deleting: bool
    wake: str
    status: CheckpointSourceStatus

    @property
    def subject(self) -> Subject:
        return Subject(SOURCE, self.namespace, self.name, self.uid)

    @property
    def reason(self) -> str:
        """What Ready says now; empty where nothing was told yet."""
        ready = self.status.condition("Ready")
        return ready.reason if ready is not None else ""


@dataclass(frozen=True, slots=True)
class Source:
    """A CheckpointSource that can be meant, and what the operator's settings add to it.

    `problem` keeps it from being listed; `aside` is told while it is listed all the same.
    """

    seen: SourceSeen
    spec: CheckpointSourceSpec
    results_uri: str
    datasets_uri: str | None
    aside: Problem | None = None
