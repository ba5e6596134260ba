"""Checkpoints are fetched ahead onto a small disk, and nothing is waited for that is not wanted any more."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fineline.results import AttemptRecord, record_attempt
from fineline.store import open_store
from fineline_evaluator.attempts import SCORING
from support.faults import FaultProxy
from support.slices import Pod, Site, do_slice, make_mirror, make_run, upload


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("inputs")
    return Site(
        checkpoints=f"file://{make_run(folder / 'checkpoints', steps=(1, 2, 3, 4, 5))}/",
        mirror=f"file://{make_mirror(folder / 'mirror')}/",
        results=f"file://{folder}/results/",
    )


@pytest.fixture
def site(inputs: Site, tmp_path: Path) -> Site:
    return replace(inputs, results=f"file://{tmp_path}/results/")


def test_at_most_two_checkpoints_lie_on_the_disk_and_none_at_the_end(site: Site, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch" / "checkpoints"
    (scratch / "00009").mkdir(parents=True)  # a process that was killed left it behind
    (scratch / "00009" / "model.safetensors").write_bytes(b"old")
    seen: list[set[str]] = []
    done = do_slice(site.slice("letters"), scratch.parent, on_line=lambda _: seen.append(set(_folders(scratch))))
    assert done.code == 0
    assert max(map(len, seen)) <= 2
    assert "00009" not in set.union(*seen)
    assert not scratch.exists()


def test_sigterm_during_a_download_ends_the_pod_at_once(
    inputs: Site, s3_prefix: str, s3_faults: FaultProxy, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    checkpoints = upload(Path(inputs.checkpoints.removeprefix("file://")) / "step1", f"{s3_prefix}run/step1/")
    site = replace(inputs, checkpoints=checkpoints.removesuffix("step1/"), results=f"file://{tmp_path}/results/")
    work = site.slice("letters")
    s3_faults.bytes_per_second = 10_000
    pod = Pod(work, tmp_path / "pod", grace_seconds=60, environment=s3_environment).start()
    pod.until(lambda: list((tmp_path / "pod" / "scratch").rglob("*.tmp")))
    started = time.monotonic()
    pod.signal(signal.SIGTERM)
    assert pod.wait() == 143
    assert time.monotonic() - started < 20
    assert "1 left for the next pod" in pod.message
    assert site.names("attempt-") == []


def test_a_unit_given_up_tells_what_its_last_try_ended_with(site: Site, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        record = AttemptRecord.now(number, "pod", doing=SCORING, error="out of memory while scoring: 12 GiB asked for")
        record_attempt(open_store(site.results), site.address(1, "letters", "letters"), record)
    assert do_slice(site.slice("letters"), tmp_path / "scratch").code == 3
    (failure,) = site.failures().values()
    assert failure["reason"] == "Crashed"
    assert failure["message"] == (
        "letters at step 1: 3 tries failed, the last with: out of memory while scoring: 12 GiB asked for"
    )


def _folders(scratch: Path) -> list[str]:
    return [path.name for path in scratch.iterdir()] if scratch.is_dir() else []
