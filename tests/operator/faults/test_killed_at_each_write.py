"""The operator is killed (-9) right after each single write of an evaluation's life, and started again: nothing tells
its end from that of an undisturbed one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from support.api_faults import Asked
from support.control_plane import ControlPlane, wait_for
from support.lab import TASKS, Lab
from support.lives import End, end_state, ended
from support.victims import Victim


@dataclass
class Deaths:
    """It dies of its n-th write from now on; `every`: again after as many further writes, and so on. 0: of none."""

    n: int = 0
    every: bool = False
    written: int = 0

    def __call__(self, asked: Asked) -> bool:
        self.written += 1
        return self.n > 0 and self.written % self.n == 0 and (self.every or self.written == self.n)


@pytest.fixture
def new_lab(own_plane: ControlPlane, s3_prefix: str, tmp_path: Path) -> Iterator[Callable[[], Lab]]:
    """Makes a namespace each time, always over the same checkpoints and the same results, which are taken away."""
    made: list[Lab] = []

    def make() -> Lab:
        lab = Lab(own_plane, own_plane.make_namespace(), s3_prefix, tmp_path / "lab")
        if not made:
            lab.add_checkpoints(1, 2)
        for item in lab.results.list():
            lab.results.delete(item.name)
        made.append(lab)
        return lab

    yield make
    for lab in made:
        own_plane.delete_namespace(lab.namespace)


def apply_with_a_large_plan(lab: Lab) -> None:
    """Of two ConfigMaps: a task's text, which does not compress to less than half, goes into each of its two slices."""
    noise = random.Random(1).randbytes(480_000).hex()
    task = f"task: noisy\ndataset_path: tiny/noisy\noutput_type: multiple_choice\ntest_split: test\n# {noise}\n"
    tasks = f"tasks: [{{task: noisy, domain: reasoning}}, {{task: {TASKS[0]}, domain: reasoning}}]"
    lab.add_config_map("large", {"suite.yaml": tasks, "noisy.yaml": task})
    lab.apply(suite={"configMap": "large"}, pods__parallelism=2)


def go_on_to_the_end(lab: Lab, victim: Victim, *, jobs: int, retry: str | None = None) -> None:
    wait_for(victim.survives_until(lambda: len(lab.jobs()) == jobs), f"Job {jobs}", seconds=60)
    lab.work(fail={(2, TASKS[0])})
    wait_for(victim.survives_until(lambda: _ended(lab, retry)), "the end", seconds=60)


def _ended(lab: Lab, retry: str | None) -> bool:
    body = lab.get()
    return ended(body) and body["status"].get("retry") == retry


def assert_same_end(lab: Lab, victim: Victim, undisturbed: End, what: str) -> None:
    try:
        wait_for(victim.survives_until(lambda: end_state(lab) == undisturbed), "the same end", seconds=10)
    except TimeoutError:
        assert end_state(lab) == undisturbed, what


def test_killed_after_each_write_of_a_life_it_comes_to_the_same_end(new_lab: Callable[[], Lab], victim: Victim) -> None:
    first = new_lab()
    counted = victim.dies = Deaths()
    apply_with_a_large_plan(first)
    go_on_to_the_end(first, victim, jobs=1)
    writes, undisturbed, commits = counted.written, end_state(first), set(first.committed())
    assert len(undisturbed["config maps"]) == 2
    assert [reason for reason, _ in undisturbed["events"]] == ["CheckpointFailed", "Failed", "JobCreated", "Planned"]
    assert len(undisturbed["jobs"]) == 1
    labs = [first]
    for number in count(1):
        lab = new_lab()
        labs.append(lab)
        deaths = victim.dies = Deaths(number)
        apply_with_a_large_plan(lab)
        go_on_to_the_end(lab, victim, jobs=1)
        survived = deaths.written < number
        assert_same_end(lab, victim, undisturbed, f"killed after write {number} of {writes}")
        assert set(lab.committed()) == commits
        if survived:
            break
    assert number > 8
    for lab in labs:
        assert end_state(lab) == undisturbed, "it stays so"


def test_killed_after_every_write_of_a_retry_it_comes_to_the_same_end(
    new_lab: Callable[[], Lab], victim: Victim
) -> None:
    ends: list[End] = []
    for killed in (False, True):
        lab = new_lab()
        lab.apply()
        go_on_to_the_end(lab, victim, jobs=1)
        deaths = victim.dies = Deaths(1 if killed else 0, every=True)
        lab.retry("first")
        go_on_to_the_end(lab, victim, jobs=2, retry="first")
        ends.append(end_state(lab))
    undisturbed, _ = ends
    assert [reason for reason, _ in undisturbed["events"]].count("Failed") == 2
    assert_same_end(lab, victim, undisturbed, f"killed after each of {deaths.written} writes")
    assert deaths.written >= 7
