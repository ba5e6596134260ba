"""Which checkpoints `select` chooses, whatever comes late or goes."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.resources.checkpoint_source import SourceSelect
from fineline.sources.choosing import chosen
from fineline.sources.listing import Walked
from support.sources import INCOMPLETE, walked


def select(**values: Any) -> SourceSelect:
    return SourceSelect.model_validate(values)


def steps(checkpoints: list[Walked], anchors: Collection[int] = (), /, **values: Any) -> list[int]:
    places = {("main", step) for step in anchors}
    return [item.position.step for item in chosen(checkpoints, select(**values), places)]


def test_without_select_all_are_chosen_complete_or_not() -> None:
    checkpoints = (walked(1), walked(2, problem=INCOMPLETE))
    assert chosen(checkpoints, None) == checkpoints


@pytest.mark.parametrize(
    ("anchors", "there", "every", "expected"),
    [
        ([], [0, 1, 2, 3, 4, 5, 6], 3, [0, 3, 6]),
        ([], [0, 1], 1, [0, 1]),
        ([0], [0, 1, 2, 3], 3, [0, 3]),
        ([0, 2], [0, 1, 2, 3, 4, 5], 3, [0, 2, 5]),
        ([0], [1, 2, 3], 3, [3]),
        ([0, 3], [1, 2, 4, 5, 6], 3, [6]),
        ([0, 3], [0, 1, 1.5, 2, 3, 4], 3, [0, 2, 3]),
        ([4], [2, 3, 4, 5, 6, 7], 3, [4, 7]),
        ([4], [0, 1, 2, 3, 4], 2, [0, 2, 4]),
        ([0], [4, 5, 6, 7], 3, [4, 7]),
    ],
    ids=[
        "the first and each third",
        "every one",
        "the first stays",
        "it goes on from the last that was evaluated",
        "one that is gone is counted from",
        "so is the last of several that are gone",
        "one that comes late moves no choice",
        "nor do those that come before the first",
        "which are counted back from it",
        "what went after an anchor that is gone is counted",
    ],
)
def test_every(anchors: list[int], there: list[float], every: int, expected: list[int]) -> None:
    tenfold = [walked(int(step * 10)) for step in there]
    assert steps(tenfold, {step * 10 for step in anchors}, every=every) == [step * 10 for step in expected]


def test_from_and_to_narrow_before_every_counts() -> None:
    checkpoints = [walked(step) for step in range(10)]
    assert steps(checkpoints, (), **{"from": 3, "to": 7}) == [3, 4, 5, 6, 7]
    assert steps(checkpoints, (), **{"from": 3, "to": 7, "every": 2}) == [3, 5, 7]
    assert steps(checkpoints, {2, 9}, **{"from": 3, "to": 7, "every": 2}) == [3, 5, 7]


def test_each_branch_is_counted_by_itself() -> None:
    checkpoints = [walked(1, branch="a"), walked(2, branch="a"), walked(1), walked(2), walked(3)]
    taken = chosen(checkpoints, select(every=2), {("a", 2)})
    assert [(item.position.branch, item.position.step) for item in taken] == [
        ("a", 2),
        ("main", 1),
        ("main", 3),
    ]


def test_an_incomplete_one_holds_its_place() -> None:
    checkpoints = [walked(0), walked(1), walked(2, problem=INCOMPLETE), walked(3), walked(4)]
    assert steps(checkpoints, every=2) == [0, 2, 4]


def test_folders_that_claim_one_position_count_once() -> None:
    checkpoints = [walked(0), walked(1), walked(1, digest="2"), walked(2), walked(3)]
    assert steps(checkpoints, every=2) == [0, 2]


def test_every_counts_in_the_order_of_tokens_where_steps_do_not_rise_in_it() -> None:
    """A run that was resumed from an earlier step with other batches, for instance."""
    by_tokens = [walked(step, tokens=tokens) for tokens, step in enumerate((10, 20, 5, 30, 40, 50))]
    assert steps(by_tokens, every=3) == [10, 30]
    assert steps(by_tokens, {10}, every=3) == [10, 30]
    assert steps(by_tokens, {30}, every=3) == [10, 30]
    assert steps(by_tokens, {5}, every=2) == [10, 5, 40]


@pytest.mark.parametrize("kept", [2, 3, 10])
@pytest.mark.parametrize("late", [0, 3])
def test_a_training_that_keeps_its_last_few_alone_gets_each_nth_evaluated(kept: int, late: int) -> None:
    """Somebody looks each time, or each fourth time. Of what is gone the last that was evaluated is known."""
    evaluated: list[int] = []
    for newest in range(0, 5000, 100):
        there = range(max(0, newest - 100 * (kept - 1)), newest + 100, 100)
        if newest % (100 * (late + 1)) == 0:
            anchors = {*evaluated[-1:], *set(evaluated).intersection(there)}
            taken = steps([walked(step) for step in there], anchors, every=5)
            evaluated += [step for step in taken if step not in evaluated]
    apart = {after - before for before, after in pairwise(evaluated)}
    assert len(evaluated) >= 8
    assert apart == {500} if kept > late else apart <= {500, 600, 700}


@given(
    every=st.integers(1, 4),
    happenings=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40),
)
def test_no_choice_that_was_made_is_taken_back(every: int, happenings: list[tuple[bool, int]]) -> None:
    """Checkpoints come in any order and are deleted; each that is chosen is evaluated at once."""
    there: set[int] = set()
    evaluated: set[int] = set()
    for comes, step in happenings:
        there = there | {step} if comes else there - {step}
        taken = steps([walked(one) for one in sorted(there)], evaluated, every=every)
        assert evaluated & there <= set(taken)
        evaluated |= set(taken)
        ordered = sorted(there | evaluated)
        first = next((place for place, one in enumerate(ordered) if one in evaluated), 0)
        for start in range(first, len(ordered) - every + 1):
            assert evaluated.intersection(ordered[start : start + every])
