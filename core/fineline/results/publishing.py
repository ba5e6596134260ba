"""Makes a unit's result exist: samples first, then the commit, each only if absent, nothing ever replaced.

A writer that loses the race leaves the winner's files as they are and takes them as done. Samples without a commit
(left by a pod that ended between the two writes) are used when their content is the same; if it is not (another
numerics fingerprint), ours lie beside them and the manifest names the file: so no order of writes can pair one pod's
commit with another's samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from fineline.errors import ObjectNotFound, ResultError, StoreDenied, StoreError
from fineline.results import arrow
from fineline.results.layout import SAMPLES_FILE, UnitAddress, documents_name
from fineline.results.records import Manifest
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.store import Store

_PROBE = ".fineline-write-probe"


@dataclass(frozen=True)
class Published:
    """`won` is False when another writer had committed the unit before."""

    won: bool
    bytes_written: int


def publish(store: Store, address: UnitAddress, samples: pa.Table, metrics: pa.Table, manifest: Manifest) -> Published:
    """Writes a unit's samples, then its commit. The manifest's `samples_*` fields are filled in here."""
    if store.head(address.metrics) is not None:
        return Published(won=False, bytes_written=0)
    samples_data = arrow.to_file(samples)
    digest = arrow.content_digest(samples)
    samples_file = _write_samples(store, address, samples_data, digest)
    manifest = replace(manifest, samples_file=samples_file, samples_rows=samples.num_rows, samples_digest=digest)
    metrics_data = arrow.to_file(metrics.cast(METRICS), {MANIFEST_KEY: manifest.to_json()})
    won = store.put_if_absent(address.metrics, metrics_data)
    return Published(won=won, bytes_written=len(samples_data) + len(metrics_data))


def publish_documents(store: Store, task: str, documents: pa.Table) -> str:
    """Writes the documents of a task once for all checkpoints; returns the object's name."""
    name = documents_name(task, arrow.content_digest(documents))
    if store.head(name) is None:
        store.put_if_absent(name, arrow.to_file(documents))
    return name


def check_writable(store: Store) -> None:
    """Writes and removes a small object, so that a results URI that can't be written to is told before any work."""
    try:
        store.put(_PROBE, b"fineline checks that it may write here\n")
    except StoreError as error:
        raise type(error)(f"results can't be written: {error}") from None
    try:
        store.delete(_PROBE)
    except StoreDenied:
        return  # a bucket that lets pods write but not delete is a good setting: nothing of Fineline's deletes results


def _write_samples(store: Store, address: UnitAddress, data: bytes, digest: str) -> str:
    """Returns the name of the file, in the unit's folder, that holds samples of this content."""
    if store.put_if_absent(address.samples, data) or _content(store, address.samples) == digest:
        return SAMPLES_FILE
    other = f"samples-{digest[:16]}.arrow"
    store.put_if_absent(address.folder + other, data)
    return other


def _content(store: Store, name: str) -> str | None:
    try:
        return arrow.content_digest(arrow.from_file(store.get(name), name))
    except (ResultError, ObjectNotFound):
        return None
