"""Fixtures of the chart's tests: a control plane of their own, for the chart brings the CRDs itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.helm import NAMESPACE
from chart.release import Release
from chart.schemas import MONITORING_CRDS, published, schemas
from support import control_plane as planes
from support.control_plane import ControlPlane
from support.tools import tool_to_test_with


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The control plane's programs, built the first time (6 minutes)."""
    found, reason = planes.find_binaries()
    if found is None:
        pytest.skip(f"no control plane to test with: {reason}")
    return found


@pytest.fixture(scope="session")
def plane(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that knows the Prometheus operator's kinds and has the namespaces of the value sets; the
    release's own enforces Pod Security `restricted`. No kubelet and no Deployment controller: no pod runs."""
    with planes.start(binaries, tmp_path_factory.mktemp("chart")) as plane:
        plane.apply(MONITORING_CRDS.read_text())
        plane.wait_for_crds({"servicemonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"})
        enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
        plane.apply(
            [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
                for name, labels in (
                    (NAMESPACE, enforced),
                    ("evals", enforced),
                    ("research", {}),
                    ("other", {}),
                    ("456", {}),
                )
            ]
        )
        yield plane


@pytest.fixture
def release(plane: ControlPlane) -> Iterator[Release]:
    """The release, not installed yet, and uninstalled afterwards. The CRDs stay, as they do for everybody."""
    yield Release(plane)
    Release(plane).uninstall()


@pytest.fixture(scope="session")
def schema_folder(binaries: Path, request: pytest.FixtureRequest) -> Path:
    """The schemas for kubeconform; made with the control plane the first time, and when a CRD has changed."""

    def knowing_fineline() -> ControlPlane:
        plane: ControlPlane = request.getfixturevalue("plane")
        Release(plane).install("defaults")
        Release(plane).uninstall()
        planes.wait_for(lambda: published(plane.admin), "the API server to publish the schemas of all kinds")
        return plane

    return schemas(binaries, knowing_fineline)


@pytest.fixture(scope="session")
def kubeconform() -> Path:
    return tool_to_test_with("kubeconform")
