"""What the kubelet and Prometheus are answered."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fineline_operator import metrics
from fineline_operator.health import Health


@contextmanager
def served(age: float, silent_seconds: float = 60.0) -> Iterator[Health]:
    """A server whose loop did something `age` seconds ago."""
    health = Health(0, {"the loop": lambda: time.monotonic() - age}, silent_seconds=silent_seconds)
    health.start()
    try:
        yield health
    finally:
        health.stop()


def get(health: Health, path: str, address: str = "127.0.0.1") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}:{health.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_loop_that_beats_is_well() -> None:
    with served(age=1) as health:
        assert get(health, "/healthz") == (200, "ok\n")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_pod_of_an_ipv6_cluster_is_answered() -> None:
    with served(age=1) as health:
        assert get(health, "/healthz", "[::1]")[0] == 200


def test_a_loop_that_stands_still_is_told() -> None:
    with served(age=61) as health:
        assert get(health, "/healthz") == (503, "the loop did nothing for 61 s\n")


def test_metrics_are_served_as_prometheus_reads_them() -> None:
    metrics.UNITS_PUBLISHED.inc(0)
    with served(age=1) as health:
        status, text = get(health, "/metrics")
    assert status == 200
    assert "# TYPE fineline_units_published_total counter" in text
    assert "process_resident_memory_bytes" in text


def test_nothing_else_is_served() -> None:
    with served(age=1) as health:
        assert get(health, "/")[0] == 404
