"""What training does to the prefix of a CheckpointSource, and what comes of it, in a lab."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fineline.store import Store, open_store
from support.control_plane import wait_for
from support.lab import Lab

_wakes = itertools.count(1)


@dataclass
class Arrivals:
    """A source called `name` over the checkpoints of a run of the same name."""

    lab: Lab
    name: str = "tiny"
    played: set[str] = field(default_factory=set)

    @property
    def uploads(self) -> Store:
        """The prefix, as training sees it."""
        return open_store(f"{self.lab.uri}checkpoints/{self.name}/")

    def apply(self, **spec: Any) -> None:
        self.lab.apply_source(self.name, self.name, **spec)

    def upload(self, *steps: int) -> None:
        self.lab.add_checkpoints(*steps, run=self.name)

    def delete(self, step: int) -> None:
        """As training that keeps the last few checkpoints alone."""
        for item in list(self.uploads.list(f"step{step}/")):
            self.uploads.delete(item.name)

    def wake(self) -> None:
        """As an event of the bucket does."""
        self.lab.sources.annotate("fineline.dev/wake", str(next(_wakes)), self.name)

    def status(self) -> dict[str, Any]:
        return self.lab.sources.status(self.name)

    def counts(self) -> tuple[int, ...]:
        """Found, complete, evaluated, failed, waiting; none before it was listed."""
        told = self.status().get("checkpoints", {})
        return tuple(told.get(key, -1) for key in ("found", "complete", "evaluated", "failed", "waiting"))

    def wait_for_counts(self, *counts: int, seconds: float = 30) -> None:
        try:
            wait_for(lambda: self.counts() == counts, f"the counts {counts}", seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.status()}; made are {self.members()}") from None

    def wait_for_reason(self, reason: str, *, seconds: float = 30) -> str:
        """Waits until Ready gives this reason; its message."""
        ready = {"reason": ""}

        def reads_so() -> bool:
            ready.update(self.lab.sources.condition("Ready", self.name))
            return ready["reason"] == reason

        try:
            wait_for(reads_so, f"Ready of {self.name}: {reason}", seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.status()}") from None
        return ready["message"]

    def shown(self) -> dict[str, str]:
        """The conditions' statuses."""
        return {item["type"]: item["status"] for item in self.status().get("conditions", ())}

    def evaluations(self) -> list[dict[str, Any]]:
        return self.lab.evaluations_of(self.name)

    def members(self) -> list[list[int]]:
        """The steps of each CheckpointEval, in the order of their numbers."""
        made = sorted(self.evaluations(), key=lambda body: int(body["metadata"]["name"].rpartition("-")[2]))
        return [[pin["step"] for pin in pinned(body)] for body in made]

    def wait_for_members(self, *members: list[int], seconds: float = 30) -> None:
        try:
            wait_for(lambda: self.members() == list(members), f"CheckpointEvals of {members}", seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: made are {self.members()}, {self.status()}") from None

    def work(self, **how: Any) -> None:
        """Does the work of the oldest CheckpointEval that was not played yet."""
        name = next(iter(self._not_played()))
        self.played.add(name)
        self.lab.work(name, **how)

    def _not_played(self) -> Iterator[str]:
        wait_for(lambda: len(self.evaluations()) > 0, f"a CheckpointEval of {self.name}")
        names = (body["metadata"]["name"] for body in self.evaluations())
        return (
            name for name in sorted(names, key=lambda name: int(name.rpartition("-")[2])) if name not in self.played
        )


def pinned(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a CheckpointEval pins."""
    found: list[dict[str, Any]] = body["spec"]["checkpoints"]["pinned"]
    return found
