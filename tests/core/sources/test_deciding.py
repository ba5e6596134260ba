"""What is made of one look at a source: what waits, which batches, what is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from fineline.resources.source_status import CheckpointSourceStatus, NewestCheckpoint
from fineline.sources.batches import MOST_AT_ONCE, evaluation_name
from fineline.sources.deciding import MadeEvaluation
from fineline.sources.listing import Aside
from support.sources import (
    INCOMPLETE,
    REFUSED,
    SOURCE,
    TEMPLATE,
    after,
    again,
    batches_of,
    decided,
    made,
    member,
    observed,
    walked,
)

RUNNING = made("by-hand", member(999))


def numbered(number: int) -> str:
    return evaluation_name(SOURCE, TEMPLATE, number)


def test_what_is_complete_is_evaluated() -> None:
    decision = decided([walked(1), walked(2, problem=INCOMPLETE), walked(3, problem=REFUSED), walked(4)])
    assert batches_of(decision) == [[1, 4]]
    assert decision.create[0].members == (member(1), member(4))
    assert decision.evaluating


def test_what_is_evaluated_failed_or_a_member_already_is_not_evaluated_again() -> None:
    checkpoints = [walked(step) for step in (1, 2, 3, 4, 5)]
    decision = decided(
        checkpoints,
        evaluated=[member(1)],
        failed=[member(2)],
        made=[made("a", member(3)), made("b", member(4), ended=10, succeeded=False)],
        maxWaitSeconds=0,
    )
    assert batches_of(decision) == [[5]]


def test_a_member_under_another_template_is_evaluated_again() -> None:
    decision = decided([walked(1)], made=[made("a", member(1), template="bbbbbbbbbb", ended=10)])
    assert batches_of(decision) == [[1]]
    assert decision.changed == ()


def test_one_that_succeeded_and_lost_its_results_is_evaluated_again_but_not_for_ever() -> None:
    """Somebody deleted them. Where results were listed before the CheckpointEval was read, they may have come since."""
    succeeded = made("a", member(1), ended=10)
    waits = decided([walked(1)], made=[succeeded])
    assert (waits.create, waits.counts.waiting) == ((), 1)
    again = decided([walked(1)], made=[succeeded], fresh=[member(1)])
    assert batches_of(again) == [[1]]
    meanwhile = decided([walked(1)], made=[succeeded, made("b", member(1))], fresh=[member(1)])
    assert (meanwhile.create, meanwhile.counts.waiting) == ((), 1)
    in_vain = [succeeded, made("b", member(1), ended=20)]
    ended = decided([walked(1)], made=in_vain, fresh=[member(1)], history={"succeeded": 0})
    assert (ended.create, ended.counts.waiting, ended.counts.failed) == ((), 0, 1)
    assert not ended.evaluating
    assert ended.delete == (), "or it would be evaluated again and again"


def test_other_bytes_at_a_position_are_evaluated_again_and_told() -> None:
    checkpoints = [walked(1, digest="2"), walked(2, digest="2"), walked(3), walked(4)]
    decision = decided(
        checkpoints,
        made=[made("a", member(1), ended=10)],
        evaluated=[member(2), member(4)],
    )
    assert batches_of(decision) == [[1, 2, 3]]
    assert decision.changed == (member(1, digest="2"), member(2, digest="2"))


def test_other_bytes_are_told_while_they_are_evaluated_too_and_not_while_suspended() -> None:
    """Whoever made their CheckpointEval may have died before it told."""
    ones = [made("a", member(1), ended=10), made("b", member(1, digest="2"))]
    there = [walked(1, digest="2"), walked(2, digest="2")]
    assert decided(there, made=ones, evaluated=[member(2)]).changed == (
        member(1, digest="2"),
        member(2, digest="2"),
    )
    assert decided(there, made=ones, evaluated=[member(2)], suspend=True).changed == ()


@pytest.mark.parametrize(
    ("waiting", "others", "at", "expected", "due_after"),
    [
        (5, [], 0, [[1, 2], [3, 4], [5]], None),
        (5, [RUNNING], 0, [[1, 2], [3, 4]], 600),
        (5, [RUNNING], 599, [[1, 2], [3, 4]], 1),
        (5, [RUNNING], 600, [[1, 2], [3, 4], [5]], None),
        (1, [RUNNING], 10, [], 590),
        (0, [RUNNING], 10, [], None),
        (4, [RUNNING], 10, [[1, 2], [3, 4]], None),
    ],
    ids=[
        "at once where nothing runs",
        "full batches where something runs",
        "the rest waits",
        "not longer than maxWaitSeconds",
        "one waits for company",
        "nothing waits",
        "nothing is left of full batches",
    ],
)
def test_batches(
    waiting: int, others: list[MadeEvaluation], at: float, expected: list[list[int]], due_after: float | None
) -> None:
    """Complete at second 60: 60 s after the last change. `at` and `due_after` count from there."""
    decision = decided(
        [walked(step) for step in range(1, waiting + 1)],
        at=60 + at,
        made=others,
        batch=2,
        maxWaitSeconds=600,
    )
    assert batches_of(decision) == expected
    assert decision.again_after == due_after


def test_the_one_that_was_complete_first_says_when_the_rest_is_due() -> None:
    checkpoints = [walked(1, changed=400), walked(2, changed=100), walked(3, changed=300)]
    seen = observed(checkpoints, at=500, made=[RUNNING], complete={"settleSeconds": 10})
    assert again(seen).again_after == 210
    assert batches_of(again(seen, now=after(710))) == [[1, 2, 3]]


def test_a_store_whose_clock_is_ahead_makes_nothing_wait() -> None:
    decision = decided([walked(1, changed=9000)], made=[RUNNING], complete={"settleSeconds": 0})
    assert batches_of(decision) == [[1]]


def test_ended_ones_don_t_make_a_rest_wait_and_those_of_another_template_do() -> None:
    assert batches_of(decided([walked(1)], at=60, made=[made("a", member(9), ended=10)])) == [[1]]
    other = made("a", member(9), template="bbbbbbbbbb")
    assert batches_of(decided([walked(1)], at=60, made=[other])) == []


def test_a_look_creates_so_many_and_the_next_goes_on_at_once() -> None:
    seen = observed([walked(step) for step in range(MOST_AT_ONCE * 2 + 1)], batch=2)
    decision = again(seen)
    assert len(decision.create) == MOST_AT_ONCE
    assert decision.again_after == 0
    there = tuple(made(new.name, *new.members) for new in decision.create)
    rest = again(seen, made=there)
    assert batches_of(rest) == [[MOST_AT_ONCE * 2]]
    assert rest.create[0].name == numbered(MOST_AT_ONCE + 1)


def test_names_go_on_from_the_last_that_is_there() -> None:
    checkpoints = [walked(1), walked(2)]
    assert [new.name for new in decided(checkpoints, batch=1).create] == [numbered(1), numbered(2)]
    there = [made(numbered(7), member(8), ended=10), made(numbered(4), member(9), ended=20)]
    assert [new.name for new in decided(checkpoints, batch=1, made=there).create] == [numbered(8), numbered(9)]


def test_two_that_look_at_once_and_see_different_checkpoints_want_the_same_name() -> None:
    """So the API server lets one of them alone create it, and no checkpoint is in two."""
    one, other = decided([walked(1), walked(2)]), decided([walked(2), walked(3)])
    assert one.create[0].members != other.create[0].members
    assert one.create[0].name == other.create[0].name


def test_a_suspended_source_creates_nothing_and_tells_all_the_same() -> None:
    decision = decided(
        [walked(1), walked(2), walked(3, problem=INCOMPLETE)], evaluated=[member(1)], suspend=True, settles_at=1200
    )
    assert decision.create == ()
    assert decision.counts.model_dump() == {"found": 3, "complete": 2, "evaluated": 1, "failed": 0, "waiting": 1}
    assert decision.again_after == 200


def test_those_without_results_wait_whether_they_are_being_evaluated_or_not() -> None:
    """Those that can't be evaluated do not, nor those that are not chosen."""
    checkpoints = [walked(1), walked(2, problem=INCOMPLETE), walked(3), walked(4), walked(5)]
    decision = decided(checkpoints, evaluated=[member(1)], made=[made("runs", member(3))], select={"to": 4})
    assert [item.position.step for item in decision.waiting] == [3, 4]


