"""Prometheus text on a port, if asked: how many units of this slice became what, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from fineline.errors import SpecError
from fineline_evaluator.progress import Progress


class _Units(Collector):
    """Reads the counts when it is asked: nothing is kept twice."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counts = self._progress.counts
        done = GaugeMetricFamily("fineline_evaluator_units", "Units of this slice by outcome.", labels=["outcome"])
        for outcome in ("published", "reused", "failed"):
            done.add_metric([outcome], getattr(counts, outcome))
        yield done
        yield GaugeMetricFamily("fineline_evaluator_units_planned", "Units of this slice.", value=self._progress.of)


def expose(progress: Progress, port: int) -> Any:
    """Serves `/metrics` on a port (0: any free one) in a thread of its own; returns the server. `SpecError` where the
    port can't be had."""
    registry = CollectorRegistry()
    registry.register(_Units(progress))
    try:
        server, _ = start_http_server(port, registry=registry)
    except (OSError, OverflowError) as error:
        raise SpecError(f"--metrics-port {port}: can't be listened on: {error}") from None
    return server
