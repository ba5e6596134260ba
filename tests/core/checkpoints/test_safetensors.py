import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fineline.checkpoints import TensorInfo, read_header, read_local_header
from fineline.errors import CheckpointError
from support.checkpoints import SHAPES, ListedStore, listed, raw_safetensors, safetensors_bytes

FOUR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def header_of(data: bytes) -> dict[str, TensorInfo]:
    store = ListedStore([listed("w.safetensors", size=len(data))], {"w.safetensors": data})
    return read_header(store, "w.safetensors", len(data))


def test_a_header_is_read_with_two_ranged_reads() -> None:
    data = safetensors_bytes(SHAPES)
    store = ListedStore([], {"w.safetensors": data})
    tensors = read_header(store, "w.safetensors", len(data))
    assert {name: tensor.shape for name, tensor in tensors.items()} == SHAPES
    assert tensors["lm_head.weight"] == TensorInfo("F32", (8, 4), 128)
    assert len(store.reads) == 2


def test_a_local_file_reads_the_same(tmp_path: Path) -> None:
    data = safetensors_bytes(SHAPES)
    (tmp_path / "w.safetensors").write_bytes(data)
    assert read_local_header(tmp_path / "w.safetensors") == header_of(data)


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float64", "int64", "uint8", "bool", "float8_e4m3fn", "complex64"]
)
def test_the_dtypes_that_torch_writes_are_known(dtype: str) -> None:
    import torch
    from safetensors.torch import save

    tensor = torch.zeros(3, 2).to(getattr(torch, dtype))
    assert header_of(save({"w": tensor}))["w"].size == tensor.numel() * tensor.element_size()


def test_metadata_empty_tensors_and_scalars_are_allowed() -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "scalar": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "empty": {"dtype": "F32", "shape": [0, 7], "data_offsets": [4, 4]},
        "last": {"dtype": "U8", "shape": [2], "data_offsets": [4, 6]},
    }
    assert set(header_of(raw_safetensors(header, bytes(6)))) == {"scalar", "empty", "last"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "truncated"),
        (b"1234", "truncated"),
        (raw_safetensors({"w": FOUR}, b"123"), "truncated"),
        (raw_safetensors({"w": FOUR}, b"12345"), "belong to no tensor"),
        ((2**63).to_bytes(8, "little") + b"{}", "claims"),
        ((100_000_001).to_bytes(8, "little") + b"{}", "claims"),
        ((100).to_bytes(8, "little") + b"{}", "truncated"),
        (raw_safetensors(b"[1]"), "not a JSON object"),
        (raw_safetensors(b"{]"), "not valid JSON"),
        (raw_safetensors(b"{\xff}"), "not valid JSON"),
        (raw_safetensors(b'{"a":' * 100_000), "not valid JSON"),
        (raw_safetensors(b'{"w":1,"w":2}'), "stands twice"),
        (raw_safetensors(b'{"w":' + b"9" * 5000 + b"}"), "not valid JSON"),
        (raw_safetensors({"w": 1}), "has no dtype"),
        (raw_safetensors({"__metadata__": {"a": 1}}), "__metadata__"),
        (raw_safetensors({"w": FOUR | {"dtype": "F31"}}, b"1234"), "not known"),
        (raw_safetensors({"w": FOUR | {"dtype": ["F32"]}}, b"1234"), "not known"),
        (raw_safetensors({"w": FOUR | {"shape": [-1]}}, b"1234"), "shape that is none"),
        (raw_safetensors({"w": FOUR | {"shape": [True]}}, b"1234"), "shape that is none"),
        (raw_safetensors({"w": FOUR | {"shape": [2]}}, b"1234"), "has not"),
        (raw_safetensors({"w": FOUR | {"shape": [2**62] * 64}}, b"1234"), "has not"),
        (raw_safetensors({"w": FOUR | {"data_offsets": [4, 0]}}, b"1234"), "data_offsets that are none"),
        (raw_safetensors({"w": FOUR | {"data_offsets": [0, 4, 8]}}, b"1234"), "data_offsets that are none"),
        (raw_safetensors({"w": FOUR | {"data_offsets": [4, 8]}}, bytes(8)), "starts at byte"),
        (raw_safetensors({"a": FOUR, "b": FOUR}, bytes(8)), "starts at byte"),
    ],
)
def test_a_header_that_lies_is_refused_in_words_that_name_the_file(data: bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        header_of(data)
    assert caught.value.reason == "WeightsUnreadable"
    assert "s3://bucket/run/w.safetensors" in str(caught.value)


@given(st.binary(max_size=300))
@example(raw_safetensors({}))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(CheckpointError):
        header_of(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "BF16", "F4", "nope"]) | JSON,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(0, 16), min_size=2, max_size=2) | JSON,
    },
)


@given(st.dictionaries(st.sampled_from(["__metadata__", "a", "b", "c"]), ENTRY | JSON), st.binary(max_size=32))
def test_any_json_header_is_refused_wherever_the_library_refuses_it(header: dict[str, Any], rest: bytes) -> None:
    import safetensors

    library_read: Any = safetensors.deserialize
    data = raw_safetensors(header, rest)
    try:
        ours = {name: tensor.shape for name, tensor in header_of(data).items()}
    except CheckpointError:
        return
    try:
        theirs = {name: tuple(entry["shape"]) for name, entry in library_read(data)}
    except safetensors.SafetensorError:
        theirs = {}
    assert ours == theirs


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.lists(st.integers(0, 4), max_size=3), max_size=6))
def test_any_file_that_the_library_writes_is_read(shapes: dict[str, list[int]]) -> None:
    given_shapes = {name: tuple(shape) for name, shape in shapes.items() if name != "__metadata__"}
    assert {name: tensor.shape for name, tensor in header_of(safetensors_bytes(given_shapes)).items()} == given_shapes