def test_counts_are_of_the_chosen_ones() -> None:
    """Of those found: 1 evaluated, 2 failed, 3 refused, 4 runs, 5 waits, 6 incomplete, 7 ended without a word, 8 not
    chosen."""
    problems = {3: REFUSED, 6: INCOMPLETE}
    decision = decided(
        [walked(step, problem=problems.get(step)) for step in range(1, 9)],
        evaluated=[member(1)],
        failed=[member(2)],
        made=[made("a", member(4)), made("b", member(7), ended=10, succeeded=False)],
        select={"to": 7},
    )
    assert decision.counts.model_dump() == {"found": 8, "complete": 6, "evaluated": 1, "failed": 3, "waiting": 2}


def test_one_that_was_evaluated_stays_so_while_something_in_its_folder_settles() -> None:
    decision = decided([walked(1, problem=INCOMPLETE)], evaluated=[member(1)])
    assert (decision.counts.evaluated, decision.waiting_on) == (1, ())
    assert not decision.evaluating


def test_every_counts_from_members_whose_checkpoints_are_gone() -> None:
    decision = decided([walked(2), walked(3), walked(4)], made=[made("a", member(1), ended=10)], select={"every": 3})
    assert batches_of(decision) == [[4]]


def test_incomplete_ones_are_told_the_newest_first_then_folders_without_a_position_then_those_that_gave_way() -> None:
    given_way = (Aside("1-hf", "DuplicatePosition", "another is read"),)
    checkpoints = [walked(5, branch="a", problem=REFUSED), *(walked(step, problem=INCOMPLETE) for step in (4, 6))]
    decision = decided(checkpoints, aside=(*given_way, Aside("final", "PositionUnknown", "no position")))
    assert [(told.checkpoint, told.reason, told.message) for told in decision.waiting_on] == [
        ("step6", "ShardMissing", "a shard is missing"),
        ("a/step5", "FormatUnsupported", "it can't be read"),
        ("step4", "ShardMissing", "a shard is missing"),
        ("final", "PositionUnknown", "no position"),
        ("1-hf", "DuplicatePosition", "another is read"),
    ]


