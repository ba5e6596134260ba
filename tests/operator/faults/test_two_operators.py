"""Two operators on one cluster: one acts and the other takes over; and should both act, nothing is done twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.control_plane import ControlPlane, wait_for
from support.lives import Crowd, End, is_idle, own_faults
from support.operator import Operator, install_operator, start_operator

HAND_OVER_SECONDS = 20


@pytest.fixture
def another_home(own_plane: ControlPlane) -> Iterator[str]:
    name = own_plane.make_namespace("operator")
    yield name
    own_plane.delete_namespace(name)


def acting(*operators: Operator) -> list[Operator]:
    return [operator for operator in operators if operator.running and operator.metric("fineline_leader") == 1]


def made(plane: ControlPlane, resource: str, namespace: str) -> int:
    """How many objects of the resource were made in the namespace, those that are gone included."""
    return sum(
        request["verb"] == "create" and request["responseStatus"]["code"] == 201
        for request in plane.requests(about=namespace)
        if (about := request.get("objectRef", {})).get("resource") == resource and about.get("namespace") == namespace
    )


def test_the_acting_one_is_killed_amid_twenty_and_the_other_finishes_them_within_twenty_seconds(
    crowd: Crowd, kubeconfig: Path, settings: dict[str, Any], tmp_path: Path, undisturbed: dict[bool, list[End]]
) -> None:
    settings["lease"] = {"seconds": 10}  # the default, and the longest
    with (
        start_operator(tmp_path / "first", kubeconfig, settings=settings, identity="first") as first,
        start_operator(tmp_path / "second", kubeconfig, settings=settings, identity="second", wait=False) as second,
    ):
        wait_for(lambda: second.said("is held by first"), "the second to wait")
        crowd.apply()
        crowd.wait_for_jobs(5)
        assert acting(first, second) == [first]
        first.kill()
        killed = time.monotonic()
        second.wait_until_acting(seconds=60)
        assert time.monotonic() - killed <= HAND_OVER_SECONDS
        crowd.work()
        crowd.wait_for_ends()
        crowd.wait_for_the_ends_of(undisturbed)


def test_two_that_both_act_make_no_job_twice_and_come_to_the_same_end(
    own_plane: ControlPlane,
    crowd: Crowd,
    kubeconfig: Path,
    another_home: str,
    settings: dict[str, Any],
    tmp_path: Path,
    undisturbed: dict[bool, list[End]],
) -> None:
    """As for a moment after one lost the Lease without knowing: here each has a Lease of its own."""
    another = install_operator(own_plane, another_home)
    with (
        start_operator(tmp_path / "first", kubeconfig, settings=settings) as first,
        start_operator(tmp_path / "second", another, settings=settings) as second,
    ):
        assert acting(first, second) == [first, second]
        crowd.apply()
        crowd.work()
        crowd.wait_for_ends()
        wait_for(lambda: is_idle(first) and is_idle(second), "both to have nothing to do")
        crowd.wait_for_the_ends_of(undisturbed)
        assert own_faults(first) + own_faults(second) == []
    assert made(own_plane, "jobs", crowd.lab.namespace) == len(crowd.names)
