"""Fixtures of tests that hurt the operator or its API server: all of them on a control plane of their own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from support.control_plane import ControlPlane
from support.lab import BUCKET, Lab, operator_settings
from support.lives import Crowd, End
from support.operator import install_operator, start_operator
from support.versitygw import S3Server

InS3 = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def lab(own_plane: ControlPlane, s3_prefix: str, tmp_path: Path) -> Iterator[Lab]:
    """A fresh namespace and bucket prefix."""
    namespace = own_plane.make_namespace()
    yield Lab(own_plane, namespace, s3_prefix, tmp_path / "lab")
    own_plane.delete_namespace(namespace)


@pytest.fixture
def crowd(lab: Lab) -> Crowd:
    """Twenty evaluations that can be applied."""
    crowd = Crowd(lab, [f"eval-{number:02}" for number in range(20)])
    crowd.prepare()
    return crowd


@pytest.fixture
def home(own_plane: ControlPlane) -> Iterator[str]:
    """The namespace in which the operator lives and its Lease lies."""
    name = own_plane.make_namespace("operator")
    yield name
    own_plane.delete_namespace(name)


@pytest.fixture
def kubeconfig(own_plane: ControlPlane, home: str) -> Path:
    """Of an operator with the rights of rbac.yaml, for all namespaces."""
    return install_operator(own_plane, home)


@pytest.fixture
def settings(versitygw: S3Server, tmp_path: Path) -> dict[str, Any]:
    return operator_settings(versitygw, f"s3://{BUCKET}/", tmp_path, lease={"seconds": 4})


@pytest.fixture(scope="session")
def in_s3(versitygw: S3Server) -> InS3:
    """A block in which this process reaches the S3 server: for fixtures that last longer than a test."""

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in versitygw.environment.items():
                patch.setenv(name, value)
            yield

    return block


@pytest.fixture(scope="session")
def undisturbed(
    own_plane: ControlPlane, versitygw: S3Server, in_s3: InS3, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, list[End]]:
    """How evaluations of a crowd end where nothing befalls anybody: one that succeeds, and one that fails."""
    folder = tmp_path_factory.mktemp("undisturbed")
    home, namespace = own_plane.make_namespace("operator"), own_plane.make_namespace()
    settings = operator_settings(versitygw, f"s3://{BUCKET}/", folder)
    with in_s3(), start_operator(folder, install_operator(own_plane, home), settings=settings):
        lab = Lab(own_plane, namespace, f"s3://{BUCKET}/{secrets.token_hex(8)}/", folder / "lab")
        crowd = Crowd(lab, ["one", "another"], failing=2)
        crowd.prepare()
        crowd.apply()
        crowd.work()
        crowd.wait_for_ends()
        found = crowd.end_states()
    own_plane.delete_namespace(namespace)
    own_plane.delete_namespace(home)
    assert [len(ends) for ends in found.values()] == [1, 1]
    return found
