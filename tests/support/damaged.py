"""Commits that nobody of ours wrote: cut, flipped, of other types, with values at the ends of what a type can hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from fineline.results import METRICS, UnitAddress, arrow
from fineline.results.schemas import MANIFEST_KEY
from support.publishing import MANIFEST, metrics_of

ODD = UnitAddress("tiny", "main", 1, "piqa", "0123456789abcdef")
"""Where the damaged commit lies."""

_INTEGERS = [0, 1, -1, 2**31, -(2**63), 2**63 - 1, 10**18]
_NUMBERS = [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, -0.0, 0.0, 1.0, 1e300, None]
_TEXTS = ["", " ", "\x00", "a\nb", "</script>", "x" * 70_000, "ü/%", "\u202e", "main", "sanity", "acc"]
_TIMES = [-(2**63), 2**63 - 1, -62_135_596_800_000_001, 253_402_300_800_000_000, 0, 1]


def _values(field: pa.Field) -> list[Any]:
    if pa.types.is_string(field.type):
        return _TEXTS
    if pa.types.is_timestamp(field.type):
        return _TIMES
    if pa.types.is_floating(field.type):
        return _NUMBERS
    if pa.types.is_boolean(field.type):
        return [True, False, None]
    return [value for value in _INTEGERS if field.type == pa.int64() or -(2**31) <= value < 2**31]


def _column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    """As the type would have them, nulls too: wrong null-ness is one of the damages."""
    return pa.array(values, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(values, kind)


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), pa.field(name, column.type), column)


@st.composite
def extreme_rows(draw: st.DrawFn) -> pa.Table:
    """Rows of the right types: any value that a type can hold, in any few of the columns."""
    rows, apart = draw(st.integers(0, 8)), draw(st.booleans())
    steps = [metrics_of(replace(ODD, step=step + 1) if apart else ODD, step / 10) for step in range(rows)]
    table = pa.concat_tables([METRICS.empty_table(), *steps])
    for field in draw(st.lists(st.sampled_from(list(METRICS)), max_size=5, unique_by=lambda one: one.name)):
        values = draw(st.lists(st.sampled_from(_values(field)) | st.none(), min_size=rows, max_size=rows))
        table = _with(table, field.name, _column(field.type, values))
    return table


def _dictionary(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().dictionary_encode()


def _points_outside(column: pa.ChunkedArray) -> pa.Array:
    indices = pa.array([1000] * len(column), pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(["a"]), safe=False)


def _no_text(column: pa.ChunkedArray) -> pa.Array:
    ends = pa.array(range(0, 2 * len(column) + 2, 2), pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(column), [None, ends, pa.py_buffer(b"\xff\xfe" * len(column))])


OTHER_COLUMNS: dict[str, Callable[[pa.ChunkedArray], pa.Array]] = {
    "a dictionary": _dictionary,
    "a dictionary that points outside": _points_outside,
    "no text": _no_text,
    "nulls": lambda column: pa.nulls(len(column)),
    "text": lambda column: pa.array(["much"] * len(column)),
    "bytes": lambda column: pa.array([b"\xff"] * len(column)),
    "lists": lambda column: pa.array([[["a"]]] * len(column)),
    "structs": lambda column: pa.array([{"a": {"b": 1}}] * len(column)),
    "maps": lambda column: pa.array([[("a", 1)]] * len(column), pa.map_(pa.string(), pa.int64())),
    "large text": lambda column: pa.array(["a"] * len(column), pa.large_string()),
    "text in views": lambda column: pa.array(["a"] * len(column), pa.string_view()),
    "integers too large": lambda column: pa.array([2**64 - 1] * len(column), pa.uint64()),
    "decimals": lambda column: pa.array([10**70] * len(column), pa.decimal256(76)),
    "not a number": lambda column: pa.array([float("nan")] * len(column), pa.float32()),
    "times of another unit": lambda column: pa.array([2**62] * len(column), pa.timestamp("s")),
    "spans of time": lambda column: pa.array([2**62] * len(column), pa.duration("ns")),
    "run ends": lambda column: pa.RunEndEncodedArray.from_arrays([len(column)], pa.array(["a"])),
}


@st.composite
def other_columns(draw: st.DrawFn) -> pa.Table:
    """A table whose columns are of other types, missing, twice there, or more than ours."""
    table = pa.concat_tables([metrics_of(ODD)] * draw(st.integers(1, 3)))
    names = st.lists(st.sampled_from(METRICS.names), min_size=1, max_size=3, unique=True)
    for name in draw(names):
        damage = draw(st.sampled_from(sorted(OTHER_COLUMNS)))
        table = _with(table, name, OTHER_COLUMNS[damage](table[name]))
    match draw(st.sampled_from(["", "missing", "twice", "more", "shuffled"])):
        case "missing":
            table = table.drop_columns([draw(st.sampled_from(METRICS.names))])
        case "twice":
            table = table.append_column(draw(st.sampled_from(METRICS.names)), table.column(0))
        case "more":
            table = table.append_column("unknown", pa.array([[1]] * table.num_rows))
        case "shuffled":
            table = table.select(draw(st.permutations(table.column_names)))
    return table


LABELS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud83d"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["family", "parameters", "tokens_per_step", "strategy", "\udc00"]), inner)
    ),
    max_leaves=6,
)
MANIFESTS = (
    st.binary(max_size=20)
    | st.sampled_from([b"[" * 100_000, b'{"labels": {"family": "\\ud83d"}}', b'{"labels": ' + b"9" * 5000 + b"}"])
    | LABELS.map(lambda labels: json.dumps({**json.loads(MANIFEST.to_json()), "labels": labels}).encode())
)
VERSIONS = st.sampled_from([b"1", b"", b"99", b"9" * 5000, b"\xff", "²".encode()])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """An Arrow file of such a table, with whatever manifest."""
    table = draw(extreme_rows() | other_columns())
    metadata = {MANIFEST_KEY: draw(MANIFESTS)} if draw(st.booleans()) else {}
    if draw(st.integers(0, 9)) == 0:
        metadata[arrow.VERSION_KEY] = draw(VERSIONS)
    return arrow.to_file(table, metadata)


@st.composite
def flipped_files(draw: st.DrawFn) -> bytes:
    """A file with some bytes that are others, cut or not."""
    data = bytearray(draw(st.just(arrow.to_file(metrics_of(ODD))) | files()))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8)):
        data[place % len(data)] = value
    cut = draw(st.none() | st.integers(0, len(data)))
    return bytes(data[:cut])


DAMAGED = files() | flipped_files() | st.binary(max_size=300)
"""The bytes of one commit, as whoever may write results can leave them."""
