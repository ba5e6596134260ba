"""The tables of an analysis as Arrow files: the same analysis gives the same bytes.

No time, host or version of a library stands in them; rows are in a fixed order, and text is in one fixed layout.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from fineline.errors import ResultError

TABLE_KEY = b"fineline.table"
VERSION_KEY = b"fineline.tables_version"
TABLES_VERSION = 1


def encode(name: str, frame: pl.DataFrame) -> bytes:
    """One table as an Arrow IPC file, compressed with zstd."""
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    columns = [_without_leftovers(column.combine_chunks()) for column in table.columns]
    metadata = {TABLE_KEY: name.encode(), VERSION_KEY: str(TABLES_VERSION).encode()}
    table = pa.table(columns, schema=table.schema.with_metadata(metadata))
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=3), use_threads=False)
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=1 << 20)
    return sink.getvalue()


def _without_leftovers(column: pa.Array) -> pa.Array:
    """The same column with zeros where it is null: what lies there otherwise depends on how the rows were read."""
    if not column.null_count or pa.types.is_nested(column.type) or pa.types.is_null(column.type):
        return column
    empty = "" if pa.types.is_large_string(column.type) else 0
    filled = pc.fill_null(column, pa.scalar(empty).cast(column.type))
    _, *values = filled.buffers()
    return pa.Array.from_buffers(column.type, len(column), [pc.is_valid(column).buffers()[1], *values])


def encode_all(tables: Mapping[str, pl.DataFrame]) -> dict[str, bytes]:
    """Every table as `<name>.arrow`, in order of names."""
    return {f"{name}.arrow": encode(name, tables[name]) for name in sorted(tables)}


def decode(data: bytes, origin: str) -> pl.DataFrame:
    """What `encode` wrote. `ResultError` names a file that is truncated, foreign or of a newer version."""
    try:
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            version = (reader.schema.metadata or {}).get(VERSION_KEY, b"").decode()
            if not version.isdigit() or int(version) > TABLES_VERSION:
                message = f"{origin}: tables version {version or 'unknown'}; this Fineline reads up to {TABLES_VERSION}"
                raise ResultError(message)
            return pl.DataFrame(reader.read_all().replace_schema_metadata(None))
    except (pa.ArrowException, OSError) as error:
        raise ResultError(f"{origin}: not a whole table of an analysis ({str(error).splitlines()[0]})") from None
