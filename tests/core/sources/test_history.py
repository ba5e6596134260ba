"""Which ended CheckpointEvals of a source are kept."""

from __future__ import annotations

import pytest

from fineline.sources.batches import evaluation_name
from fineline.sources.deciding import MadeEvaluation
from support.sources import SOURCE, TEMPLATE, batches_of, decided, made, member, walked

KEEP = {"succeeded": 2, "failed": 1}


def ended(number: int, *, succeeded: bool = True, template: str = TEMPLATE) -> MadeEvaluation:
    """One of the source's, named as it names them, which ended in the order of their numbers."""
    name = evaluation_name(SOURCE, template, number)
    return made(name, member(number), template=template, ended=number, succeeded=succeeded)


def deleted(evaluations: list[MadeEvaluation], **arguments: object) -> list[int]:
    """The numbers of those that are deleted, the first to go first."""
    history = arguments.pop("history", KEEP)
    names = decided([], made=evaluations, history=history, **arguments).delete
    return [int(name.rpartition("-")[2]) for name in names]


def test_the_newest_of_each_kind_are_kept() -> None:
    good, bad = [ended(number) for number in (1, 3, 5, 6)], [ended(number, succeeded=False) for number in (2, 4)]
    assert deleted([*reversed(good), *bad]) == [1, 2, 3]


def test_those_that_run_are_kept_and_count_for_nothing() -> None:
    running = [made(evaluation_name(SOURCE, TEMPLATE, number), member(number)) for number in (1, 2, 7, 8)]
    assert deleted([*running, ended(3), ended(4), ended(5)]) == [3]


def test_a_failed_one_whose_checkpoints_have_neither_results_nor_failures_is_kept() -> None:
    failed = [ended(number, succeeded=False) for number in (1, 2, 3, 4)]
    there = [walked(number) for number in (1, 2, 3, 4)]
    decision = decided(there, made=failed, evaluated=[member(2)], failed=[member(3)], history={"failed": 0})
    assert [name.rpartition("-")[2] for name in decision.delete] == ["2", "3"]
    assert decision.create == ()


@pytest.mark.parametrize("there", [[], [walked(1, digest="2")]], ids=["deleted", "overwritten"])
def test_a_failed_one_whose_checkpoints_are_gone_is_not(there: list[object]) -> None:
    failed = [ended(1, succeeded=False), ended(2, succeeded=False)]
    decision = decided(there, made=failed, history={"failed": 1})  # type: ignore[arg-type]
    assert decision.delete == (failed[0].name,)


def test_a_failed_one_of_another_template_holds_nothing_up() -> None:
    failed = ended(1, succeeded=False, template="bbbbbbbbbb")
    assert decided([walked(1)], made=[failed], history={"failed": 0}).delete == (failed.name,)


def test_the_last_one_made_is_kept_in_any_case_for_the_next_goes_on_from_it() -> None:
    none = {"succeeded": 0, "failed": 0}
    assert deleted([ended(1), ended(2), ended(3)], history=none) == [1, 2]
    assert deleted([ended(1), ended(2, template="bbbbbbbbbb")], history=none) == [2]


def test_with_every_the_one_with_the_farthest_checkpoint_of_each_branch_is_kept_for_the_count_goes_on_from_it() -> None:
    def of_branch(number: int, branch: str, step: int) -> MadeEvaluation:
        return made(evaluation_name(SOURCE, TEMPLATE, number), member(step, branch=branch), ended=number)

    none = {"succeeded": 0, "failed": 0}
    there = [of_branch(1, "a", 1), of_branch(2, "a", 4), of_branch(3, "main", 7), of_branch(4, "main", 1)]
    assert deleted(there, history=none, select={"every": 3}) == [1]
    assert deleted(there, history=none) == [1, 2, 3]
    kept = there[1:]
    later = [walked(step, branch="a") for step in (5, 6, 7, 8)]
    assert batches_of(decided(later, made=kept, select={"every": 3})) == [[7]], "of branch a, 4 is deleted"


def test_one_whose_end_nobody_wrote_down_is_as_old_as_itself() -> None:
    unknown = made("by-hand-1", member(9), ended=0, created=100)
    without = MadeEvaluation(**{name: getattr(unknown, name) for name in MadeEvaluation.__slots__} | {"ended": None})
    assert decided([], made=[without, ended(1), ended(2)], history={"succeeded": 1}).delete == (ended(1).name,)
