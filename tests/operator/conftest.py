"""Fixtures of the operator's tests: who looks after pods on the control plane of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_plane import ControlPlane
from support.kubelet import Kubelet, kubelet


@pytest.fixture
def node(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Kubelet]:
    """Runs the evaluators of pods in the fresh namespace as processes of this machine."""
    with kubelet(cluster, namespace, tmp_path / "node") as running:
        yield running
