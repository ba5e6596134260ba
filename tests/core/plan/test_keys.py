"""The key changes with everything that numbers depend on, and with nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.plan import KeyInputs, unit_key
from fineline.plan.keys import engine_numerics

INPUTS = KeyInputs(
    checkpoint_digest="c" * 64,
    task="piqa",
    task_identity="t" * 64,
    shots=None,
    limit=None,
    seed=1234,
    data_digest="d" * 64,
    tokenizer_digest="k" * 64,
    add_bos=None,
    allow_code_execution=False,
    engine=engine_numerics("vllm", "bfloat16", None, {}),
)

CHANGED: dict[str, Any] = {
    "checkpoint_digest": "e" * 64,
    "task": "mmlu",
    "task_identity": "u" * 64,
    "shots": 0,
    "limit": 100,
    "seed": 1,
    "data_digest": "e" * 64,
    "tokenizer_digest": "l" * 64,
    "add_bos": True,
    "allow_code_execution": True,
    "engine": engine_numerics("transformers", "bfloat16", None, {}),
    "scoring_version": 2,
}


def test_the_key_of_these_inputs_never_changes() -> None:
    """A changed key evaluates everything again, everywhere: if this fails, raise SCORING_VERSION on purpose instead."""
    assert unit_key(INPUTS) == "afaa5879d3ed3cde"


@pytest.mark.parametrize("field", [field.name for field in fields(KeyInputs)])
def test_each_input_changes_the_key(field: str) -> None:
    assert unit_key(replace(INPUTS, **{field: CHANGED[field]})) != unit_key(INPUTS)


def test_the_engine_s_capacity_does_not_change_the_key_and_its_numerics_do() -> None:
    plain = engine_numerics("vllm", "bfloat16", None, {})
    assert engine_numerics("vllm", "bfloat16", None, {"max_num_seqs": 8, "threads": 2}) == plain
    assert engine_numerics("vllm", "bfloat16", None, {"quantization": "fp8"}) != plain
    assert engine_numerics("vllm", "bfloat16", 2048, {}) != plain


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), min_size=2))
def test_the_order_of_settings_does_not_matter(args: dict[str, Any]) -> None:
    backwards = dict(reversed(args.items()))
    keys = {unit_key(replace(INPUTS, engine={"args": given})) for given in (args, backwards)}
    assert len(keys) == 1
