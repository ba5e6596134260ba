"""What is read of a namespace's pods and Workloads and shared for a moment."""

from __future__ import annotations

import asyncio

from fineline_operator.evaluations.snapshots import Grouped, Snapshots


class Source:
    """A namespace's items as they are now, and how often they were read."""

    def __init__(self) -> None:
        self.items: Grouped[str] = {"job-1": ("queued",), "job-2": ("queued",)}
        self.reads = 0
        self.now = 0.0
        self.snapshots = Snapshots(self._read, max_age=10, clock=lambda: self.now)

    async def _read(self, _namespace: str) -> Grouped[str]:
        self.reads += 1
        found = dict(self.items)
        await asyncio.sleep(0)
        return found


def test_one_read_serves_all_owners_until_it_is_too_old() -> None:
    async def run() -> None:
        source = Source()
        assert await source.snapshots.of("evals", "job-1") == ("queued",)
        source.items = {"job-1": ("admitted",), "job-2": ("admitted",)}
        assert await source.snapshots.of("evals", "job-2") == ("queued",)
        assert await source.snapshots.of("evals", "job-3") == ()
        source.now = 11
        assert await source.snapshots.of("evals", "job-2") == ("admitted",)
        assert source.reads == 2

    asyncio.run(run())


def test_what_was_written_is_not_taken_back_by_what_was_read_before() -> None:
    async def run() -> None:
        source = Source()
        await source.snapshots.of("evals", "job-1")
        await source.snapshots.put("evals", "job-1", ("switched off",))
        assert await source.snapshots.of("evals", "job-1") == ("switched off",)
        assert await source.snapshots.of("evals", "job-2") == ("queued",)
        assert source.reads == 1

    asyncio.run(run())


def test_what_is_written_while_others_read_stays_written() -> None:
    async def run() -> None:
        source = Source()
        reading = asyncio.create_task(source.snapshots.of("evals", "job-2"))
        await asyncio.sleep(0)
        await source.snapshots.put("evals", "job-1", ("switched off",))
        await reading
        assert await source.snapshots.of("evals", "job-1") == ("switched off",)
        assert source.reads == 1

    asyncio.run(run())


def test_who_doubts_it_has_it_read_anew() -> None:
    async def run() -> None:
        source = Source()
        await source.snapshots.of("evals", "job-1")
        source.items = {"job-1": ("evicted",)}
        source.now = 2
        assert await source.snapshots.of("evals", "job-1", max_age=5) == ("queued",)
        assert await source.snapshots.of("evals", "job-1", max_age=1) == ("evicted",)
        assert source.reads == 2

    asyncio.run(run())


def test_each_namespace_is_read_by_itself() -> None:
    async def run() -> None:
        source = Source()
        await source.snapshots.put("others", "job-1", ("switched off",))
        assert await source.snapshots.of("others", "job-1") == ("queued",)
        assert await source.snapshots.of("evals", "job-1") == ("queued",)
        assert source.reads == 2

    asyncio.run(run())
