"""What end-to-end tests share: a real node, an S3 server that its pods reach, and a table of the stages' times."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support import node as nodes
from support.node import Node
from support.stages import Stages
from support.versitygw import S3Server, serve

STAGES = pytest.StashKey[Stages]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STAGES] = Stages()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Tests that take the node down come when no other wants it any more.
    items.sort(key=lambda item: item.path.name == "test_node_down.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if table := config.stash[STAGES].table:
        terminalreporter.section("stages")
        for line in table:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def stage(pytestconfig: pytest.Config) -> Callable[[str], AbstractContextManager[None]]:
    """`with stage("install"):` puts the block's time into the table at the session's end."""
    return pytestconfig.stash[STAGES].stage


@pytest.fixture(scope="session")
def node(stage: Callable[[str], AbstractContextManager[None]]) -> Iterator[Node]:
    """A real node for the session; it stays up where FINELINE_NODE_KEEP=1."""
    if reason := nodes.missing():
        pytest.skip(reason)
    with stage("node up"):
        found = nodes.bring_up()
    yield found
    if os.environ.get("FINELINE_NODE_KEEP") != "1":
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
