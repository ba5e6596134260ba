"""What Prometheus is told. Every name and label of the operator's metrics stands here.

Labels are kinds, verbs and resources: never names of objects, of which there may be many. What is told of
CheckpointSources and TrajectoryAnalyses alone has their names: there are few of these, and an alert has to say which.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from fineline.resources.source_status import SourceCounts

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

RECONCILE_SECONDS = Histogram(
    "fineline_reconcile_seconds", "How long a look at a resource took.", ["kind"], registry=REGISTRY,
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)  # fmt: skip
RECONCILE_ERRORS = Counter(
    "fineline_reconcile_errors_total", "Looks that failed and are tried again with growing pauses.", ["kind"],
    registry=REGISTRY,
)  # fmt: skip
QUEUE_DEPTH = Gauge("fineline_queue_depth", "Resources that wait for their turn now.", registry=REGISTRY)
QUEUE_RUNNING = Gauge("fineline_queue_running", "Resources that are looked at now.", registry=REGISTRY)
QUEUE_DELAYED = Gauge("fineline_queue_delayed", "Resources that will be looked at later.", registry=REGISTRY)
STORE_SECONDS = Histogram(
    "fineline_store_seconds", "Seconds of work on a store in a thread, by what is done and how it ended.",
    ["what", "outcome"], registry=REGISTRY, buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600),
)  # fmt: skip
WATCH_AGE = Gauge(
    "fineline_watch_age_seconds", "Seconds since anything came from the watch, bookmarks included.", ["resource"],
    registry=REGISTRY,
)  # fmt: skip
WATCH_EVENTS = Counter("fineline_watch_events_total", "Events that came.", ["resource"], registry=REGISTRY)
EVENTS = Counter(
    "fineline_events_total",
    "Notices of uploads, by how they came (webhook, sqs) and what came of them: woken, no_source, test, unchanged (an "
    "object was only read or tagged), confirmation (of SNS), unknown, refused, too_large, too_many.",
    ["via", "outcome"], registry=REGISTRY,
)  # fmt: skip
UNITS_PUBLISHED = Counter(
    "fineline_units_published_total", "Units whose results were seen to be committed.", registry=REGISTRY
)
SOURCE_LISTS = Counter(
    "fineline_source_lists_total", "Pages of listings that were asked for of the prefixes of CheckpointSources.",
    registry=REGISTRY,
)  # fmt: skip
SOURCE_CHECKPOINTS = Gauge(
    "fineline_source_checkpoints", "Checkpoints by state, as `status.checkpoints` counts them.",
    ["namespace", "source", "state"], registry=REGISTRY,
)  # fmt: skip
SOURCE_WAITING_SINCE = Gauge(
    "fineline_source_waiting_since_timestamp_seconds",
    "Since when the complete checkpoint waits that waits longest for results: since its last change, or since the "
    "source was made, edited so that it needs results, or resumed, where that is later; none where none waits, or it "
    "is suspended.",
    ["namespace", "source"], registry=REGISTRY,
)  # fmt: skip
UPLOAD_TO_RESULT = Histogram(
    "fineline_upload_to_result_seconds",
    "From when a checkpoint began to wait, as fineline_source_waiting_since_timestamp_seconds tells it, until all of "
    "its results were seen, of those that a CheckpointSource saw to be without.",
    registry=REGISTRY, buckets=(30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 259200),
)  # fmt: skip
ANALYSES = Counter(
    "fineline_analyses_total", "Analyses that ended, by outcome: published or failed.", ["outcome"], registry=REGISTRY
)
VERDICTS = Gauge(
    "fineline_verdicts", "Runs by the state that the newest analysis gives them.", ["namespace", "analysis", "state"],
    registry=REGISTRY,
)  # fmt: skip
API_REQUESTS = Counter(
    "fineline_api_requests_total", "Requests to the API server by HTTP status; none where there was no answer.",
    ["verb", "resource", "code"], registry=REGISTRY,
)  # fmt: skip
LEADER = Gauge("fineline_leader", "1 where this replica acts, 0 where it waits.", registry=REGISTRY)
OBJECTS = Gauge("fineline_objects", "Objects known from watching.", ["resource"], registry=REGISTRY)


@contextmanager
def store_call(what: str) -> Iterator[None]:
    """Measures work on a store. `what` is one of few words, such as `plan` or `progress`."""
    began = time.perf_counter()
    outcome = "error"
    try:
        yield
        outcome = "ok"
    finally:
        STORE_SECONDS.labels(what, outcome).observe(time.perf_counter() - began)


def tell_source(namespace: str, source: str, counts: SourceCounts, waiting_since: datetime | None) -> None:
    """How many checkpoints have each state, and since when the one waits that waits longest."""
    for state, count in counts.model_dump().items():
        SOURCE_CHECKPOINTS.labels(namespace, source, state).set(count)
    tell_waiting(namespace, source, waiting_since)


def tell_waiting(namespace: str, source: str, since: datetime | None) -> None:
    """Since when the one waits that waits longest; None where none does."""
    if since is None:
        SOURCE_WAITING_SINCE.remove_by_labels({"namespace": namespace, "source": source})
    else:
        SOURCE_WAITING_SINCE.labels(namespace, source).set(since.timestamp())


def forget_source(namespace: str, source: str) -> None:
    """The CheckpointSource of which this was told is gone."""
    for gauge in (SOURCE_CHECKPOINTS, SOURCE_WAITING_SINCE):
        gauge.remove_by_labels({"namespace": namespace, "source": source})


def tell_verdicts(namespace: str, analysis: str, states: Mapping[str, int]) -> None:
    """How many runs have each state; `states` always names the same ones."""
    for state, count in states.items():
        VERDICTS.labels(namespace, analysis, state).set(count)


def forget_verdicts(namespace: str, analysis: str) -> None:
    """The TrajectoryAnalysis of which these were told is gone."""
    VERDICTS.remove_by_labels({"namespace": namespace, "analysis": analysis})


def exposition() -> bytes:
    """All of it, as Prometheus reads it."""
    return generate_latest(REGISTRY)
