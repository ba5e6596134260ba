"""The counts of a slice as Prometheus text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from fineline.errors import SpecError
from fineline_evaluator.exposition import expose
from fineline_evaluator.progress import Progress


@pytest.fixture
def progress() -> Progress:
    return Progress(of=5, stream=io.StringIO())


@pytest.fixture
def port(progress: Progress) -> Iterator[int]:
    server = expose(progress, 0)
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_units_are_counted_by_what_became_of_them(progress: Progress, port: int) -> None:
    progress.unit("published", "step 1", "piqa")
    progress.unit("published", "step 2", "piqa")
    progress.unit("failed", "step 3", "piqa", reason="Crashed")
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'fineline_evaluator_units{outcome="published"} 2.0' in text
    assert 'fineline_evaluator_units{outcome="failed"} 1.0' in text
    assert 'fineline_evaluator_units{outcome="reused"} 0.0' in text
    assert "fineline_evaluator_units_planned 5.0" in text


def test_a_port_that_is_taken_is_told_by_its_flag(progress: Progress, port: int) -> None:
    with pytest.raises(SpecError, match=rf"--metrics-port {port}: can't be listened on"):
        expose(progress, port)
