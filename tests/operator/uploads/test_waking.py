"""Sources are woken by an annotation: coalesced, never lost, bounded."""

from __future__ import annotations

import asyncio
import itertools
from typing import cast

import pytest

from fineline_operator.api import Api, Forbidden, Invalid, Unavailable
from fineline_operator.uploads.mapping import SourceName
from fineline_operator.uploads.waking import IN_FLIGHT, Waker
from support.uploads import PlayedApi, soon

EVERY = 0.1


def waker_of(api: PlayedApi) -> Waker:
    return Waker(cast("Api", api), every_seconds=EVERY)


def test_however_many_events_come_a_source_is_patched_at_once_and_then_once_a_while() -> None:
    async def run() -> None:
        api = PlayedApi()
        amber = api.add("amber", "s3://a/amber/")
        waker = waker_of(api)
        end = asyncio.get_running_loop().time() + EVERY * 5.5
        events = 0
        while asyncio.get_running_loop().time() < end:
            waker.wake([amber] * 20)
            events += 20
            await asyncio.sleep(0)
        await waker.stop()
        times = [when for _, when in api.woken]
        assert events > 1_000
        assert 2 <= len(times) <= 7
        assert all(later - earlier >= EVERY * 0.9 for earlier, later in itertools.pairwise(times))
        assert times[-1] >= end - EVERY / 2, "the last event is followed by a patch"
        assert len(set(api.values)) == len(times), "each patch has a value of its own"
        assert len(waker) == 0

    asyncio.run(run())


def test_what_comes_while_a_patch_is_under_way_is_patched_after_it() -> None:
    async def run() -> None:
        api = PlayedApi()
        amber = api.add("amber", "s3://a/amber/")
        waker = waker_of(api)
        api.open.clear()
        waker.wake([amber])
        await soon(lambda: api.under_way, "a patch under way")
        waker.wake([amber])
        waker.wake([amber])
        await asyncio.sleep(EVERY * 2)
        assert api.under_way == 1
        api.open.set()
        await waker.stop()
        assert api.names == ["amber", "amber"]

    asyncio.run(run())


def test_many_sources_are_woken_side_by_side_but_never_more_than_a_few_at_once() -> None:
    async def run() -> None:
        api = PlayedApi()
        sources = [api.add(f"run-{at}", f"s3://a/{at}/") for at in range(100)]
        waker = waker_of(api)
        api.open.clear()
        waker.wake(sources)
        await asyncio.sleep(0.05)
        api.open.set()
        await waker.woken(sources)
        await waker.stop()
        assert set(api.names) == {source.name for source in sources}
        assert api.most_under_way == IN_FLIGHT

    asyncio.run(run())


@pytest.mark.parametrize("error", [Unavailable("no answer"), Forbidden("not yet")])
def test_while_the_api_server_is_away_names_are_kept_and_woken_after(error: Unavailable | Forbidden) -> None:
    async def run() -> None:
        api = PlayedApi(error=error)
        sources = [api.add(f"run-{at}", f"s3://a/{at}/") for at in range(20)]
        waker = waker_of(api)
        waiting = asyncio.create_task(waker.woken(sources))
        for _ in range(1_000):
            waker.wake(sources)
        await asyncio.sleep(EVERY * 3)
        assert not waiting.done()
        assert not api.woken
        assert len(waker) == 20
        api.error = None
        await asyncio.wait_for(waiting, 10)
        assert set(api.names) == {source.name for source in sources}
        await waker.stop()

    asyncio.run(run())


@pytest.mark.parametrize("error", [None, Invalid("a webhook refused it")])
def test_a_source_that_is_gone_or_can_t_be_patched_keeps_nobody_waiting(error: Invalid | None) -> None:
    async def run() -> None:
        api = PlayedApi(error=error)
        waker = waker_of(api)
        await asyncio.wait_for(waker.woken([SourceName("evals", "gone")]), 5)
        await waker.stop()
        assert len(waker) == 0

    asyncio.run(run())


def test_who_waits_is_told_only_of_a_patch_that_began_after_it_asked() -> None:
    async def run() -> None:
        api = PlayedApi()
        amber = api.add("amber", "s3://a/amber/")
        waker = waker_of(api)
        api.open.clear()
        waker.wake([amber])
        await soon(lambda: api.under_way, "a patch under way")
        waiting = asyncio.create_task(waker.woken([amber]))
        await asyncio.sleep(0)
        api.open.set()
        await soon(lambda: api.woken, "the first patch")
        await asyncio.sleep(EVERY / 4)
        assert not waiting.done()
        await waiting
        assert len(api.woken) == 2
        await waker.stop()

    asyncio.run(run())


def test_a_stop_wakes_what_is_still_to_be_woken_and_waits_for_no_dead_api_server() -> None:
    async def run() -> None:
        api = PlayedApi()
        amber = api.add("amber", "s3://a/amber/")
        waker = waker_of(api)
        waker.wake([amber])
        await waker.stop()
        assert api.names == ["amber"]

        waker = waker_of(api)
        api.error = Unavailable("no answer")
        waker.wake([amber])
        await asyncio.wait_for(waker.stop(0.1), 2)
        assert len(waker) == 0

    asyncio.run(run())
