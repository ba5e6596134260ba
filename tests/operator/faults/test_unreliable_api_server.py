"""The API server is restarted, silent, slow or refuses: what was asked for is done in the end, once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from support.api_faults import ApiProxy, Asked, Fault, api_proxy
from support.control_plane import ControlPlane, wait_for
from support.kube_api import ApiError
from support.lives import Crowd, End, kept_running, own_faults
from support.operator import start_operator

SILENCE = {"watching.WATCH_SECONDS": 6, "watching.SILENCE_SECONDS": 8.0, "api.TIMEOUT_SECONDS": 8.0}
"""A watch that is silent, and an answer that does not come, are noticed sooner than after half a minute."""


@pytest.fixture
def proxy(own_plane: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(own_plane) as running:
        yield running


def test_the_api_server_and_etcd_are_restarted_amid_twenty(
    own_plane: ControlPlane,
    crowd: Crowd,
    kubeconfig: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    undisturbed: dict[bool, list[End]],
) -> None:
    with (
        start_operator(tmp_path / "operator", kubeconfig, settings=settings, identity="one") as operator,
        kept_running(operator),
    ):
        crowd.apply()
        crowd.wait_for_jobs(3)
        own_plane.restart_api_server(at_once=True)
        wait_until_it_serves(own_plane)
        crowd.wait_for_jobs(10)
        own_plane.restart_etcd()
        wait_until_it_serves(own_plane)
        crowd.work(crowd.names[:7])
        own_plane.restart_api_server()
        wait_until_it_serves(own_plane)
        crowd.work(crowd.names[7:])
        own_plane.restart_api_server(at_once=True)
        wait_until_it_serves(own_plane)
        crowd.wait_for_ends()
        crowd.wait_for_the_ends_of(undisturbed)
        assert own_faults(operator) == []


def wait_until_it_serves(plane: ControlPlane) -> None:
    """Ready as it says it is, it answers 429 for kinds that CRDs make."""
    wait_for(lambda: serves(plane), "the API server to serve CheckpointEvals")


def serves(plane: ControlPlane) -> bool:
    try:
        plane.admin.items("/apis/fineline.dev/v1alpha1/checkpointevals")
        plane.admin.items("/apis/batch/v1/jobs")
    except (ApiError, urllib3.exceptions.HTTPError):
        return False
    return True


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """With the longest Lease: who can't renew it ends."""
    return settings | {"lease": {"seconds": 10}}


@dataclass
class Chance:
    """Faults of a real API server under load, by dice: every fifth request of the operator meets one."""

    dice: random.Random
    met: Counter[str] = field(default_factory=Counter)

    def __call__(self, asked: Asked) -> Fault | None:
        if "/leases" in asked.path or self.dice.random() > 0.2:
            return None
        faults = {
            "429": Fault("", "", status=429, retry_after=1),
            "500": Fault("", "", status=500),
            "503": Fault("", "", status=503),
            "slow": Fault("", "", seconds=2.0),
        }
        if not asked.watch:
            faults["lost"] = Fault("", "", lost=True)
        if asked.write:
            faults["409"] = Fault("", "", status=409)
        kind = self.dice.choice(sorted(faults))
        self.met[kind] += 1
        return faults[kind]


def test_refusals_lost_and_slow_answers_and_a_silent_watch_leave_no_trace(
    crowd: Crowd,
    kubeconfig: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    proxy: ApiProxy,
    undisturbed: dict[bool, list[End]],
) -> None:
    chance = Chance(random.Random(4))
    by_proxy = proxy.kubeconfig(kubeconfig)
    with (
        start_operator(
            tmp_path / "operator", by_proxy, settings=settings, identity="one", constants=SILENCE
        ) as operator,
        kept_running(operator),
    ):
        proxy.chance = chance
        crowd.apply()
        crowd.work(crowd.names[:10])
        # All that is open now says nothing more, watches included, and nobody is told so.
        proxy.freeze()
        time.sleep(1)
        proxy.thaw()
        crowd.work(crowd.names[10:])
        crowd.wait_for_ends()
        crowd.wait_for_the_ends_of(undisturbed)
        assert own_faults(operator) == []
        assert min(chance.met[kind] for kind in ("409", "429", "500", "503", "lost", "slow")) > 0, chance.met
