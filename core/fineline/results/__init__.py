"""Results in a store: where they lie, how they are written so that each exists once, and how they are read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fineline.results.layout import UnitAddress
from fineline.results.observing import (
    FailedUnit,
    UnitState,
    first_failures,
    planned_states,
    run_states,
    unit_states,
)
from fineline.results.recording import (
    forget_failure,
    read_attempt,
    read_failure,
    read_failures,
    record_attempt,
    record_failure,
)
from fineline.results.records import AttemptRecord, FailureRecord, Manifest, RunLabels
from fineline.results.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from fineline.results.publishing import Published, check_writable, publish, publish_documents
    from fineline.results.reading import Metrics, committed, read_manifest, read_metrics, read_samples
    from fineline.results.schemas import DOCUMENTS, METRICS, SAMPLES

__all__ = [
    "DOCUMENTS",
    "METRICS",
    "SAMPLES",
    "SCHEMA_VERSION",
    "AttemptRecord",
    "FailedUnit",
    "FailureRecord",
    "Manifest",
    "Metrics",
    "Published",
    "RunLabels",
    "UnitAddress",
    "UnitState",
    "check_writable",
    "committed",
    "first_failures",
    "forget_failure",
    "planned_states",
    "publish",
    "publish_documents",
    "read_attempt",
    "read_failure",
    "read_failures",
    "read_manifest",
    "read_metrics",
    "read_samples",
    "record_attempt",
    "record_failure",
    "run_states",
    "unit_states",
]

# What needs pyarrow or polars is imported when it is first asked for: planning needs neither their 70 MB nor their half
# second.
_MODULES = {
    "publishing": ("Published", "check_writable", "publish", "publish_documents"),
    "reading": ("Metrics", "committed", "read_manifest", "read_metrics", "read_samples"),
    "schemas": ("DOCUMENTS", "METRICS", "SAMPLES"),
}

if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
