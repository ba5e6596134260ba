"""Tables as Arrow IPC files (zstd) in memory, and a digest of what a table says.

The digest is of the logical content: a file's bytes also depend on the versions of pyarrow and zstd.
"""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
from pyarrow import ipc

from fineline.errors import ResultError
from fineline.results.version import SCHEMA_VERSION

VERSION_KEY = b"fineline.schema_version"
_SMALL_BYTES = 1 << 20
_LONGEST_VERSION = 9


def to_file(table: pa.Table, metadata: dict[bytes, bytes] | None = None) -> bytes:
    """The table as an Arrow IPC file, with the schema version and `metadata` in its schema."""
    all_metadata = {VERSION_KEY: str(SCHEMA_VERSION).encode(), **(metadata or {})}
    table = table.replace_schema_metadata(all_metadata).combine_chunks()
    sink = pa.BufferOutputStream()
    with ipc.new_file(sink, table.schema, options=ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_file(data: bytes, name: str) -> pa.Table:
    """Reads what `to_file` wrote. `ResultError` names the file if it is truncated, foreign or of a newer version."""
    try:
        # Handing the columns of a small file to threads takes longer than reading them.
        options = ipc.IpcReadOptions(use_threads=len(data) > _SMALL_BYTES)
        with ipc.open_file(pa.BufferReader(data), options=options) as reader:
            metadata = reader.schema.metadata or {}
            _check_version(metadata.get(VERSION_KEY), name)
            return reader.read_all()
    except (pa.ArrowException, OSError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ResultError(f"{name}: not a whole Arrow file ({first_line})") from None


def content_digest(table: pa.Table) -> str:
    """SHA-256 over column names and rows, in order, independent of how the file is laid out."""
    digest = hashlib.sha256(json.dumps(table.column_names).encode())
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            digest.update(json.dumps(list(row.values()), ensure_ascii=False, default=str).encode())
    return digest.hexdigest()


def _check_version(found: bytes | None, name: str) -> None:
    if found is None:
        raise ResultError(f"{name}: not written by Fineline (its schema carries no fineline.schema_version)")
    if not found.isdigit() or len(found) > _LONGEST_VERSION or int(found) > SCHEMA_VERSION:
        version = found[:_LONGEST_VERSION].decode(errors="replace")
        raise ResultError(
            f"{name}: has schema version {version}; this Fineline reads up to {SCHEMA_VERSION}: upgrade it"
        )
