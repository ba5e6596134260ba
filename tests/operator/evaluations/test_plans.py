"""What is remembered of plans between two looks: for how long it counts, and how much of it there may be."""

from __future__ import annotations

import math

import pytest

from fineline.plan import PlanFacts
from fineline.results import UnitAddress
from fineline_operator.evaluations import reading
from fineline_operator.evaluations.reading import TRUSTED_SECONDS, Plans

FACTS = PlanFacts.model_construct(digest="ab" * 32)  # what is in them does not matter here


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def units(count: int, run: str = "tiny") -> tuple[UnitAddress, ...]:
    return tuple(UnitAddress(run, "main", step, "piqa", "0123456789abcdef") for step in range(count))


def test_a_plan_is_looked_for_again_after_a_while_unless_its_age_does_not_matter() -> None:
    clock = Clock()
    plans = Plans(clock)
    plans.remember_facts("uid", "", FACTS)
    assert plans.facts("uid", "") == FACTS
    clock.now = TRUSTED_SECONDS + 1
    assert plans.facts("uid", "") is None
    assert plans.facts("uid", "", math.inf) == FACTS


def test_a_plan_of_another_attempt_is_not_this_ones() -> None:
    plans = Plans()
    plans.remember_facts("uid", "first", FACTS)
    plans.remember_addresses("uid", "first's digest", units(2))
    assert plans.facts("uid", "second", math.inf) is None
    assert plans.addresses("uid", "second's digest") is None


def test_the_units_that_were_used_longest_ago_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_REMEMBERED_UNITS", 10)
    plans = Plans()
    plans.remember_addresses("old", "digest", units(4))
    plans.remember_addresses("used", "digest", units(4))
    assert plans.addresses("old", "digest") == units(4)
    plans.remember_addresses("new", "digest", units(4))
    assert plans.addresses("used", "digest") is None
    assert plans.addresses("old", "digest") == units(4)
    assert plans.addresses("new", "digest") == units(4)


def test_one_plan_may_have_more_units_than_are_remembered_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_REMEMBERED_UNITS", 10)
    plans = Plans()
    plans.remember_addresses("large", "digest", units(20))
    assert plans.addresses("large", "digest") == units(20)
    plans.remember_addresses("small", "digest", units(1))
    assert plans.addresses("large", "digest") is None
    assert plans.addresses("small", "digest") == units(1)


def test_nothing_is_kept_of_what_has_ended() -> None:
    plans = Plans()
    plans.remember_facts("uid", "", FACTS)
    plans.remember_addresses("uid", "digest", units(2))
    plans.forget("uid")
    assert plans.facts("uid", "", math.inf) is None
    assert plans.addresses("uid", "digest") is None