def test_a_status_lists_twenty_incomplete_ones_with_messages_that_fit() -> None:
    checkpoints = [walked(step, problem=INCOMPLETE) for step in range(30)]
    decision = decided(checkpoints, aside=(Aside("", "PositionUnknown", "x" * 5000),))
    assert [told.checkpoint for told in decision.waiting_on] == [f"step{step}" for step in range(29, 9, -1)]
    (told,) = decided([], aside=(Aside("", "PositionUnknown", "x" * 5000),)).waiting_on
    assert told.checkpoint == "."
    assert len(told.message) == 2048


def seen_before(
    step: int, *, seen_at: float, evaluated_at: float | None = None, digest: str = "1", listed_at: float = 990
) -> CheckpointSourceStatus:
    newest = NewestCheckpoint(
        branch="main",
        step=step,
        digest=digest * 64,
        seen_at=after(seen_at),
        evaluated_at=None if evaluated_at is None else after(evaluated_at),
    )
    return CheckpointSourceStatus(newest=newest, last_listed=after(listed_at))


def newest(checkpoints: Sequence[Any], **arguments: Any) -> tuple[str, int, datetime | None, datetime | None]:
    told = decided(checkpoints, at=1000, **arguments).newest
    assert told is not None
    return told.branch, told.step, told.seen_at, told.evaluated_at


def test_the_newest_is_the_last_complete_one_and_was_seen_now() -> None:
    checkpoints = [walked(1), walked(2, tokens=20, changed=950), walked(3, problem=INCOMPLETE)]
    assert newest(checkpoints, status=seen_before(1, seen_at=500)) == ("main", 2, after(1000), None)
    told = decided(checkpoints).newest
    assert told is not None
    assert (told.tokens, told.digest) == (20, "1" * 64)
    assert decided([walked(3, problem=INCOMPLETE)]).newest is None


def test_when_the_newest_was_seen_and_evaluated_stays_told() -> None:
    assert newest([walked(2)], status=seen_before(2, seen_at=500)) == ("main", 2, after(500), None)
    evaluated = {"evaluated": [member(2)]}
    assert newest([walked(2)], status=seen_before(2, seen_at=500), **evaluated)[2:] == (after(500), after(1000))
    told = seen_before(2, seen_at=500, evaluated_at=700)
    assert newest([walked(2)], status=told, **evaluated)[2:] == (after(500), after(700))


def test_it_stays_told_where_the_clock_of_the_store_is_ahead() -> None:
    told = seen_before(2, seen_at=500, evaluated_at=700)
    ahead = [walked(2, changed=5000)]
    assert newest(ahead, status=told, evaluated=[member(2)])[2:] == (after(500), after(700))


def test_one_that_was_overwritten_is_seen_anew() -> None:
    told = seen_before(2, seen_at=500, evaluated_at=700)
    assert newest([walked(2, digest="2", changed=600)], status=told)[2:] == (after(1000), None)


def test_one_that_is_the_newest_since_another_is_gone_was_seen_when_it_settled() -> None:
    told = seen_before(3, seen_at=500)
    assert newest([walked(2, changed=300)], status=told)[2:] == (after(360), None)
    assert newest([walked(2, changed=940)], status=told)[2:] == (after(1000), None), "it was not listed before"


def test_the_newest_is_of_the_branch_that_grew_last() -> None:
    checkpoints = [walked(9, branch="annealed", changed=50), walked(100, changed=10)]
    assert newest(checkpoints)[:2] == ("annealed", 9)


def test_a_source_with_nothing_to_do_waits_for_nothing() -> None:
    decision = decided([walked(1)], evaluated=[member(1)])
    assert (decision.create, decision.delete, decision.evaluating, decision.again_after) == ((), (), False, None)
    assert decided([]).counts.model_dump() == dict.fromkeys(("found", "complete", "evaluated", "failed", "waiting"), 0)


def test_the_earliest_of_what_time_alone_brings_says_when_to_look_again() -> None:
    seen = observed([walked(1)], at=60, made=[RUNNING], maxWaitSeconds=600, settles_at=90)
    assert again(seen).again_after == 30
    assert again(seen, now=after(95)).again_after == 0
