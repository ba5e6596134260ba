"""Results in a store: where they lie, how they are written so that each exists once, and how they are read."""

from fineline.results.layout import UnitAddress
from fineline.results.observing import UnitState, run_states, unit_states
from fineline.results.publishing import (
    Published,
    check_writable,
    publish,
    publish_documents,
    record_attempt,
    record_failure,
)
from fineline.results.reading import (
    Metrics,
    committed,
    read_attempt,
    read_failures,
    read_manifest,
    read_metrics,
    read_samples,
)
from fineline.results.records import AttemptRecord, FailureRecord, Manifest
from fineline.results.schemas import DOCUMENTS, METRICS, SAMPLES, SCHEMA_VERSION

__all__ = [
    "DOCUMENTS",
    "METRICS",
    "SAMPLES",
    "SCHEMA_VERSION",
    "AttemptRecord",
    "FailureRecord",
    "Manifest",
    "Metrics",
    "Published",
    "UnitAddress",
    "UnitState",
    "check_writable",
    "committed",
    "publish",
    "publish_documents",
    "read_attempt",
    "read_failures",
    "read_manifest",
    "read_metrics",
    "read_samples",
    "record_attempt",
    "record_failure",
    "run_states",
    "unit_states",
]
