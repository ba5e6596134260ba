"""The webhook's objects find their sources: those that are known, and those that are younger than the last list."""

from __future__ import annotations

import asyncio

import pytest

from fineline_operator.api import Forbidden, Unavailable
from fineline_operator.uploads.messages import ObjectName
from support.uploads import PlayedApi, counted, soon, uploads


def one(key: str, bucket: str = "a") -> frozenset[ObjectName]:
    return frozenset([ObjectName(bucket, key)])


def test_the_first_notice_lists_the_sources_and_wakes_its_own() -> None:
    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/")
        api.add("other", "s3://a/amber-2/")
        async with uploads(api) as parts:
            assert not api.lists, "nothing is listed while nothing comes"
            before = counted("webhook", "woken")
            assert parts.arrivals.take(one("amber/step1/x"))
            await soon(lambda: api.woken, "amber woken")
            assert parts.arrivals.take(one("amber/step1/y"))
            await soon(lambda: counted("webhook", "woken") == before + 2, "both counted")
        assert set(api.names) == {"amber"}

    asyncio.run(run())


def test_a_source_that_is_younger_than_the_last_list_is_woken_after_the_next() -> None:
    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/")
        async with uploads(api) as parts:
            parts.arrivals.take(one("amber/x"))
            await soon(lambda: api.woken, "amber woken")
            api.add("young", "s3://a/young/")
            parts.arrivals.take(one("young/x"))
            assert "young" not in api.names
            await soon(lambda: "young" in api.names, "the young one woken", seconds=1)
            assert parts.arrivals.waiting == 0

    asyncio.run(run())


def test_a_source_that_shares_the_objects_of_a_known_one_is_found_within_a_list() -> None:
    async def run() -> None:
        api = PlayedApi()
        api.add("all", "s3://a/")
        async with uploads(api) as parts:
            parts.arrivals.take(one("amber/x"))
            await soon(lambda: api.woken, "the first woken")
            api.add("amber", "s3://a/amber/")

            def upload_more() -> bool:
                parts.arrivals.take(one("amber/x"))
                return "amber" in api.names

            await soon(upload_more, "amber woken", seconds=2)

    asyncio.run(run())


def test_foreign_notices_make_ever_fewer_lists() -> None:
    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/")
        async with uploads(api) as parts:
            before = counted("webhook", "no_source")
            end = asyncio.get_running_loop().time() + 1.5
            sent = 0
            while asyncio.get_running_loop().time() < end:
                sent += parts.arrivals.take(one(f"foreign/{sent}", bucket="b"))
                await asyncio.sleep(0.001)
            await soon(lambda: parts.arrivals.waiting == 0, "all of them matched")
            assert counted("webhook", "no_source") == before + sent
            assert 2 <= len(api.lists) <= 14, "after 0.02, 0.04, 0.08, 0.16 s and then every 0.2 s"
        assert not api.woken

    asyncio.run(run())


def test_no_more_than_so_many_objects_wait() -> None:
    async def run() -> None:
        api = PlayedApi(error=Unavailable("no answer"))
        async with uploads(api, max_waiting=100) as parts:
            taken = [parts.arrivals.take(one(f"amber/{at}")) for at in range(1_000)]
            assert taken == [True] * 100 + [False] * 900
            api.add("amber", "s3://a/amber/")
            api.error = None
            await soon(lambda: parts.arrivals.waiting == 0, "those that waited are seen to")
            assert set(api.names) == {"amber"}
            assert parts.arrivals.take(one("amber/again"))

    asyncio.run(run())


def test_known_sources_are_woken_while_sources_can_t_be_listed() -> None:
    async def run() -> None:
        api = PlayedApi()
        api.add("amber", "s3://a/amber/")
        async with uploads(api, every=0.01) as parts:
            parts.arrivals.take(one("amber/x"))
            await soon(lambda: api.woken, "amber woken")
            api.forbidden[""] = Forbidden("no right to list")
            await asyncio.sleep(0.3)
            parts.arrivals.take(one("amber/y"))
            await soon(lambda: len(api.woken) >= 2, "amber woken again")

    asyncio.run(run())


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_namespaces_that_may_not_be_listed_keep_no_other_from_being_woken(gone: int) -> None:
    async def run() -> None:
        api = PlayedApi()
        names = ("one", "two")
        for namespace in names:
            api.add(namespace, "s3://a/amber/", namespace=namespace)
        api.add("three", "s3://a/amber/", namespace="three")
        for namespace in names[:gone]:
            api.forbidden[namespace] = Forbidden("it is gone")
        async with uploads(api, *names) as parts:
            parts.arrivals.take(one("amber/x"))
            if gone == 2:
                await asyncio.sleep(0.2)
                assert parts.arrivals.waiting == 1
                api.forbidden.clear()
            await soon(lambda: api.woken, "one woken")
        assert set(api.names) == set(names[gone % 2 if gone == 1 else 0 :])

    asyncio.run(run())
