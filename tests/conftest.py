"""Fixtures that every part's tests share: where real data lies, and stores to work on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from fineline.store import Store, open_store
from support import control_plane as planes
from support import order, rights_check, stages
from support.control_plane import ControlPlane
from support.faults import FaultProxy, proxy_to
from support.tools import tool_to_test_with
from support.versitygw import S3Server, serve

# A worker has a core. Threads of two workers that wait for each other spin, and take three times the processor's time.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shared machine is slow now and then, which is no property of the code: no deadline for an example.
settings.register_profile("fineline", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("fineline")

REPOSITORY = Path(__file__).parents[1]
BUCKET = "fineline-tests"


def pytest_configure(config: pytest.Config) -> None:
    rights_check.register(config)
    stages.register(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = order.slow_first(items)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real benchmarks and trajectories; tests that need it are marked `data`."""
    folder = Path(os.environ.get("FINELINE_TEST_DATA") or REPOSITORY.parent / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip(
            f"no test data: {folder} is not there. Set FINELINE_TEST_DATA to the folder that holds benchmarks/."
        )
    return folder


@pytest.fixture(scope="session")
def versitygw_binary() -> Path:
    """The S3 server's program, built the first time (a minute)."""
    return tool_to_test_with("versitygw")


@pytest.fixture(scope="session")
def versitygw(versitygw_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server for the session, with one bucket."""
    with serve(versitygw_binary, tmp_path_factory.mktemp("versitygw")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture
def s3_environment(versitygw: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables with which a process reaches the server; set in this process too, for the test's time."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in versitygw.environment.items():
        monkeypatch.setenv(name, value)
    return dict(versitygw.environment)


@pytest.fixture
def s3_prefix(s3_environment: dict[str, str]) -> str:
    """A fresh `s3://bucket/<unique>/`."""
    return f"s3://{BUCKET}/{secrets.token_hex(8)}/"


@pytest.fixture
def s3_store(s3_prefix: str) -> Store:
    return open_store(s3_prefix)


@pytest.fixture
def directory_store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}/store/")


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """A fresh store; each test that takes it runs on a directory and on S3."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
def s3_faults(
    versitygw: S3Server, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    """A proxy that makes faults, with the environment pointing at it instead of at the server."""
    with proxy_to(versitygw.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3_environment["AWS_ENDPOINT_URL"] = proxy.endpoint
        yield proxy


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A Kubernetes API server with its controllers, for the session; built the first time (6 minutes)."""
    binaries, reason = planes.find_binaries()
    if binaries is None:
        pytest.skip(f"no control plane to test with: {reason}")
    with planes.start(binaries, tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The control plane, knowing Fineline's kinds."""
    control_plane.install_crds()
    return control_plane


@pytest.fixture
def namespace(cluster: ControlPlane) -> Iterator[str]:
    """A fresh namespace, deleted afterwards."""
    name = cluster.make_namespace()
    yield name
    cluster.delete_namespace(name)


@pytest.fixture
def kubectl(cluster: ControlPlane, namespace: str) -> Callable[..., str]:
    """What `kubectl ARGUMENTS` prints, in the fresh namespace, for a person who may do everything."""

    def run(*arguments: str, **options: str | bool) -> str:
        return cluster.kubectl("--namespace", namespace, *arguments, **options)  # type: ignore[arg-type]

    return run
