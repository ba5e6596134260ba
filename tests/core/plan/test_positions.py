"""positions.yaml says where checkpoints stand; what it can't mean is refused by key and line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.checkpoints import Position
from fineline.errors import SpecError
from fineline.plan.positions import MOST_CHARACTERS, read_positions


def test_positions_are_read_in_either_style_of_yaml() -> None:
    text = """
# named by their numbers
ckpt_358: {step: 358000, tokens: 1_259_000_000_000}
'360':
  step: 360000
  branch: "1"
361: {step: 361000, tokens: null}
"""
    assert read_positions(text, "positions.yaml") == {
        "ckpt_358": Position("main", 358_000, 1_259_000_000_000),
        "360": Position("1", 360_000, None),
        "361": Position("main", 361_000, None),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"^positions: is empty"),
        ("[a]", r"^positions, line 1: must be a mapping of folder names"),
        ("a: {step: 1}\nb: 2", r"^positions, line 2: b: must be a mapping, such as \{step: 1000\}"),
        ("a: {step: 1}\nb: {step: one}", r"^positions, line 2: b\.step: input should be a valid integer"),
        ("a: {step: 010}", r"^positions, line 1: a\.step: input should be a valid integer"),
        ("a: {step: -1}", r"^positions, line 1: a\.step:"),
        ("a: {tokens: 1}", r"^positions, line 1: a\.step: field required"),
        ("a: {step: 1, stpe: 2}", r"^positions, line 1: a\.stpe: extra inputs"),
        ("a: {step: 1}\na: {step: 2}", r"^positions, line 2: a stands twice"),
        ("a: {step: 1,\n step: 2}", r"^positions, line 2: step stands twice"),
        ("a: &x {step: 1}\nb: *x", r"^positions, line 2: b: must be a mapping"),
        ("a: {step: [[[[1]]]]}", r"^positions, line 1: step: must be a single value"),
        ("a: {step: 1}\n---\nb: {step: 2}", r"^positions, line 2: a second document"),
        ("a: {step: 1", r"^positions, line [12]: not YAML"),
        ("a: \ud800", r"^positions: not YAML"),
        ("a: \0", r"^positions: not YAML"),
        ("[" * 100_000, r"^positions, line 1: must be a mapping"),
        ("#" * (MOST_CHARACTERS + 1), r"^positions: longer than 1,048,576 characters"),
        (f"{'a' * 300}: {{step: 1}}", r"^positions, line 1: a name of more than 256 characters"),
    ],
)
def test_what_can_not_be_meant_is_refused_by_its_line(text: str, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        read_positions(text, "positions")


@given(st.text() | st.lists(st.sampled_from(list("a:{}[],&*!?|-#'\" \n1~%"))).map("".join))
def test_any_text_gives_positions_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(SpecError):
        assert all(isinstance(position, Position) for position in read_positions(text, "positions").values())
