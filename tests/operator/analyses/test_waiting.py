"""Hours of results, in a simulated world: when analyses start, how many there are, and that none is missed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.analysing import World

HOUR = 3600.0
SKEWS = (0.0, HOUR, -HOUR, 90.0, -90.0)


def all_of(world: World) -> frozenset[str]:
    return frozenset(f"commit-{number}" for number in range(len(world.commits)))


def assert_settled(world: World) -> None:
    """Everything there is, is analysed, and told so."""
    assert world.analysed[-1][1] == all_of(world)
    assert (world.reason, world.latest is not None) == ("UpToDate", True)
    assert world.status.inputs_digest == world.latest.digest  # type: ignore[union-attr]


def assert_never_too_late(world: World, bound: float) -> None:
    """Each result is in an analysis whose Job was made within so many seconds, or right after a Job that ran then."""
    for number, came in enumerate(world.commits):
        first = next(
            start for start, (_, names) in zip(world.starts, world.analysed, strict=True) if f"commit-{number}" in names
        )
        before = max((pod.ends_at for pod in world.pods if pod.ends_at <= first), default=-1.0)
        assert first - came <= bound or first - before <= 1.0, f"{came}: {first - came} s"


@pytest.mark.parametrize("skew", SKEWS)
def test_results_that_come_steadily_for_an_hour_are_analysed_every_longest_wait(skew: float) -> None:
    world = World(tuple(range(0, 3600, 20)), debounce=120, max_wait=900, skew=skew).run(3 * HOUR)
    assert_settled(world)
    gaps = [later - earlier for earlier, later in zip(world.starts, world.starts[1:], strict=False)]
    assert 4 <= len(world.starts) <= 6, world.starts
    assert all(gap <= 900 + 60 for gap in gaps), gaps
    # By a wrong clock it can't be told which results came while a Job ran.
    assert_never_too_late(world, 900 + 5 + 10 + (40 if skew else 0))


@pytest.mark.parametrize("skew", SKEWS)
def test_a_burst_gives_one_analysis(skew: float) -> None:
    quiet = World((0.0,), skew=skew).run(HOUR)
    assert len(quiet.starts) == 1
    quiet.commits = (0.0, *(HOUR + 7 * number for number in range(30)))
    quiet.run(2 * HOUR)
    assert len(quiet.starts) == 2, quiet.starts
    assert quiet.starts[1] >= quiet.commits[-1] + (quiet.debounce - 10 if skew == 0 else 0)
    assert_settled(quiet)


def test_a_store_whose_clock_is_an_hour_ahead_makes_nobody_wait_an_hour() -> None:
    world = World((0.0,), skew=HOUR).run(HOUR)
    assert world.starts[0] <= 5 + world.debounce + 1


def test_results_that_were_there_before_are_analysed_at_once() -> None:
    world = World((0.0,), woken=False)
    world.now = world.due = HOUR
    world.run(HOUR + 1)
    assert world.starts == [HOUR]


def test_without_any_event_new_results_are_seen_within_minutes() -> None:
    world = World((0.0, 5000.0), woken=False).run(3 * HOUR)
    assert_settled(world)
    assert_never_too_late(world, 300 + world.debounce + 1)


def test_while_nothing_comes_nothing_is_done_but_a_listing_now_and_then() -> None:
    world = World((0.0,)).run(10 * HOUR)
    assert len(world.starts) == 1
    assert len(world.listings) <= 10 * 12 + 5


def test_an_analysis_that_fails_each_time_is_tried_no_more_often_than_one_that_does_not() -> None:
    steady = tuple(range(0, 3600, 20))
    failing = World(steady, max_wait=900, fails=lambda _: True).run(3 * HOUR)
    assert len(failing.starts) <= 6, failing.starts
    assert failing.reason == "AnalysisFailed"
    told = [item.event.reason for item in failing.events]
    assert told.count("AnalysisFailed") == len(failing.starts)


def test_an_operator_that_is_restarted_often_tries_a_failing_analysis_no_more_often() -> None:
    restarts = [(float(at), World.restart) for at in range(150, 3600, 150)]
    world = World(tuple(range(0, 3600, 20)), max_wait=900, fails=lambda _: True).run(HOUR, disturbances=restarts)
    assert len(world.starts) <= 5, world.starts


def test_an_edit_makes_a_new_analysis_of_the_same_results() -> None:
    world = World((0.0,)).run(HOUR)
    world.edit(settings="s2")
    world.run(2 * HOUR)
    assert len(world.starts) == 2
    world.edit(debounce=5)
    world.edit(max_wait=5000)
    world.run(3 * HOUR)
    assert len(world.starts) == 2
    assert_settled(world)


def test_a_failed_one_is_repeated_after_any_edit() -> None:
    world = World((0.0,), fails=lambda number: number == 0).run(HOUR)
    assert (len(world.starts), world.reason) == (1, "AnalysisFailed")
    world.edit(debounce=60)
    world.run(2 * HOUR)
    assert_settled(world)


def test_what_came_while_suspended_is_analysed_when_it_goes_on() -> None:
    world = World((0.0, 4000.0)).run(HOUR)
    world.edit(suspend=True)
    world.run(3 * HOUR)
    assert (len(world.starts), world.reason) == (1, "Suspended")
    world.edit(suspend=False)
    world.run(4 * HOUR)
    assert_settled(world)
    assert len(world.starts) == 2


def test_results_that_go_and_come_again_are_analysed_each_time() -> None:
    # A result that can't be read is put there, deleted, put there again by another hand, and deleted.
    world = World((0.0, HOUR, 3 * HOUR), lost={1: 2 * HOUR, 2: 4 * HOUR}).run(5 * HOUR)
    world.commits, world.lost = (*world.commits, 5 * HOUR), {**world.lost, 3: 6 * HOUR}
    world.run(7 * HOUR)
    assert [len(names) for _, names in world.analysed] == [1, 2, 1, 2, 1, 2, 1]
    assert world.reason == "UpToDate"
    told = [item.event.reason for item in world.events]
    assert "AnalysisFailed" not in told


def test_the_same_two_sets_in_turn_are_analysed_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One result that is deleted and put back as it was, again and again."""
    world = World((0.0, 0.0))
    there = World._names
    monkeypatch.setattr(World, "_names", lambda self, until: there(self, until)[: 1 + int(until // HOUR) % 2])
    world.run(6.9 * HOUR)
    assert [len(names) for _, names in world.analysed] == [1, 2, 1, 2, 1, 2, 1]
    assert world.reason == "UpToDate"


def test_analyses_that_are_deleted_are_made_again_each_time() -> None:
    deleted = [(HOUR, World.delete_analyses), (2 * HOUR, World.delete_analyses), (3 * HOUR, World.delete_analyses)]
    world = World((0.0,)).run(4 * HOUR, disturbances=deleted)
    assert_settled(world)
    assert len(world.starts) == 4


@pytest.mark.parametrize("after_seconds", [0.0, 20.0, 1000.0])
def test_an_older_analysis_that_is_put_over_the_newest_is_replaced(after_seconds: float) -> None:
    world = World((0.0,)).run(HOUR)
    (end,) = (pod.ends_at for pod in world.pods)
    again = World((0.0,)).run(HOUR, disturbances=[(end + after_seconds, World.put_older_analysis)])
    assert_settled(again)
    assert len(again.starts) == 2


def test_pods_that_read_another_store_are_not_tried_for_ever() -> None:
    world = World((0.0,), reads_elsewhere=True).run(10 * HOUR)
    assert len(world.starts) == 2
    assert world.reason == "AnalysisFailed"


def gaps_of(world: World) -> list[float]:
    return [later - earlier for earlier, later in zip(world.listings, world.listings[1:], strict=False)]


def test_results_that_come_every_few_seconds_are_not_listed_every_few_seconds() -> None:
    world = World(tuple(range(0, 1800, 4)), debounce=6, max_wait=1800).run(2000)
    assert_settled(world)
    gaps = gaps_of(world)
    assert len(world.listings) <= 1900 / 10 + 5
    # The analysis that starts at the latest looks once more, and so does whoever sees a Job end.
    assert sum(gap < 10 for gap in gaps) <= 2 * len(world.starts), sorted(gaps)[:5]


@pytest.mark.parametrize("seconds", [2.0, 8.0, 14.0])
def test_no_more_than_a_twentieth_of_the_time_goes_into_listings(seconds: float) -> None:
    world = World(tuple(range(0, 7200, 4)), debounce=6, max_wait=3600, listing_seconds=seconds).run(7200)
    share = seconds * len(world.listings) / 7200
    spared = 3 * len(world.starts)  # at the latest start, and after each Job
    assert seconds * (len(world.listings) - spared) / 7200 <= 1 / 20, share
    assert len(world.starts) >= 1


@pytest.mark.parametrize("by", [-HOUR, HOUR, -30.0])
@pytest.mark.parametrize("woken", [True, False])
def test_an_operator_s_clock_that_jumps_makes_nobody_wait(by: float, *, woken: bool) -> None:
    def jump(world: World) -> None:
        world.ahead += by

    world = World((0.0, 4000.0, 4020.0, 9000.0), woken=woken, max_wait=600)
    world.run(2 * HOUR, disturbances=[(3990.0, jump)])
    assert world.again_after <= 300
    assert len(world.analysed[-1][1]) == 3
    world.run(3 * HOUR, disturbances=[(9010.0, jump)])
    assert_settled(world)
    assert_never_too_late(world, 600 + 300 + 10)


DISTURBANCES: dict[str, Callable[[World], None]] = {
    "restart": World.restart,
    "killed before the status": lambda world: world.look(dies=True),
    "the Job is deleted": World.delete_running,
    "woken for nothing": World.look,
    "the analyses are deleted": World.delete_analyses,
    "an older analysis is put there": World.put_older_analysis,
}


@settings(max_examples=60)
@given(
    commits=st.lists(st.integers(0, 3000), min_size=1, max_size=25, unique=True),
    disturbances=st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(sorted(DISTURBANCES))), max_size=12),
    skew=st.sampled_from(SKEWS),
    debounce=st.sampled_from([0, 1, 120, 600]),
    wait=st.sampled_from([0, 60, 600, 1500]),
    seconds=st.sampled_from([4.0, 40.0, 1000.0]),
    woken=st.booleans(),
)
def test_whatever_comes_between_all_results_are_analysed_in_time_and_one_job_runs_at_a_time(
    commits: list[int],
    disturbances: list[tuple[int, str]],
    skew: float,
    debounce: int,
    wait: int,
    seconds: float,
    *,
    woken: bool,
) -> None:
    longest = debounce + wait
    world = World(
        tuple(sorted(map(float, commits))),
        debounce=debounce,
        max_wait=longest,
        skew=skew,
        woken=woken,
        seconds_of=lambda _: seconds,
    )
    # The world itself asserts that two Jobs are never there at once, and that no Job is made twice.
    world.run(3 * HOUR, disturbances=[(float(at), DISTURBANCES[what]) for at, what in disturbances])
    assert_settled(world)
    if not any(what != "woken for nothing" for _, what in disturbances):
        assert_never_too_late(world, longest + (10 if woken else 300) + 5 + (seconds if skew else 0))


@settings(max_examples=40)
@given(
    commits=st.lists(st.integers(0, 3600), min_size=1, max_size=30, unique=True),
    failing=st.sets(st.integers(0, 20)),
    restarts=st.lists(st.integers(0, 5000), max_size=6),
)
def test_failures_are_each_told_once_and_never_repeated_without_a_reason(
    commits: list[int], failing: set[int], restarts: list[int]
) -> None:
    world = World(tuple(sorted(map(float, commits))), fails=lambda number: number in failing)
    world.run(3 * HOUR, disturbances=[(float(at), World.restart) for at in restarts])
    failed = [pod for pod in world.pods if pod.fails]
    told = [item for item in world.events if item.event.reason == "AnalysisFailed"]
    assert len({item.occasion for item in told}) == len(failed)
    assert world.reason == ("AnalysisFailed" if world.pods[-1].fails else "UpToDate")
