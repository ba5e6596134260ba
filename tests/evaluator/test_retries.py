"""A retry does again what failed before it, once, whoever is killed or doubled meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fineline.errors import StoreDenied, StoreUnavailable, TaskError
from fineline.results import (
    AttemptRecord,
    UnitAddress,
    UnitState,
    planned_states,
    read_failure,
    record_attempt,
    record_failure,
    run_states,
)
from fineline.store import Store, open_store
from fineline_evaluator.attempts import SCORING, forget_earlier
from support.slices import Pod, Site, do_slice, make_mirror, make_run

ONE: dict[str, Any] = {"checkpoints__select": {"steps": [1]}}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("inputs")
    return Site(
        checkpoints=f"file://{make_run(folder / 'checkpoints', steps=(1, 2))}/",
        mirror=f"file://{make_mirror(folder / 'mirror')}/",
        results=f"file://{folder}/results/",
    )


@pytest.fixture
def site(inputs: Site, tmp_path: Path) -> Site:
    return replace(inputs, results=f"file://{tmp_path}/results/")


@pytest.fixture
def failed() -> UnitAddress:
    return UnitAddress("tiny", "main", 1, "letters", "0" * 16)


def crash(store: Store, unit: UnitAddress, *, retry: str = "", attempts: int = 3) -> None:
    """What a unit leaves behind that killed its pod, and was given up."""
    for number in range(1, attempts + 1):
        record_attempt(store, unit, AttemptRecord.now(number, "pod", doing=SCORING, retry=retry))
    record_failure(store, unit, TaskError("its pod died", reason="Crashed"), "task", attempts, retry)


def test_what_failed_before_is_done_again_under_a_retry(site: Site, tmp_path: Path) -> None:
    store = open_store(site.results)
    crash(store, site.address(1, "letters", "letters"))
    record_failure(store, site.address(2, "letters", "letters"), TaskError("no"), "task", 0)
    assert site.plan("letters").todo == ()
    (work,) = site.plan("letters", retry="2026-01-01").slices(1)
    done = do_slice(work, tmp_path / "scratch")
    assert done.code == 0
    assert done.message == "2 published, 0 already there, 0 failed"
    assert site.failures() == {}
    assert run_states(store, "tiny")[site.address(1, "letters", "letters")].attempts == 1


def test_what_fails_under_a_retry_stays_failed_until_the_next(site: Site, tmp_path: Path) -> None:
    (first,) = site.plan("absent", retry="one", **ONE).slices(1)
    assert do_slice(first, tmp_path / "scratch").code == 3
    ((_, record),) = site.failures().items()
    assert record["retry"] == "one"
    again = do_slice(first, tmp_path / "scratch")
    assert (again.code, again.loads) == (3, 0)
    assert ((1, "absent"), record) in site.failures().items()
    (second,) = site.plan("absent", retry="two", **ONE).slices(1)
    assert do_slice(second, tmp_path / "scratch").loads == 1
    assert site.failures()[1, "absent"]["retry"] == "two"


def test_a_slice_without_a_retry_leaves_failures_as_they_are(site: Site, tmp_path: Path) -> None:
    (work,) = site.plan("letters", **ONE).slices(1)
    crash(open_store(site.results), site.address(1, "letters", "letters"), retry="earlier")
    done = do_slice(work, tmp_path / "scratch")
    assert (done.code, done.loads) == (3, 0)
    assert site.failures()[1, "letters"]["retry"] == "earlier"


def test_tries_that_were_used_up_without_a_failure_record_are_forgotten_too(site: Site, tmp_path: Path) -> None:
    """The pod that died last had no successor to give the unit up."""
    store, unit = open_store(site.results), site.address(1, "letters", "letters")
    for number in (1, 2, 3):
        record_attempt(store, unit, AttemptRecord.now(number, "pod", doing=SCORING))
    (work,) = site.plan("letters", retry="again", **ONE).slices(1)
    assert do_slice(work, tmp_path / "scratch").code == 0
    assert site.failures() == {}


def test_tries_of_the_same_retry_count(site: Site, tmp_path: Path) -> None:
    store, unit = open_store(site.results), site.address(1, "letters", "letters")
    for number in (1, 2, 3):
        record_attempt(store, unit, AttemptRecord.now(number, "pod", doing=SCORING, retry="again"))
    (work,) = site.plan("letters", retry="again", **ONE).slices(1)
    assert do_slice(work, tmp_path / "scratch").code == 3
    assert site.failures()[1, "letters"]["reason"] == "Crashed"


def test_units_of_others_and_results_are_left_alone(store: Store, failed: UnitAddress) -> None:
    other, committed = replace(failed, task="other"), replace(failed, task="committed")
    for unit in (failed, other, committed):
        crash(store, unit)
    store.put(committed.metrics, b"")
    assert forget_earlier(store, [failed, committed], "again") == 1
    assert planned_states(store, [failed, other, committed]) == {
        other: UnitState(failed=True, attempts=3),
        committed: UnitState(committed=True, failed=True, attempts=3),
    }


def test_a_failure_that_can_not_be_read_is_forgotten(store: Store, failed: UnitAddress) -> None:
    store.put(failed.failed, b"{")
    assert forget_earlier(store, [failed], "again") == 1
    assert list(store.list()) == []


class Dying:
    """A store whose client is gone after so many deletions."""

    def __init__(self, store: Store, deletions: int) -> None:
        self._store = store
        self._left = deletions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def delete(self, name: str) -> None:
        if not self._left:
            raise StoreUnavailable("killed")
        self._left -= 1
        self._store.delete(name)


@pytest.mark.parametrize("deletions", range(4))
def test_killed_after_any_deletion_the_next_pod_finishes_it(deletions: int, store: Store, failed: UnitAddress) -> None:
    """The failure goes last: were it gone first, the tries left behind would give the unit up at once."""
    crash(store, failed)
    with pytest.raises(StoreUnavailable):
        forget_earlier(Dying(store, deletions), [failed], "again")  # type: ignore[arg-type]
    assert read_failure(store, failed) is not None
    assert forget_earlier(store, [failed], "again") == 1
    assert list(store.list()) == []


def test_two_pods_of_one_retry_end_with_one_result_each(site: Site, tmp_path: Path) -> None:
    store = open_store(site.results)
    for step in (1, 2):
        crash(store, site.address(step, "letters", "letters", "absent"))
        crash(store, site.address(step, "absent", "letters", "absent"))
    (work,) = site.plan("letters", "absent", retry="again").slices(1)
    pods = [Pod(work, tmp_path / f"pod-{number}").start() for number in (1, 2)]
    assert [pod.wait() for pod in pods] == [3, 3]
    assert sorted(site.names("metrics.arrow")) == ["1/letters", "2/letters"]
    assert {unit: record["reason"] for unit, record in site.failures().items()} == {
        (1, "absent"): "SplitMissing",
        (2, "absent"): "SplitMissing",
    }


def test_a_store_that_does_not_let_go_of_failures_is_told_before_any_work(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(open_store(site.results), site.address(1, "letters", "letters"))
    (work,) = site.plan("letters", retry="again", **ONE).slices(1)

    def denied(store: Store, unit: UnitAddress, attempts: int) -> None:
        raise StoreDenied("s3://bucket/failed.json: access denied")

    monkeypatch.setattr("fineline_evaluator.attempts.forget_failure", denied)
    done = do_slice(work, tmp_path / "scratch")
    assert (done.code, done.loads) == (4, 0)
    assert "what failed before this retry can't be forgotten: s3://bucket/failed.json: access denied" in done.message
