"""The operator is killed (-9) after writes about a source, and started again: the same CheckpointEvals come."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.api_faults import ApiProxy, Asked, api_proxy
from support.arrivals import Arrivals, pinned
from support.control_plane import ControlPlane, wait_for
from support.lab import BUCKET, Lab, operator_settings
from support.operator import Operator, install_operator, start_operator
from support.versitygw import S3Server

_ABOUT_SOURCES = re.compile(r"/checkpointsources/[^/]+/(status)$|/(checkpointevals)(?:/[^/]+)?$|/(events)$")
DEATHS_EACH = 2
"""After so many writes of each kind it is killed: a start takes seconds."""


@dataclass
class Victim:
    """An operator behind a proxy, killed once the API server has carried out a write about sources in one namespace,
    and before it hears of it."""

    operator: Operator
    proxy: ApiProxy
    namespace: str = ""
    deaths: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.proxy.on_answer = self._end

    def _end(self, asked: Asked) -> None:
        about = _ABOUT_SOURCES.search(asked.path)
        if about is None or not self.namespace or f"/{self.namespace}/" not in asked.path:
            return
        write = f"{asked.method} {about[about.lastindex or 0]}"
        counts = asked.write and asked.status in (200, 201) and self.deaths[write] < DEATHS_EACH
        if counts and self.operator.running:
            self.deaths[write] += 1
            os.kill(self.operator.pid, signal.SIGKILL)

    def survive(self) -> None:
        """Starts it again where it was killed. To be called by the test's own thread."""
        if not self.operator.running:
            self.operator.start()


@pytest.fixture
def victim(own_plane: ControlPlane, versitygw: S3Server, tmp_path: Path) -> Iterator[Victim]:
    home = own_plane.make_namespace("operator")
    settings = operator_settings(versitygw, f"s3://{BUCKET}/", tmp_path, lease={"seconds": 4})
    with api_proxy(own_plane) as proxy:
        kubeconfig = proxy.kubeconfig(install_operator(own_plane, home))
        # The same identity each time: it need not wait for the end of its own Lease.
        with start_operator(tmp_path / "operator", kubeconfig, settings=settings, identity="victim") as operator:
            yield Victim(operator, proxy)
    own_plane.delete_namespace(home)


def life(lab: Lab, victim: Victim) -> list[tuple[str, list[dict[str, Any]]]]:
    """Two checkpoints, then one more and one that is overwritten: the CheckpointEvals that are made, without the part
    of their names that differs from one source to the next."""
    source = Arrivals(lab)

    def reached(true: Callable[[], object], what: str) -> None:
        def survived_until_then() -> bool:
            victim.survive()
            return bool(true())

        wait_for(survived_until_then, what, seconds=90)

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
        victim.namespace = lab.namespace if dies else ""
        try:
            made.append(life(lab, victim))
        finally:
            victim.namespace = ""
            own_plane.delete_namespace(lab.namespace)
    assert made[0] == made[1]
    assert set(victim.deaths) == {"PATCH status", "POST checkpointevals", "POST events", "DELETE checkpointevals"}
