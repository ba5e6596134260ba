"""Fixtures of the tests of uploads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.sqs import SqsServer, sqs_server


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    """An SQS server for the session."""
    with sqs_server(tmp_path_factory.mktemp("sqs")) as server:
        yield server
