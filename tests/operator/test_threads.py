"""Threads for calls that block: a few for each lane."""

from __future__ import annotations

import asyncio
import threading
import time

from fineline_operator import logs
from fineline_operator.threads import THREADS, Threads


def test_a_lane_that_hangs_holds_up_no_other_lane() -> None:
    async def run() -> None:
        threads, let_go = Threads(), threading.Event()
        hanging = [asyncio.create_task(threads.run("slow", let_go.wait, 30)) for _ in range(3 * THREADS)]
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(threads.run("quick", lambda: "done"), 5) == "done"
        let_go.set()
        await asyncio.gather(*hanging)
        threads.close()

    asyncio.run(run())


def test_a_lane_has_no_more_threads_than_allowed() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    async def run() -> None:
        threads = Threads(threads=3)
        await asyncio.gather(*(threads.run("lane", work) for _ in range(20)))
        threads.close()

    asyncio.run(run())
    assert most == 3


def test_what_a_call_raises_is_raised_where_it_was_asked_for() -> None:
    def fails() -> None:
        raise ValueError("the fault of this test")

    async def run() -> str:
        threads = Threads()
        try:
            await threads.run("lane", fails)
        except ValueError as error:
            return str(error)
        finally:
            threads.close()
        return ""

    assert asyncio.run(run()) == "the fault of this test"


def test_a_lane_without_work_keeps_no_threads() -> None:
    async def run() -> None:
        threads = Threads(idle_seconds=0.05)
        before = threading.active_count()
        await threads.run("lane", time.sleep, 0)
        assert threads.lanes == 1
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not threads.lanes and threading.active_count() <= before:
                return
        raise AssertionError("the lane's threads are still there")

    asyncio.run(run())


def test_a_call_in_a_thread_knows_what_it_is_about() -> None:
    async def run() -> object:
        threads = Threads()
        with logs.about("CheckpointEval", "evals", "a"):
            found = await threads.run("lane", logs._subject.get)
        threads.close()
        return found

    assert asyncio.run(run()) == ("CheckpointEval", "evals", "a")
