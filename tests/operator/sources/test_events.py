"""What people are told of a source in events: in the same words whenever it is told, for an event is known by them."""

from __future__ import annotations

from datetime import timedelta

from fineline_operator.sources.events import FRESH, changed, created, made_lately
from support.sources import after, made, member


def test_one_event_tells_what_a_checkpoint_eval_evaluates_again_however_much_it_is() -> None:
    assert changed("tiny-1", [member(1)]).message == "step 1 has other bytes now: tiny-1 evaluates it again."
    many = [member(step) for step in range(1, 9)]
    assert changed("tiny-1", many).message == (
        "step 1, step 2, step 3, step 4, step 5 and 3 further checkpoints have other bytes now: tiny-1 evaluates them "
        "again."
    )
    assert changed("tiny-1", many) == changed("tiny-1", many[::-1]) != created("tiny-1", many)


def test_what_was_made_a_moment_ago_is_told_again() -> None:
    old, lately = made("old", member(1)), made("lately", member(2), created=1)
    assert made_lately([old, lately], after(0) + FRESH) == [lately]
    assert made_lately([old, lately], after(1) + FRESH + timedelta(seconds=1)) == []
