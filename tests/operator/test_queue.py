"""The queue, in simulated time: what is woken is looked at, once at a time, and nobody waits for a slow lane."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline_operator.api_errors import TooMany
from fineline_operator.queue import MAX_BACKOFF_SECONDS, PER_LANE, Backoff, Key, Queue
from support import simulated_time

_queues: list[Queue] = []


def key(name: str, namespace: str = "evals") -> Key:
    return Key("CheckpointEval", namespace, name)


def queue(
    reconcile: Callable[[Key], Awaitable[float | None]],
    *,
    unfinished: Callable[[Key], bool] = lambda _: False,
    resync_seconds: float = 300.0,
    all_lanes: int = 256,
) -> Queue:
    """A started queue whose lanes are the namespaces."""
    made = Queue(
        reconcile,
        lane_of=lambda key: key.namespace,
        unfinished=unfinished,
        resync_seconds=resync_seconds,
        all_lanes=all_lanes,
    )
    made.start()
    _queues.append(made)
    return made


def simulated(test: Callable[[], Awaitable[None]]) -> None:
    """Runs the test in simulated time, and ends its queues before the loop ends."""

    async def whole() -> None:
        try:
            await test()
        finally:
            while _queues:
                await _queues.pop().stop(within=0.1)

    simulated_time.run(whole())


class Looks:
    """A reconcile that notes when it was called for what, takes `seconds`, and then does what it was told."""

    def __init__(self, seconds: float = 0.0, outcome: Callable[[Key], float | None] = lambda _: None) -> None:
        self.seconds = seconds
        self.outcome = outcome
        self.times: dict[Key, list[float]] = {}
        self.running: Counter[Key] = Counter()
        self.most_at_once: Counter[str] = Counter()

    async def __call__(self, key: Key) -> float | None:
        self.times.setdefault(key, []).append(asyncio.get_running_loop().time())
        self.running[key] += 1
        assert self.running[key] == 1, f"{key} is looked at twice at once"
        in_lane = sum(count for other, count in self.running.items() if other.namespace == key.namespace)
        self.most_at_once[key.namespace] = max(self.most_at_once[key.namespace], in_lane)
        try:
            await asyncio.sleep(self.seconds)
            return self.outcome(key)
        finally:
            del self.running[key]


def test_many_wakes_before_a_look_are_one_look() -> None:
    async def run() -> None:
        looks = Looks()
        work = queue(looks)
        for _ in range(100):
            work.wake(key("a"))
        await asyncio.sleep(1)
        assert len(looks.times[key("a")]) == 1
        assert len(work) == 0

    simulated(run)


def test_a_key_that_is_woken_while_it_is_looked_at_is_looked_at_again_after() -> None:
    async def run() -> None:
        looks = Looks(seconds=10)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(1)
        work.wake(key("a"))
        work.wake(key("a"))
        await asyncio.sleep(60)
        assert looks.times[key("a")] == [0.0, 10.0]

    simulated(run)


@pytest.mark.parametrize("outcome", [lambda _: 300.0, lambda _: 1 / 0])
def test_what_comes_of_a_look_during_which_the_object_went_calls_for_no_other(
    outcome: Callable[[Key], float | None],
) -> None:
    async def run() -> None:
        looks = Looks(seconds=10, outcome=outcome)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(1)
        work.forget(key("a"))
        await asyncio.sleep(3600)
        assert looks.times[key("a")] == [0.0]
        assert len(work) == 0

    simulated(run)


def test_one_that_is_made_anew_while_its_forerunner_is_looked_at_is_looked_at_after() -> None:
    async def run() -> None:
        looks = Looks(seconds=10, outcome=lambda _: 60.0)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(1)
        work.forget(key("a"))
        work.wake(key("a"))
        await asyncio.sleep(85)
        assert looks.times[key("a")] == [0.0, 10.0, 80.0]

    simulated(run)


def test_the_earliest_of_several_delayed_wakes_counts() -> None:
    async def run() -> None:
        looks = Looks()
        work = queue(looks)
        for delay in (30.0, 5.0, 60.0):
            work.wake(key("a"), delay)
        await asyncio.sleep(120)
        assert looks.times[key("a")] == [5.0]

    simulated(run)


def test_a_wake_without_delay_takes_the_place_of_a_delayed_one() -> None:
    async def run() -> None:
        looks = Looks()
        work = queue(looks)
        work.wake(key("a"), 30.0)
        work.wake(key("a"))
        await asyncio.sleep(60)
        assert looks.times[key("a")] == [0.0]

    simulated(run)


def test_a_look_says_when_the_next_one_is_due() -> None:
    async def run() -> None:
        looks = Looks(outcome=lambda _: 60.0)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(150)
        assert looks.times[key("a")] == [0.0, 60.0, 120.0]

    simulated(run)


def test_failures_are_tried_again_with_growing_pauses_until_one_succeeds() -> None:
    async def run() -> None:
        def outcome(_: Key) -> None:
            if len(looks.times[key("a")]) < 12:
                raise RuntimeError("the fault of this test")

        looks = Looks(outcome=outcome)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(7200)
        times = looks.times[key("a")]
        assert len(times) == 12
        for number, (before, after) in enumerate(pairwise(times)):
            longest = min(2.0**number, MAX_BACKOFF_SECONDS)
            assert 0.7 * longest <= after - before <= longest
        assert len(work) == 0

    simulated(run)


def test_a_success_ends_the_growth_of_pauses() -> None:
    async def run() -> None:
        def outcome(_: Key) -> None:
            if len(looks.times[key("a")]) != 5:
                raise Backoff("a passing fault")

        looks = Looks(outcome=outcome)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(60)
        assert len(looks.times[key("a")]) == 5
        work.wake(key("a"))
        await asyncio.sleep(2)
        assert len(looks.times[key("a")]) == 7, "the first pause is a second again"

    simulated(run)


def test_the_api_servers_wish_to_be_left_alone_is_kept() -> None:
    async def run() -> None:
        def outcome(_: Key) -> None:
            if len(looks.times[key("a")]) == 1:
                raise TooMany("later", status=429, retry_after=90)

        looks = Looks(outcome=outcome)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(300)
        assert looks.times[key("a")] == [0.0, 90.0]

    simulated(run)


def test_an_unfinished_key_is_looked_at_again_without_any_event_and_a_finished_one_is_not() -> None:
    async def run() -> None:
        looks = Looks()
        open_keys = {key("open")}
        work = queue(looks, unfinished=open_keys.__contains__, resync_seconds=100)
        work.wake(key("open"))
        work.wake(key("ended"))
        await asyncio.sleep(450)
        assert 5 <= len(looks.times[key("open")]) <= 6
        assert len(looks.times[key("ended")]) == 1
        open_keys.clear()
        await asyncio.sleep(300)
        assert len(looks.times[key("open")]) <= 6
        assert len(work) == 0

    simulated(run)


def test_resyncs_of_many_keys_are_spread() -> None:
    async def run() -> None:
        looks = Looks()
        work = queue(looks, unfinished=lambda _: True, resync_seconds=100)
        for number in range(1000):
            work.wake(key(str(number)))
        await asyncio.sleep(101)
        seconds = Counter(int(times[1]) for times in looks.times.values())
        assert max(seconds.values()) < 200

    simulated(run)


def test_a_lane_that_hangs_delays_no_other_lane() -> None:
    async def run() -> None:
        async def reconcile(key: Key) -> None:
            if key.namespace.startswith("slow"):
                await asyncio.sleep(60)
            await looks(key)

        looks = Looks()
        work = queue(reconcile, all_lanes=32)
        for lane in range(10):
            for number in range(100):
                work.wake(key(str(number), f"slow-{lane}"))
        for number in range(100):
            work.wake(key(str(number), "quick"))
        await asyncio.sleep(2)
        assert len([key for key in looks.times if key.namespace == "quick"]) == 100
        assert not any(key.namespace.startswith("slow") for key in looks.times)

    simulated(run)


def test_lanes_take_turns_however_much_waits_in_one() -> None:
    async def run() -> None:
        order: list[str] = []

        async def reconcile(key: Key) -> None:
            order.append(key.namespace)
            await asyncio.sleep(1)

        work = queue(reconcile)
        for number in range(500):
            work.wake(key(str(number), "many"))
        for number in range(5):
            work.wake(key(str(number), "few"))
        await asyncio.sleep(0.5)
        assert order[:10] == ["many", "few"] * 5
        assert len(order) == 5 + PER_LANE

    simulated(run)


def test_nothing_is_looked_at_before_the_start() -> None:
    async def run() -> None:
        looks = Looks()
        work = Queue(looks, lane_of=lambda _: "", unfinished=lambda _: False, resync_seconds=300)
        work.wake(key("a"))
        await asyncio.sleep(10)
        assert not looks.times
        work.start()
        await asyncio.sleep(1)
        assert looks.times[key("a")] == [10.0]

    simulated(run)


def test_a_forgotten_key_is_not_tried_again() -> None:
    async def run() -> None:
        def outcome(_: Key) -> None:
            raise Backoff("always")

        looks = Looks(outcome=outcome)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(0.1)
        work.forget(key("a"))
        await asyncio.sleep(600)
        assert looks.times[key("a")] == [0.0]
        assert len(work) == 0

    simulated(run)


def test_a_stop_waits_for_what_runs_and_starts_nothing_more() -> None:
    async def run() -> None:
        ended: list[Key] = []

        async def reconcile(key: Key) -> None:
            await asyncio.sleep(5)
            ended.append(key)

        work = queue(reconcile)
        for number in range(2 * PER_LANE):
            work.wake(key(str(number)))
        await asyncio.sleep(1)
        await work.stop(within=10)
        assert asyncio.get_running_loop().time() == 5.0
        assert len(ended) == PER_LANE

    simulated(run)


def test_a_stop_cancels_what_takes_too_long() -> None:
    async def run() -> None:
        looks = Looks(seconds=3600)
        work = queue(looks)
        work.wake(key("a"))
        await asyncio.sleep(1)
        await work.stop(within=10)
        assert asyncio.get_running_loop().time() == 11.0
        assert not looks.running[key("a")]

    simulated(run)


def test_ten_thousand_waiting_keys_need_no_task_each() -> None:
    async def run() -> None:
        looks = Looks(seconds=1)
        work = queue(looks)
        for number in range(10_000):
            work.wake(key(str(number)))
        await asyncio.sleep(0.5)
        assert len(asyncio.all_tasks()) <= PER_LANE + 1
        await asyncio.sleep(10_000 / PER_LANE + 1)
        assert len(looks.times) == 10_000

    simulated(run)


Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(st.sampled_from(["wake", "later", "sleep"]), st.integers(0, 5), st.floats(0.0, 20.0)), max_size=60
)


@given(steps=STEPS, seconds=st.floats(0.0, 5.0), failing=st.integers(0, 4), seed=st.integers(0, 1000))
def test_every_wake_is_followed_by_a_look_and_no_key_is_looked_at_twice_at_once(
    steps: list[Step], seconds: float, failing: int, seed: int
) -> None:
    """`Looks` asserts that nothing runs twice at once; here: nothing that was asked for is lost."""
    random.seed(seed)
    failures: Counter[Key] = Counter()

    def outcome(looked: Key) -> None:
        if failures[looked] < failing:
            failures[looked] += 1
            raise Backoff("a passing fault")

    async def run() -> None:
        loop = asyncio.get_running_loop()
        looks = Looks(seconds, outcome)
        work = queue(looks, all_lanes=2)
        asked: dict[Key, float] = {}
        for what, number, pause in steps:
            target = key(str(number), f"lane-{number % 3}")
            match what:
                case "sleep":
                    await asyncio.sleep(pause)
                case "wake":
                    work.wake(target)
                    asked[target] = loop.time()
                case _:
                    work.wake(target, pause)
                    asked.setdefault(target, loop.time())
        await asyncio.sleep(3600)
        assert work.idle
        assert len(work) == 0
        for target, when in asked.items():
            assert max(looks.times[target]) >= when
        assert all(failures[target] == failing for target in asked)
        assert all(most <= PER_LANE for most in looks.most_at_once.values())

    simulated(run)


def test_an_error_of_one_key_is_logged_with_its_name_and_leaves_the_others_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        def outcome(looked: Key) -> None:
            if looked.name == "bad":
                raise ValueError("what nobody thought of")

        looks = Looks(outcome=outcome)
        work = queue(looks)
        work.wake(key("bad"))
        work.wake(key("good"))
        await asyncio.sleep(0.5)
        assert key("good") in looks.times

    simulated(run)
    assert "what nobody thought of" in caplog.text
