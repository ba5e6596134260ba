"""An operator that is asked to end (SIGTERM), whatever it is busy with: in time, and the next one goes on at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from support.control_plane import ControlPlane, wait_for
from support.faults import proxy_to
from support.lab import Lab
from support.lives import Crowd, End, own_faults
from support.operator import ACCOUNT, start_operator
from support.versitygw import S3Server

MOST_SECONDS = 15.0
"""Ten for what is being done, and some for the Lease, on a busy machine."""


def holder(plane: ControlPlane, home: str) -> str | None:
    lease = plane.admin.get(f"/apis/coordination.k8s.io/v1/namespaces/{home}/leases/{ACCOUNT}")
    found: str | None = lease["spec"].get("holderIdentity")
    return found


def test_one_that_ends_amid_twenty_gives_up_its_lease_and_the_next_finishes_them(
    own_plane: ControlPlane,
    crowd: Crowd,
    home: str,
    kubeconfig: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    undisturbed: dict[bool, list[End]],
) -> None:
    with start_operator(tmp_path / "operator", kubeconfig, settings=settings) as operator:
        crowd.apply()
        crowd.wait_for_jobs(2)
        began = time.monotonic()
        assert operator.stop() == 0
        assert time.monotonic() - began < MOST_SECONDS
        assert holder(own_plane, home) is None
        begun = crowd.with_jobs()
        crowd.work(begun)
        operator.start()
        crowd.work([name for name in crowd.names if name not in begun])
        crowd.wait_for_ends()
        crowd.wait_for_the_ends_of(undisturbed)
        assert own_faults(operator) == []


def test_one_that_waits_for_a_store_that_never_answers_ends_in_time(
    own_plane: ControlPlane,
    versitygw: S3Server,
    lab: Lab,
    home: str,
    kubeconfig: Path,
    settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    with proxy_to(versitygw.port) as hanging:
        hanging.delay(10**6, times=10**6)
        settings["stores"][0]["endpoint"] = hanging.endpoint
        settings["namespaces"] = [lab.namespace]  # what others left on this control plane would wait for it too
        with start_operator(tmp_path / "operator", kubeconfig, settings=settings) as operator:
            for number in range(8):
                lab.apply(f"eval-{number}")
            wait_for(lambda: operator.metric("fineline_queue_running") == 8, "all to wait for the store")
            began = time.monotonic()
            assert operator.stop() == 0
            assert time.monotonic() - began < MOST_SECONDS
            assert holder(own_plane, home) is None
