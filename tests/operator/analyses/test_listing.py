"""Listings of an analysis's results: what is kept of them, and what comes of stores that fail."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fineline.results import UnitAddress
from fineline.results.analyses import commits_digest, listed_commits
from fineline.store import Store, StoredObject, StoreTable
from fineline_operator.analyses.listing import Listing
from fineline_operator.analyses.observed import Asked, Listed
from fineline_operator.telling.problems import Problem
from fineline_operator.threads import Threads

NAME = "evals.sevens"


def put(store: Store, step: int, run: str = "amber") -> None:
    address = UnitAddress(run, "main", step, "piqa", "0123456789abcdef")
    store.put(address.metrics, b"x")
    store.put(address.samples, b"x")


def look(uri: str, *runs: str, tried: datetime | None = None, told: str = "") -> Listed | Problem:
    async def looked() -> Listed | Problem:
        threads = Threads()
        try:
            asked = Asked(uri, runs, "s1", {}, "t1")
            return await Listing(threads, StoreTable()).listed("evals/evals", NAME, asked, tried, told)
        finally:
            threads.close()

    return asyncio.run(looked())


def listed(store: Store, *runs: str, tried: datetime | None = None, told: str = "") -> Listed:
    found = look(store.uri, *runs, tried=tried, told=told)
    assert isinstance(found, Listed), found
    return found


def test_only_a_digest_a_count_and_two_times_are_kept(store: Store) -> None:
    assert (listed(store).commits, listed(store).newest, listed(store).latest) == (0, None, None)
    for step in (1, 2, 3):
        put(store, step)
    put(store, 1, run="olmo")
    found = listed(store)
    assert (found.commits, found.digest) == (4, commits_digest(listed_commits(store)))
    assert found.newest is not None
    assert found.oldest is not None
    assert found.oldest <= found.newest <= datetime.now(UTC) + timedelta(seconds=2)
    assert (listed(store, "olmo").commits, listed(store, "nobody").commits) == (1, 0)


def test_the_oldest_is_the_oldest_after_the_newest_analysis_and_the_newest_try(directory_store: Store) -> None:
    put(directory_store, 1)
    first = listed(directory_store)
    assert first.newest is not None
    assert listed(directory_store, tried=first.newest).oldest is None
    assert listed(directory_store, tried=first.newest - timedelta(seconds=1)).oldest == first.newest
    publish(directory_store, "d", first.newest)
    put(directory_store, 2)
    found = listed(directory_store)
    assert found.latest is not None, found.unreadable
    assert found.published_at == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert found.oldest == found.newest
    assert found.newest is not None
    assert found.newest > first.newest


def publish(store: Store, digest: str, listed_at: datetime, **states: str) -> None:
    """An analysis, and the pointer to it."""
    verdicts = [{"run": run, "state": state, "message": "m"} for run, state in states.items()]
    manifest = {
        "digest": digest, "settings_digest": "s", "commits_digest": "c", "commits": 1, "runs": 1, "verdicts": verdicts,
        "listed_at": listed_at.isoformat(), "files": [], "report": "r", "settings": {},
    }  # fmt: skip
    folder = f"analyses/{NAME}/{digest}/"
    store.put(f"{folder}manifest.json", json.dumps(manifest).encode())
    latest = {
        "digest": digest, "folder": folder, "settings_digest": "s", "commits_digest": "c",
        "report": f"{folder}report.html", "written_at": "2026-11-21T12:00:00Z",
    }  # fmt: skip
    store.put(f"analyses/{NAME}/latest.json", json.dumps(latest).encode())


def test_the_states_by_the_analysis_that_is_told_are_read_where_another_one_is_the_newest(store: Store) -> None:
    first, second, broken = ("1" * 16, "2" * 16, "3" * 16)
    publish(store, first, datetime.now(UTC), amber="slowing", olmo="improving")
    assert listed(store, told=first).previous == {}
    publish(store, second, datetime.now(UTC), amber="improving")
    assert listed(store, told=first).previous == {"amber": "slowing", "olmo": "improving"}
    assert listed(store).previous == {}
    store.put(f"analyses/{NAME}/{broken}/manifest.json", b"{")
    for told in ("4" * 16, broken, f"../evals.other/{first}", "/etc", "x" * 256):
        assert listed(store, told=told).previous == {}


def test_a_broken_pointer_is_told_and_the_results_are_listed_all_the_same(store: Store) -> None:
    put(store, 1)
    store.put(f"analyses/{NAME}/latest.json", b"\0")
    found = listed(store)
    assert found.commits == 1
    assert "latest.json: not an analysis's" in found.unreadable


@pytest.mark.usefixtures("s3_environment")
def test_a_bucket_that_is_not_there_is_a_problem_for_a_person() -> None:
    found = look("s3://fineline-not-there/results/")
    assert isinstance(found, Problem)
    assert (found.reason, found.lasting) == ("StoreNotFound", True)


def test_a_listing_keeps_nothing_of_what_it_lists(directory_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def many(*_: object) -> Iterator[StoredObject]:
        for number in range(30_000):
            name = UnitAddress("amber", "main", number, "piqa", "0123456789abcdef").metrics
            yield StoredObject(name, 1, "etag", datetime(2026, 11, 21, tzinfo=UTC))

    monkeypatch.setattr(type(directory_store), "list", many)
    tracemalloc.start()
    try:
        assert listed(directory_store).commits == 30_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
