"""What the tests of resources share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.control_plane import ControlPlane


@pytest.fixture(scope="module")
def cluster(own_plane: ControlPlane) -> ControlPlane:
    """Where no operator writes: all that is looked at is the API server."""
    return own_plane


@pytest.fixture(scope="module")
def module_namespace(cluster: ControlPlane) -> Iterator[str]:
    """One namespace for all that only asks what would happen (dry runs)."""
    name = cluster.make_namespace()
    yield name
    cluster.delete_namespace(name)
