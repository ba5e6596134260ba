"""`fineline retry` against a real API server: what it sets, what it says, and when it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fineline_cli.cluster import Cluster
from support.control_plane import ControlPlane
from support.reports import allowed, failed, make, path, report, running, stalled, succeeded

Retry = Callable[..., Any]


@pytest.fixture
def retry(fineline: Any, cluster: ControlPlane, namespace: str) -> Retry:
    def call(name: str, *arguments: object, kubeconfig: Path = cluster.kubeconfig) -> Any:
        return fineline("retry", name, "-n", namespace, "--kubeconfig", kubeconfig, *arguments)

    return call


def annotation(cluster: ControlPlane, namespace: str, name: str = "amber") -> str | None:
    metadata = cluster.admin.get(path(namespace, name))["metadata"]
    value: str | None = metadata.get("annotations", {}).get("fineline.dev/retry")
    return value


def test_a_failed_one_is_opened_again_and_told_what_follows(
    cluster: ControlPlane, namespace: str, retry: Retry
) -> None:
    make(cluster.admin, namespace, "amber", failed())
    said = retry("amber")
    assert (said.code, said.err) == (0, "")
    assert annotation(cluster, namespace)
    assert said.out == (
        f"{namespace}/amber: is planned again; 2 failed units are tried again; 502 units that have a result are not "
        "done again; checkpoints that are complete by now are evaluated as well. Follow it with: "
        f"fineline status amber -n {namespace} -w\n"
    )


def test_each_retry_has_a_value_of_its_own(cluster: ControlPlane, namespace: str, retry: Retry) -> None:
    make(cluster.admin, namespace, "amber", failed())
    retry("amber")
    first = annotation(cluster, namespace)
    report(cluster.admin, namespace, "amber", failed(retry=first))
    retry("amber")
    assert annotation(cluster, namespace) not in (first, None)


def test_a_retry_that_the_operator_has_not_taken_up_is_not_asked_for_twice(
    cluster: ControlPlane, namespace: str, retry: Retry
) -> None:
    make(cluster.admin, namespace, "amber", failed())
    retry("amber")
    first = annotation(cluster, namespace)
    said = retry("amber")
    assert (said.code, "asked for already; the operator has not taken it up yet" in said.out) == (0, True)
    assert annotation(cluster, namespace) == first


def test_one_that_succeeded_is_planned_again_for_checkpoints_that_came_since(
    cluster: ControlPlane, namespace: str, retry: Retry
) -> None:
    make(cluster.admin, namespace, "amber", succeeded())
    said = retry("amber")
    assert (said.code, "failed units" in said.out, "complete by now are evaluated as well" in said.out) == (
        0,
        False,
        True,
    )
    assert annotation(cluster, namespace)


def test_a_stalled_one_is_looked_at_again(cluster: ControlPlane, namespace: str, retry: Retry) -> None:
    make(cluster.admin, namespace, "amber", stalled(), suspend=True)
    said = retry("amber")
    assert (said.code, "is looked at again now" in said.out, "spec.suspend is set" in said.out) == (0, True, True)
    assert annotation(cluster, namespace)


@pytest.mark.parametrize("status", [running(), None])
def test_one_that_is_not_finished_is_left_alone(
    status: Any, cluster: ControlPlane, namespace: str, retry: Retry
) -> None:
    make(cluster.admin, namespace, "amber", status)
    said = retry("amber")
    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "is not finished: there is nothing to try again yet" in said.err
    assert annotation(cluster, namespace) is None


def test_one_that_is_written_to_meanwhile_is_read_anew(
    cluster: ControlPlane, namespace: str, retry: Retry, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(cluster.admin, namespace, "amber", failed())
    read = Cluster.evaluation
    writes = iter([failed(3), failed(4)])

    def read_and_write(self: Cluster, *arguments: str) -> Any:
        body = read(self, *arguments)
        for status in writes:
            report(cluster.admin, namespace, "amber", status)
            break
        return body

    monkeypatch.setattr(Cluster, "evaluation", read_and_write)
    said = retry("amber")
    assert (said.code, "4 failed units are tried again" in said.out) == (0, True)
    assert annotation(cluster, namespace)


def test_an_unknown_one_and_a_missing_right_are_told(cluster: ControlPlane, namespace: str, retry: Retry) -> None:
    make(cluster.admin, namespace, "amber", failed())
    said = retry("ambre")
    assert (said.code, "did you mean amber?" in said.err) == (1, True)
    said = retry("amber", kubeconfig=allowed(cluster, namespace, "get"))
    assert (said.code, "ask for the right to patch checkpointevals.fineline.dev" in said.err) == (1, True)
    assert annotation(cluster, namespace) is None
