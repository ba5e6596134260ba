"""One of several replicas acts, by a Lease of a real API server, and another takes over when it is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fineline_operator.leadership import Leadership
from support.api_faults import ApiProxy, api_proxy
from support.control_plane import ControlPlane, wait_for
from support.operator import ACCOUNT, Operator, install_operator, start_operator

SECONDS = 4


class Replica:
    """A replica's part in the election, in this process."""

    def __init__(self, namespace: str, identity: str, kubeconfig: Path) -> None:
        self.acquired, self.lost = threading.Event(), threading.Event()
        self.leadership = Leadership(
            name=ACCOUNT,
            namespace=namespace,
            identity=identity,
            seconds=SECONDS,
            on_acquired=self.acquired.set,
            on_lost=self.lost.set,
            kubeconfig=kubeconfig,
        )
        self.leadership.start()


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(cluster) as running:
        yield running


@pytest.fixture
def kubeconfig(cluster: ControlPlane, namespace: str) -> Iterator[Path]:
    """As the operator's own service account, whose rights must do for the Lease."""
    yield install_operator(cluster, namespace, watched=[namespace])
    # Replicas of this process ask until they have lost, and their rights go with the namespace.
    with cluster.expecting_refusals(seconds=3 * SECONDS):
        pass


def holder(cluster: ControlPlane, namespace: str) -> str | None:
    lease = cluster.admin.find(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{ACCOUNT}")
    held: str | None = (lease or {}).get("spec", {}).get("holderIdentity")
    return held


def test_one_of_two_acts_and_a_released_lease_is_taken_over_at_once(
    cluster: ControlPlane, namespace: str, kubeconfig: Path
) -> None:
    first = Replica(namespace, "first", kubeconfig)
    assert first.acquired.wait(10)
    second = Replica(namespace, "second", kubeconfig)
    assert not second.acquired.wait(1.5 * SECONDS)
    assert holder(cluster, namespace) == "first"
    first.leadership.release()
    assert second.acquired.wait(3)
    assert holder(cluster, namespace) == "second"
    assert not first.lost.is_set(), "who gave it up has not lost it"


def test_a_leader_that_is_cut_off_has_lost_before_another_acts(
    cluster: ControlPlane, namespace: str, kubeconfig: Path, proxy: ApiProxy
) -> None:
    first = Replica(namespace, "first", proxy.kubeconfig(kubeconfig))
    assert first.acquired.wait(10)
    second = Replica(namespace, "second", kubeconfig)
    proxy.freeze()
    assert first.lost.wait(SECONDS + 2)
    assert not second.acquired.is_set()
    assert second.acquired.wait(2 * SECONDS)


def test_a_leader_that_finds_another_holder_has_lost(cluster: ControlPlane, namespace: str, kubeconfig: Path) -> None:
    first = Replica(namespace, "first", kubeconfig)
    assert first.acquired.wait(10)
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{ACCOUNT}"
    cluster.admin.patch(lease, {"spec": {"holderIdentity": "another"}})
    assert first.lost.wait(SECONDS)


@pytest.mark.parametrize("status", [409, 500])
def test_faults_of_the_api_server_do_not_end_the_election(
    namespace: str, kubeconfig: Path, proxy: ApiProxy, status: int
) -> None:
    proxy.refuse("GET|POST|PUT", "/leases", status, times=2)
    replica = Replica(namespace, "first", proxy.kubeconfig(kubeconfig))
    assert replica.acquired.wait(10)
    proxy.refuse("PUT", "/leases", status)
    proxy.cut()
    time.sleep(SECONDS)
    assert not replica.lost.is_set()
    assert replica.leadership.leading


def test_a_replica_that_waits_goes_on_waiting_while_the_api_server_is_away(
    namespace: str, kubeconfig: Path, proxy: ApiProxy
) -> None:
    first = Replica(namespace, "first", kubeconfig)
    assert first.acquired.wait(10)
    second = Replica(namespace, "second", proxy.kubeconfig(kubeconfig))
    time.sleep(1)
    proxy.freeze()
    proxy.cut()
    time.sleep(SECONDS)
    proxy.thaw()
    first.leadership.release()
    assert second.acquired.wait(5)


def acting(*operators: Operator) -> list[Operator]:
    return [operator for operator in operators if operator.running and operator.metric("fineline_leader") == 1]


def test_when_the_acting_operator_is_killed_the_other_acts_once_its_lease_has_ended(
    tmp_path: Path, namespace: str, kubeconfig: Path
) -> None:
    """With the longest Lease it is within 20 s: faults/test_two_operators.py."""
    settings = {"namespaces": [namespace], "lease": {"seconds": SECONDS}}
    with (
        start_operator(tmp_path / "first", kubeconfig, settings=settings, identity="first") as first,
        start_operator(tmp_path / "second", kubeconfig, settings=settings, identity="second", wait=False) as second,
    ):
        wait_for(lambda: second.said("is held by first"), "the second to wait")
        assert acting(first, second) == [first]
        assert second.get("/healthz")[0] == 200, "who waits is well"
        first.kill()
        killed = time.monotonic()
        second.wait_until_acting(seconds=30)
        assert time.monotonic() - killed <= SECONDS + 10


def test_an_operator_that_is_asked_to_end_hands_over_and_ends_well(
    tmp_path: Path, namespace: str, kubeconfig: Path
) -> None:
    settings = {"namespaces": [namespace]}
    with (
        start_operator(tmp_path / "first", kubeconfig, settings=settings, identity="first") as first,
        start_operator(tmp_path / "second", kubeconfig, settings=settings, identity="second", wait=False) as second,
    ):
        wait_for(lambda: second.said("is held by first"), "the second to wait")
        assert first.stop() == 0
        second.wait_until_acting(seconds=10)
        assert second.stop() == 0


def test_an_operator_that_lost_its_lease_ends_with_an_error(
    tmp_path: Path, namespace: str, kubeconfig: Path, proxy: ApiProxy
) -> None:
    settings = {"namespaces": [namespace], "lease": {"seconds": SECONDS}}
    with start_operator(tmp_path, proxy.kubeconfig(kubeconfig), settings=settings) as operator:
        proxy.freeze()
        process = operator.server.process
        assert process is not None
        assert process.wait(2 * SECONDS) == 1
        assert operator.said("is lost")
