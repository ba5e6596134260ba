"""Tables as files: their bytes are of what they say."""

from __future__ import annotations

import struct

import polars as pl
import pyarrow as pa

from fineline_analysis.tables import decode, encode


def with_leftovers(number: int) -> pl.DataFrame:
    """A table whose second row is null, with something left in memory where its values would be."""
    valid = pa.py_buffer(bytes([0b101]))
    floats = pa.py_buffer(struct.pack("3d", 1.0, number, 3.0))
    times = pa.py_buffer(struct.pack("3q", 1, number, 3))
    offsets = pa.py_buffer(struct.pack("4q", 0, 1, 1 + number, 2 + number))
    text = pa.py_buffer(b"a" + b"x" * number + b"b")
    flags = pa.py_buffer(bytes([0b101 | (number % 2) << 1]))
    return pl.DataFrame(
        pa.table(
            {
                "value": pa.Array.from_buffers(pa.float64(), 3, [valid, floats]),
                "at": pa.Array.from_buffers(pa.timestamp("us", "UTC"), 3, [valid, times]),
                "text": pa.Array.from_buffers(pa.large_string(), 3, [valid, offsets, text]),
                "flag": pa.Array.from_buffers(pa.bool_(), 3, [valid, flags]),
                "nothing": pa.nulls(3),
            }
        )
    )


def test_the_same_values_make_the_same_bytes_whatever_is_left_behind_nulls() -> None:
    one, other = with_leftovers(2), with_leftovers(7)
    assert one.equals(other)
    assert encode("some", one) == encode("some", other)
    assert decode(encode("some", one), "some").equals(one)
