"""Fixtures of the operator's tests: who looks after pods and evaluations, and on which control plane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import control_plane as planes
from support import kueue as queues
from support import victims
from support.control_plane import ControlPlane
from support.faults import FaultProxy, proxy_to
from support.kubelet import Kubelet, kubelet
from support.lab import BUCKET, Lab, operator_settings
from support.operator import Operator, install_operator, start_operator
from support.tools import find_tool
from support.versitygw import S3Server
from support.victims import Victim

QUICK = {"progressSeconds": 2.0, "troubleSeconds": 3.0, "resyncSeconds": 5.0}
"""Pauses of the shared operator: tests wait for what a person may wait a minute for."""

DENIED_BUCKET = "fineline-denied"
"""There, but the shared operator's credentials for it are wrong."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The control plane of the shared operator, which acts on every CheckpointEval in it. Not that of the other tests,
    whose CheckpointEvals are to be left alone: `own_plane` is."""
    binaries, reason = planes.find_binaries()
    if binaries is None:
        pytest.skip(f"no control plane to test with: {reason}")
    with planes.start(binaries, tmp_path_factory.mktemp("cluster")) as plane:
        plane.install_crds()
        yield plane


@pytest.fixture
def node(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Kubelet]:
    """Runs the evaluators of pods in the fresh namespace as processes of this machine."""
    with kubelet(cluster, namespace, tmp_path / "node") as running:
        yield running


@pytest.fixture
def lab(cluster: ControlPlane, namespace: str, s3_prefix: str, tmp_path: Path) -> Lab:
    """A fresh namespace and bucket prefix for CheckpointEvals. What looks at them is `operator`, or the test's own."""
    return Lab(cluster, namespace, s3_prefix, tmp_path / "lab")


@pytest.fixture(scope="session")
def store_faults(versitygw: S3Server) -> Iterator[FaultProxy]:
    """What stands between the shared operator and the store `s3://<bucket>/flaky/`."""
    with proxy_to(versitygw.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def wrong_credentials(versitygw: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared operator's credentials for `DENIED_BUCKET`, as a mounted Secret."""
    versitygw.make_bucket(DENIED_BUCKET)
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "AWS_ACCESS_KEY_ID").write_text(versitygw.access_key)
    (folder / "AWS_SECRET_ACCESS_KEY").write_text("wrong")
    return folder


@pytest.fixture(scope="session")
def shared_operator(
    cluster: ControlPlane,
    versitygw: S3Server,
    store_faults: FaultProxy,
    wrong_credentials: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operator]:
    """One operator for all tests that don't hurt it: it watches every namespace, under the rights of rbac.yaml."""
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig = install_operator(cluster, cluster.make_namespace())
    settings = operator_settings(versitygw, f"s3://{BUCKET}/", folder, **QUICK)
    (usual,) = settings["stores"]
    settings["stores"] += [
        {**usual, "prefix": f"s3://{BUCKET}/flaky/", "endpoint": store_faults.endpoint},
        {**usual, "prefix": "s3://fineline-private/", "namespaces": ["somebody-else"]},
        {**usual, "prefix": f"s3://{DENIED_BUCKET}/", "credentials": str(wrong_credentials)},
        {**usual, "prefix": "s3://fineline-missing/"},
    ]
    with start_operator(folder, kubeconfig, settings=settings) as running:
        yield running


@pytest.fixture
def operator(lab: Lab, shared_operator: Operator) -> Operator:
    """The shared operator, alive and looking at the lab."""
    if not shared_operator.running:
        shared_operator.start()
        shared_operator.wait_until_acting()
    return shared_operator


@pytest.fixture(scope="session")
def own_plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane of tests/conftest.py with Fineline's kinds: where only a test's own operators act, and for
    tests that hurt it. Each of them ends its operators and its namespaces."""
    control_plane.install_crds()
    return control_plane


@pytest.fixture(scope="session")
def queued_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A further control plane, with Fineline's kinds and Kueue; `support.kueue.make_queue` makes a queue in it."""
    binaries, reason = planes.find_binaries()
    binary, reason_of_kueue = find_tool("kueue")
    if binaries is None or binary is None:
        pytest.skip(f"no cluster with Kueue to test with: {reason or reason_of_kueue}")
    folder = tmp_path_factory.mktemp("queued-cluster")
    with planes.start(binaries, folder) as plane, queues.kueue(binary, plane, folder / "kueue"):
        plane.install_crds()
        yield plane


@pytest.fixture
def victim(own_plane: ControlPlane, versitygw: S3Server, tmp_path: Path) -> Iterator[Victim]:
    """An operator of the test's own, to be killed by its writes."""
    with victims.victim(own_plane, versitygw, tmp_path / "victim") as dying:
        yield dying
