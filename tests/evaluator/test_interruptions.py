"""However the work is cut, stopped, killed or doubled: the same results, each unit once."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fineline.results import AttemptRecord, UnitAddress, read_attempt, record_attempt
from fineline.store import Store, open_store
from fineline_evaluator.attempts import LOADING, PUBLISHING, SCORING
from support.slices import TASKS, Pod, Site, do_slice, make_mirror, make_run, upload

Contents = dict[tuple[int, str], tuple[str, tuple[Any, ...]]]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("inputs")
    return Site(
        checkpoints=f"file://{make_run(folder / 'checkpoints')}/",
        mirror=f"file://{make_mirror(folder / 'mirror')}/",
        results=f"file://{folder}/results/",
    )


@pytest.fixture(scope="module")
def undisturbed(inputs: Site, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What one slice gives, done by one process without disturbance."""
    assert do_slice(inputs.slice(), tmp_path_factory.mktemp("scratch")).code == 0
    return inputs.contents()


@pytest.fixture
def site(inputs: Site, tmp_path: Path) -> Site:
    return replace(inputs, results=f"file://{tmp_path}/results/")


def test_three_slices_give_what_one_gives(site: Site, undisturbed: Contents, tmp_path: Path) -> None:
    slices = site.plan().slices(3)
    assert len(slices) == 3
    assert [Pod(work, tmp_path / f"pod-{work.index}").start().wait() for work in slices] == [0, 0, 0]
    assert site.contents() == undisturbed


def test_two_checkpoints_in_one_slice_never_see_each_others_responses(
    site: Site, undisturbed: Contents, tmp_path: Path
) -> None:
    """Each alone in a fresh process gives what it gave behind another one, and no two give the same."""
    alone: Contents = {}
    for step in (2, 3):
        own = replace(site, results=f"file://{tmp_path}/results-{step}/")
        pod = Pod(own.slice(checkpoints__select={"steps": [step]}), tmp_path / f"pod-{step}").start()
        assert pod.wait() == 0
        alone |= own.contents()
    assert alone == {unit: content for unit, content in undisturbed.items() if unit[0] != 1}
    for task in TASKS:
        assert len({undisturbed[step, task][0] for step in (1, 2, 3)}) == 3


