"""When a prefix is listed: pure, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fineline_operator.sources.pace import Due, Pace, Walking, seconds_to_next, wanted


@dataclass
class Looks:
    """A prefix and who looks at it: each look takes `seconds`, each full walk `full_seconds`."""

    due: Due = field(default_factory=lambda: Due(poll_seconds=60, full_walk_seconds=3600, wake="", generation=1))
    seconds: float = 0.1
    full_seconds: float = 5.0
    now: float = 1000.0
    pace: Pace = field(default_factory=Pace)
    done: list[tuple[float, Walking]] = field(default_factory=list)

    def look(self, *, found_something: bool = False, fails: bool = False) -> Walking:
        """A look now, as the reconcile does it."""
        walking = wanted(self.pace, self.now, self.due)
        if walking is Walking.NOTHING:
            return walking
        began = self.now
        full = walking is Walking.FULL
        self.now += self.full_seconds if full else self.seconds
        self.done.append((began, Walking.FULL if full else walking))
        if fails:
            self.pace = self.pace.failed(self.now, generation=self.due.generation)
        else:
            self.pace = self.pace.listed(
                began,
                self.now,
                full=full,
                found_something=found_something,
                wake=self.due.wake,
                generation=self.due.generation,
            )
        return walking

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def event(self, value: str) -> None:
        self.due = replace(self.due, wake=value)

    def next(self) -> float:
        return seconds_to_next(self.pace, self.now, self.due)


def listed_once(**values: object) -> Looks:
    looks = Looks(**values)  # type: ignore[arg-type]
    looks.look()
    looks.wait(120)
    looks.look()
    looks.wait(5)
    return looks


def test_what_was_never_listed_is_listed_at_once() -> None:
    assert Looks().look() is Walking.FULL


def test_a_look_without_a_reason_lists_nothing_before_the_poll_is_due() -> None:
    looks = listed_once()
    assert looks.look() is Walking.NOTHING
    assert 54 < looks.next() < 55
    looks.wait(looks.next())
    assert looks.look() is Walking.USUAL


def test_an_edit_of_the_spec_lists_at_once() -> None:
    looks = listed_once()
    looks.due = replace(looks.due, generation=2)
    assert looks.look() is Walking.USUAL


def test_what_settles_is_listed_then() -> None:
    looks = listed_once()
    looks.due = replace(looks.due, settles=looks.now + 10)
    assert looks.look() is Walking.NOTHING
    assert 9 < looks.next() <= 10
    looks.wait(10)
    assert looks.look() is Walking.USUAL


def test_all_is_listed_every_full_walk_seconds_however_long_the_poll_is() -> None:
    looks = Looks()
    looks.due = replace(looks.due, poll_seconds=86_400)
    began = looks.now
    assert looks.look() is Walking.FULL
    assert looks.next() == 3600 - looks.full_seconds
    looks.wait(looks.next() - 1)
    assert looks.look() is Walking.NOTHING
    looks.wait(1)
    assert looks.look() is Walking.FULL
    assert [at - began for at, _ in looks.done] == [0, 3600]


def test_an_event_whose_cause_is_found_calls_for_no_full_walk_soon() -> None:
    looks = listed_once()
    looks.event("upload")
    assert looks.look(found_something=True) is Walking.USUAL
    looks.wait(30)
    assert looks.look() is Walking.NOTHING


def test_an_event_whose_cause_is_not_found_calls_for_a_full_walk_within_seconds() -> None:
    looks = listed_once()
    looks.event("overwrite")
    assert looks.look() is Walking.USUAL
    assert looks.next() <= 1
    looks.wait(looks.next())
    assert looks.look() is Walking.FULL


def test_an_overwrite_among_uploads_is_seen_within_ten_minutes() -> None:
    looks = listed_once()
    began = looks.now
    for number in range(600):
        looks.event(str(number))
        if looks.look(found_something=True) is Walking.FULL:
            break
        looks.wait(1.5)
    assert looks.now - began <= 605


@given(
    st.lists(st.tuples(st.floats(0.01, 3), st.booleans()), min_size=50, max_size=300),
    st.sampled_from([0.5, 5.0, 30.0]),
)
def test_however_many_events_come_looks_are_a_second_apart_and_full_walks_a_small_part_of_the_time(
    events: list[tuple[float, bool]], full_seconds: float
) -> None:
    looks = Looks(full_seconds=full_seconds)
    looks.look()
    for number, (pause, found_something) in enumerate(events):
        looks.wait(pause)
        looks.event(str(number))
        looks.look(found_something=found_something)
    moments = [at for at, _ in looks.done]
    assert all(after - before >= 1 for before, after in pairwise(moments))
    full = [at for at, walking in looks.done if walking is Walking.FULL]
    assert all(b - a >= max(60, 20 * full_seconds) for a, b in pairwise(full))


def test_a_look_that_fails_leaves_its_reason_standing() -> None:
    looks = listed_once()
    looks.event("overwrite")
    looks.look()
    looks.wait(1)
    assert looks.look(fails=True) is Walking.FULL
    assert looks.look() is Walking.NOTHING
    looks.wait(1)
    assert looks.look() is Walking.FULL
    assert looks.next() > 30


def test_events_do_not_shorten_the_growing_pause_after_failures() -> None:
    looks = listed_once()
    for number in range(4000):
        looks.event(str(number))
        looks.look(fails=True)
        looks.wait(0.5)
    tries = [at for at, _ in looks.done[2:]]
    pauses = [after - before for before, after in pairwise(tries)]
    assert [round(pause) for pause in pauses[:5]] == [1, 2, 4, 8, 16]
    assert max(pauses) <= 302
    assert len(tries) < 16
    looks.wait(looks.next())
    assert looks.look() is not Walking.NOTHING
    looks.event("after")
    looks.wait(1)
    assert looks.look() is not Walking.NOTHING, "one that succeeds ends it"


def test_an_edit_of_the_spec_does_not_wait_for_the_pause_after_failures() -> None:
    looks = listed_once()
    for _ in range(8):
        looks.wait(max(looks.next(), 60))
        looks.look(fails=True)
    looks.wait(2)
    assert looks.look() is Walking.NOTHING
    looks.due = replace(looks.due, generation=2)
    assert looks.look() is not Walking.NOTHING
