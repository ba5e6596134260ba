"""Slices are of about the same cost, in order, and each touches few checkpoints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.plan.slices import Cost, cut


def costs(*works: list[float], load: float = 1.0) -> list[Cost]:
    return [Cost(checkpoint, work, load) for checkpoint, row in enumerate(works) for work in row]


def test_nothing_to_do_makes_no_slice() -> None:
    assert cut([], 4) == []


def test_checkpoints_stay_whole_where_there_are_enough_of_them() -> None:
    assert cut(costs(*[[1.0, 1.0]] * 6), 3) == [range(4), range(4, 8), range(8, 12)]


def test_one_checkpoint_is_split_by_task_over_several_slices() -> None:
    assert cut(costs([5.0] * 4), 2) == [range(2), range(2, 4)]


def test_a_split_that_gains_little_is_not_made() -> None:
    """Three checkpoints on two slices: 2 + 1 whole costs 22, split in the middle 17: worth loading one twice."""
    assert cut(costs([5.0] * 2, [5.0] * 2, [5.0] * 2), 2) == [range(3), range(3, 6)]
    assert cut(costs([5.0] * 2, [5.0] * 2, [5.0] * 2, load=100.0), 2) == [range(4), range(4, 6)]


def test_more_slices_than_units_leave_none_empty() -> None:
    assert cut(costs([1.0], [1.0]), 10) == [range(1), range(1, 2)]


@pytest.mark.parametrize("slices", [1, 7, 64])
def test_a_large_plan_is_cut_in_no_time_and_evenly(slices: int) -> None:
    many = costs(*[[3.0, 1.0, 2.0, 8.0] * 4 for _ in range(2_000)])
    parts = cut(many, slices)
    assert 0.9 * slices <= len(parts) <= slices
    assert max(len(part) for part in parts) <= 1.05 * len(many) / slices + 16


@given(
    st.lists(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=5), min_size=1, max_size=12),
    st.integers(1, 20),
    st.floats(0, 1e6),
)
def test_every_unit_is_in_exactly_one_slice(works: list[list[float]], slices: int, load: float) -> None:
    many = costs(*works, load=load)
    parts = cut(many, slices)
    assert [index for part in parts for index in part] == list(range(len(many)))
    assert 1 <= len(parts) <= slices
    assert all(parts)
