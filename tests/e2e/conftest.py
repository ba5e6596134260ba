"""What end-to-end tests share: a real node, an S3 server that its pods reach, and Fineline with a run on it."""

from __future__ import annotations

import fcntl
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chart.helm import CHART, NAMESPACE
from support import node as nodes
from support.installed import BUCKETS, Installed, built_images
from support.node import Node
from support.slices import Site, upload
from support.stages import Stage
from support.tiny_run import EVALS, RUN, TRAINING, analysis, checkpoints, source, trained
from support.versitygw import S3Server, serve

# In this order: an upgrade takes away what the tests of the whole system installed, and the last take the node down.
LAST = ("test_whole_system.py", "test_upgrade.py", "test_node_down.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LAST.index(item.path.name) if item.path.name in LAST else -1)


@pytest.fixture(scope="session", autouse=True)
def alone() -> Iterator[None]:
    """One node fits on a machine, and tests take it down: whoever comes second waits."""
    with (Path(tempfile.gettempdir()) / "fineline-e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def node(stage: Stage) -> Iterator[Node]:
    """A real node for the session; it stays up where it was up before, or FINELINE_NODE_KEEP=1."""
    if reason := nodes.missing():
        pytest.skip(reason)
    # Whoever ends the tests by SIGTERM is left no node either: then it is an interrupt, and fixtures are torn down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with stage("node up"):
            found = nodes.bring_up()
        yield found
    finally:
        if not nodes.kept():
            with stage("node down"):
                down = nodes.run_script("down")
            # A node that can't be taken away is a fault, and would be in the way of the next session.
            assert down.returncode == 0, down.stderr


@pytest.fixture(scope="session")
def node_s3(node: Node, versitygw_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server on this machine that pods reach at its `endpoint`, and so do tests."""
    with serve(versitygw_binary, tmp_path_factory.mktemp("node-s3"), address=node.host) as server:
        yield server


@pytest.fixture
def node_bucket(node_s3: S3Server) -> str:
    """A fresh bucket of that server."""
    name = f"e2e-{secrets.token_hex(4)}"
    node_s3.make_bucket(name)
    return name


@pytest.fixture
def node_namespace(node: Node) -> Iterator[str]:
    """A fresh namespace that enforces the Pod Security level `restricted`."""
    with node.namespace() as name:
        yield name


@pytest.fixture(scope="session")
def training(stage: Stage) -> Path:
    """The folder of a training run and its data sets."""
    with stage("train two tiny models"):
        return trained()


@pytest.fixture(scope="session")
def loaded(node: Node, stage: Stage) -> Node:
    """The node with Fineline's images."""
    with stage("build the images"):
        archives = built_images()
    with stage("load them into the node"):
        node.load(*archives)
    return node


@pytest.fixture(scope="session")
def prepared(loaded: Node, node_s3: S3Server, training: Path) -> Iterator[Installed]:
    """All that Fineline and evaluations need, and no release yet: buckets, of which the server is this process's store
    too, a mirror, namespaces, Secrets, a suite."""
    fineline = Installed(loaded, node_s3)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in node_s3.environment.items():
            patch.setenv(name, value)
        patch.setenv("NO_PROXY", "*")
        for bucket in BUCKETS:
            node_s3.make_bucket(bucket)
        upload(training / "datasets" / "tiny-world", "s3://mirror/")
        for namespace in (NAMESPACE, EVALS):
            fineline.add_namespace(namespace)
        fineline.add_credentials(NAMESPACE, "fineline-stores")
        fineline.add_credentials(EVALS, "s3-credentials")
        loaded.kubectl("create", "configmap", "tiny-world", "-n", EVALS, f"--from-file={TRAINING / 'tiny-world'}")
        yield fineline
    # Else it goes with the node, which a test may have taken down by now.
    if nodes.kept():
        fineline.helm("uninstall", "--ignore-not-found")
        for namespace in (EVALS, NAMESPACE):
            loaded.kubectl("delete", "namespace", namespace, "--ignore-not-found")


@pytest.fixture(scope="session")
def objects_before(prepared: Installed) -> frozenset[str]:
    """What the cluster had before the first release."""
    return prepared.objects()


@pytest.fixture(scope="session")
def installed(prepared: Installed, objects_before: frozenset[str], training: Path, stage: Stage) -> Installed:
    """The release, and a source whose first checkpoint came and has its results."""
    first = checkpoints(training)[0]
    with ExitStack() as evaluated:
        with stage("helm install to the first evaluation running"):
            with stage("helm install, until it is ready"):
                prepared.helm("install", CHART, values=prepared.values())
                prepared.wait_until_ready()
            prepared.node.apply(source(RUN, "s3://evals/results/"), analysis("tiny", "s3://evals/results/"))
            evaluated.enter_context(stage("first upload to its results"))
            upload(first, f"s3://pretrain/{RUN}/{first.name}/")
            prepared.wait_for_running(RUN, seconds=60)
        prepared.wait_for_evaluated(RUN, 1)
    return prepared


@pytest.fixture(scope="session")
def undisturbed(installed: Installed, training: Path, stage: Stage) -> Site:
    """The run, uploaded checkpoint by checkpoint and evaluated as it comes."""
    rest = checkpoints(training)[1:]
    for folder in rest:
        upload(folder, f"s3://pretrain/{RUN}/{folder.name}/")
    with stage(f"{len(rest)} more uploads to their results"):
        installed.wait_for_evaluated(RUN, 1 + len(rest))
    return Site(f"s3://pretrain/{RUN}/", "s3://mirror/", "s3://evals/results/")
