"""What others are told of analyses: which commits there are, and what the newest analysis says."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.errors import ResultError, StoreUnavailable
from fineline.results import UnitAddress
from fineline.results.analyses import (
    MOST_BYTES,
    CommitsDigest,
    Latest,
    commits_digest,
    listed_commits,
    point_at,
    read_latest,
    read_pointer,
    severity,
)
from fineline.store import Store, StoredObject
from support.watched_store import MemoryStore, WatchedStore

FOLDER = "analyses/evals.weekly/"
MANIFEST = {
    "digest": "d1",
    "settings_digest": "s1",
    "commits_digest": "c1",
    "commits": 3,
    "listed_at": "2026-11-21T12:00:00Z",
    "files": ["report.html"],
    "runs": 1,
    "verdicts": [{"run": "amber", "state": "improving", "message": "it gains"}],
}


def commit(name: str, etag: str) -> StoredObject:
    return StoredObject(name, 1, etag, datetime(2026, 11, 21, tzinfo=UTC))


COMMITS = st.lists(
    st.builds(commit, st.text("abc", max_size=3), st.text("12", max_size=2)), max_size=8, unique_by=lambda one: one.name
)


@given(COMMITS, st.randoms(use_true_random=False))
def test_commits_have_one_digest_in_whatever_order_they_come(commits: list[StoredObject], random: Any) -> None:
    other = list(commits)
    random.shuffle(other)
    streamed = CommitsDigest()
    for item in other:
        streamed.add(item)
    assert streamed.hexdigest() == commits_digest(commits)
    assert streamed.count == len(commits)


@given(COMMITS, COMMITS)
def test_other_commits_have_another_digest(one: list[StoredObject], other: list[StoredObject]) -> None:
    assert (commits_digest(one) == commits_digest(other)) == (set(one) == set(other))


def test_the_commits_of_runs_are_listed_and_nothing_beside_them(store: Store) -> None:
    for run in ("amber", "amber-2", "openllama"):
        address = UnitAddress(run, "main", 1000, "piqa", "0123456789abcdef")
        store.put(address.metrics, b"x")
        store.put(address.samples, b"x")
        store.put(address.failed, b"x")
    store.put("units/run=amber/metrics.arrow", b"nobody's")

    def listed(*runs: str) -> list[str]:
        return [item.name.split("/")[1] for item in listed_commits(store, runs)]

    assert sorted(listed()) == ["run=amber", "run=amber-2", "run=openllama"]
    assert listed("openllama", "amber", "amber") == ["run=amber", "run=openllama"]
    assert listed("nobody") == []


def write(store: Store, pointer: dict[str, Any], manifest: dict[str, Any] | bytes = MANIFEST) -> None:
    usual = {"digest": "d1", "folder": f"{FOLDER}d1/", "settings_digest": "s1", "commits_digest": "c1"}
    store.put(f"{FOLDER}latest.json", json.dumps({**usual, **pointer}).encode())
    data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    store.put(f"{FOLDER}d1/manifest.json", data)


def test_the_newest_analysis_is_where_the_pointer_says(store: Store) -> None:
    assert read_latest(store, "evals.weekly") is None
    write(store, {})
    found = read_latest(store, "evals.weekly")
    assert found is not None
    assert (found.digest, found.runs, found.verdicts[0].run) == ("d1", 1, "amber")


@pytest.mark.parametrize("folder", ["analyses/evals.weekly/gone/", "analyses/evals.other/d1/", "../d1/", "/d1/", ""])
def test_a_pointer_to_elsewhere_is_named(store: Store, folder: str) -> None:
    write(store, {"folder": folder})
    store.put("analyses/evals.other/d1/manifest.json", json.dumps(MANIFEST).encode())
    with pytest.raises(ResultError, match=r"evals\.weekly/latest\.json: points at"):
        read_latest(store, "evals.weekly")


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{", b"[]", b"null", json.dumps({**MANIFEST, "listed_at": "2026-11-21T12:00:00"}).encode()],
    ids=["empty", "cut", "a list", "null", "a time without a zone"],
)
def test_a_broken_manifest_is_named(directory_store: Store, manifest: bytes) -> None:
    write(directory_store, {}, manifest)
    with pytest.raises(ResultError, match=r"d1/manifest\.json: not an analysis's"):
        read_latest(directory_store, "evals.weekly")


def test_a_manifest_that_is_far_too_large_is_not_read(directory_store: Store) -> None:
    write(directory_store, {}, b" " * (MOST_BYTES + 1))
    with pytest.raises(ResultError, match="16,777,217 bytes"):
        read_latest(directory_store, "evals.weekly")


def test_states_are_told_apart_by_how_much_they_call_for_a_person() -> None:
    assert severity("unstable") < severity("regressing") < severity("plateaued") < severity("improving")
    assert severity("improving") < severity("a word of a later version")


NAME = "evals.weekly"
POINTER = f"{FOLDER}latest.json"


def pointer(number: int) -> Latest:
    return Latest(digest=f"{number:04}", folder=f"{FOLDER}{number:04}/", settings_digest="s1", commits_digest="c1")


def point(store: Store, number: int) -> bool:
    """As a program that keeps what has a higher number."""
    return point_at(store, NAME, pointer(number), lambda other: int(other.digest) > number)


def pointed(store: Store) -> int:
    found = read_pointer(store, NAME)
    assert found is not None
    return int(found.digest)


def test_whichever_programs_publish_at_once_the_newest_stays(store: Store) -> None:
    """Whoever comes first; where each overwrote what it had not read, this would end with any of them."""
    numbers = [(7 * number) % 40 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: point(store, number), numbers))
    assert pointed(store) == 39
    assert written[numbers.index(39)] is True
    assert point(store, 38) is False
    assert point(store, 39) is True, "as a program that is run again"


def test_a_pointer_that_changes_after_it_was_read_is_read_again() -> None:
    beneath = MemoryStore()
    others = iter([5, 3, 9])
    asked: list[int] = []

    def before(method: str, _: str) -> None:
        if method.startswith("put"):
            beneath.put(POINTER, pointer(next(others)).to_json())

    def stays(other: Latest) -> bool:
        asked.append(int(other.digest))
        return int(other.digest) > 7

    assert point_at(WatchedStore(beneath, before), NAME, pointer(7), stays) is False
    assert asked == [5, 3, 9]
    assert pointed(beneath) == 9


def test_what_is_no_pointer_is_replaced(store: Store) -> None:
    store.put(POINTER, b"<html>")
    assert point(store, 1) is True
    assert pointed(store) == 1


def test_a_pointer_that_never_rests_is_told() -> None:
    beneath = MemoryStore()
    numbers = iter(range(1000))

    def before(method: str, _: str) -> None:
        if method.startswith("put"):
            beneath.put(POINTER, pointer(next(numbers)).to_json())

    with pytest.raises(StoreUnavailable, match=r"latest\.json: other analyses were in the way each time"):
        point_at(WatchedStore(beneath, before), NAME, pointer(1000), lambda _: False)