@pytest.mark.parametrize("seed", [1, 2])
def test_pods_ended_at_random_moments_leave_the_same_results_in_the_end(
    seed: int, site: Site, undisturbed: Contents, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    codes = []
    for round_number in range(6):
        plan = site.plan(pods__attempts=20)
        if not plan.todo:
            break
        pod = Pod(plan.slices(1)[0], tmp_path / f"pod-{round_number}", grace_seconds=dice.choice([0.0, 5.0])).start()
        began = site.names("attempt-")
        if dice.random() < 0.7:  # in the middle of the work, not before it
            pod.until(lambda before=began: site.names("attempt-") != before or site.names("metrics"))  # type: ignore[misc]
        time.sleep(dice.uniform(0, 0.6))
        pod.signal(dice.choice([signal.SIGTERM, signal.SIGKILL]))
        codes.append(pod.wait())
    assert set(codes) <= {0, 143, -signal.SIGKILL, -signal.SIGTERM}
    if left := site.plan(pods__attempts=20).slices(1):
        assert Pod(left[0], tmp_path / "last").start().wait() == 0
    assert site.contents() == undisturbed
    assert sorted(site.names("metrics.arrow")) == sorted(f"{step}/{task}" for step, task in undisturbed)
    assert site.failures() == {}


def test_sigterm_beyond_the_grace_time_takes_back_the_record_of_the_unfinished_unit(site: Site, tmp_path: Path) -> None:
    pod = Pod(site.slice("letters", "slow"), tmp_path / "pod", grace_seconds=0.1).start()
    pod.until(lambda: "1/slow" in site.names("attempt-"))
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 143
    assert site.names("metrics.arrow") == ["1/letters"]
    assert "1/slow" not in site.names("attempt-")
    assert "stopped in order" in pod.message
    assert pod.last_line == f"fineline-evaluator: {pod.message}"


def test_sigterm_with_grace_enough_finishes_the_unit_in_progress(site: Site, tmp_path: Path) -> None:
    pod = Pod(site.slice("slow"), tmp_path / "pod", grace_seconds=60).start()
    slow = site.address(1, "slow", "slow")
    pod.until(lambda: _is_scoring(site, slow, 1))
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 143
    assert site.names("metrics.arrow") == ["1/slow"]
    assert "2 left for the next pod" in pod.message


def test_a_unit_that_kills_its_pod_three_times_is_given_up_and_the_others_are_done(site: Site, tmp_path: Path) -> None:
    spec: dict[str, Any] = {"checkpoints__select": {"steps": [1]}}
    slow = site.address(1, "slow", "letters", "slow", "sums")
    for number in (1, 2, 3):
        pod = Pod(site.slice("letters", "slow", "sums", **spec), tmp_path / f"pod-{number}").start()
        pod.until(lambda n=number: _is_scoring(site, slow, n))  # type: ignore[misc]
        pod.signal(signal.SIGKILL)
        assert pod.wait() == -signal.SIGKILL
        assert site.names("attempt-").count("1/slow") == number
    last = Pod(site.slice("letters", "slow", "sums", **spec), tmp_path / "pod-4").start()
    assert last.wait() == 3
    assert site.names("metrics.arrow") == ["1/letters", "1/sums"]
    (failure,) = site.failures().values()
    assert (failure["reason"], failure["attempts"]) == ("Crashed", 3)
    assert failure["message"] == "slow at step 1: its pod died 3 times while scoring"
    assert site.plan("letters", "slow", "sums", **spec).todo == ()


@pytest.mark.parametrize(("records", "reasons"), [(3, []), (9, ["Crashed"])])
def test_a_unit_that_waits_to_be_published_is_not_soon_blamed_for_its_pods_death(
    site: Site, tmp_path: Path, records: int, reasons: list[str]
) -> None:
    spec: dict[str, Any] = {"checkpoints__select": {"steps": [1]}}
    for number in range(1, records + 1):
        record = AttemptRecord.now(number, "pod", doing=PUBLISHING)
        record_attempt(open_store(site.results), site.address(1, "letters", "letters"), record)
    do_slice(site.slice("letters", **spec), tmp_path / "scratch")
    assert [failure["reason"] for failure in site.failures().values()] == reasons


def test_a_checkpoint_that_kills_its_pod_while_it_is_loaded_is_given_up_and_the_others_are_done(
    site: Site, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        record = AttemptRecord.now(number, "pod", doing=LOADING)
        record_attempt(open_store(site.results), site.address(1, "letters"), record)
    done = do_slice(site.slice(), tmp_path / "scratch")
    assert done.code == 3
    assert {unit: failure["reason"] for unit, failure in site.failures().items()} == {
        (1, task): "Crashed" for task in TASKS
    }
    assert {step for step, _ in site.contents()} == {2, 3}
    assert done.loads == 2


def test_two_pods_on_one_slice_commit_each_unit_once_and_both_end_well(
    site: Site, store: Store, undisturbed: Contents, tmp_path: Path, s3_environment: dict[str, str]
) -> None:
    on_store = replace(site, results=f"{store.uri}results/")
    if store.uri.startswith("s3:"):
        checkpoints = Path(site.checkpoints.removeprefix("file://"))
        on_store = replace(on_store, checkpoints=upload(checkpoints, f"{store.uri}checkpoints/"))
    work = on_store.slice()
    pods = [Pod(work, tmp_path / f"pod-{n}", environment=s3_environment).start() for n in (1, 2)]
    assert [pod.wait() for pod in pods] == [0, 0]
    assert on_store.failures() == {}
    found = on_store.contents()
    assert {unit: metrics for unit, (_, metrics) in found.items()} == {
        unit: metrics for unit, (_, metrics) in undisturbed.items()
    }
    published = sum(int(pod.message.split()[0]) for pod in pods)
    assert published == len(found)


def test_a_slice_done_before_loads_nothing(site: Site, tmp_path: Path) -> None:
    work = site.slice("letters", checkpoints__select={"steps": [1, 2]})
    assert do_slice(work, tmp_path / "scratch").code == 0
    again = do_slice(work, tmp_path / "scratch")
    assert (again.code, again.loads) == (0, 0)
    assert again.message == "0 published, 2 already there, 0 failed"
    assert not list((tmp_path / "scratch").glob("checkpoints/*"))


def test_a_unit_that_failed_for_good_is_not_tried_again_by_a_slice_made_before(site: Site, tmp_path: Path) -> None:
    work = site.slice("letters", checkpoints__select={"steps": [1, 2]})
    store = open_store(site.results)
    failed = site.address(1, "letters", "letters")
    store.put(
        failed.failed, b'{"reason": "TaskFailed", "message": "no", "scope": "task", "at": "", "schema_version": 1}'
    )
    done = do_slice(work, tmp_path / "scratch")
    assert (done.code, done.loads) == (3, 1)
    assert done.message.startswith("1 published, 0 already there, 1 failed")


def _is_scoring(site: Site, unit: UnitAddress, attempt: int) -> bool:
    record = read_attempt(open_store(site.results), unit, attempt)
    return record is not None and record.doing == SCORING
