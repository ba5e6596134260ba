"""The operator is killed (-9) after writes about a source, and started again: the same CheckpointEvals come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.api_faults import Asked
from support.arrivals import Arrivals, pinned
from support.control_plane import ControlPlane, wait_for
from support.lab import Lab
from support.victims import Victim

_ABOUT_SOURCES = re.compile(r"/checkpointsources/[^/]+/(status)$|/(checkpointevals)(?:/[^/]+)?$|/(events)$")
DEATHS_EACH = 2
"""After so many writes of each kind it is killed: a start takes seconds."""


@dataclass
class Deaths:
    """It dies of its first writes of each kind about sources in one namespace."""

    namespace: str
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, asked: Asked) -> bool:
        about = _ABOUT_SOURCES.search(asked.path)
        if about is None or f"/{self.namespace}/" not in asked.path:
            return False
        write = f"{asked.method} {about[about.lastindex or 0]}"
        self.counts[write] += 1
        return self.counts[write] <= DEATHS_EACH


def life(lab: Lab, victim: Victim) -> list[tuple[str, list[dict[str, Any]]]]:
    """Two checkpoints, then one more and one that is overwritten: the CheckpointEvals that are made, without the part
    of their names that differs from one source to the next."""
    source = Arrivals(lab)

    def reached(true: Callable[[], object], what: str) -> None:
        wait_for(victim.survives_until(true), what, seconds=90)

    def told() -> Counter[str]:
        return Counter(reason for reason, _ in lab.sources.events())

    source.upload(1, 2)
    source.apply(history={"succeeded": 0})
    reached(lambda: source.members() == [[1, 2]], "the first CheckpointEval")
    (first,) = source.evaluations()
    reached(lambda: lab.jobs(first["metadata"]["name"]), "its Job")
    source.upload(3)
    lab.overwrite_checkpoint(1)
    source.wake()
    source.work()
    reached(lambda: source.members() == [[1, 3]], "the second")
    reached(lambda: source.counts() == (3, 3, 1, 0, 2), "the counts")
    reached(lambda: told() == {"EvaluationCreated": 2, "CheckpointChanged": 1}, "each event, once")
    return [(body["metadata"]["name"].rpartition("-")[2], pinned(body)) for body in (first, *source.evaluations())]


def test_killed_after_writes_of_each_kind_it_makes_the_same_checkpoint_evals(
    own_plane: ControlPlane, victim: Victim, s3_prefix: str, tmp_path: Path
) -> None:
    made = []
    for dies in (False, True):
        lab = Lab(own_plane, own_plane.make_namespace(), f"{s3_prefix}{dies}/", tmp_path / str(dies))
        deaths = Deaths(lab.namespace)
        if dies:
            victim.dies = deaths
        try:
            made.append(life(lab, victim))
        finally:
            victim.spare()
            own_plane.delete_namespace(lab.namespace)
    assert made[0] == made[1]
    assert set(deaths.counts) == {"PATCH status", "POST checkpointevals", "POST events", "DELETE checkpointevals"}
