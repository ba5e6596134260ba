"""A store that refuses, vanishes or is full ends the slice in order, and it goes on when the store is back."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fineline_evaluator.loop import SliceWork
from fineline_evaluator.progress import Progress
from fineline_evaluator.stopping import Stop
from support.faults import FaultProxy
from support.slices import Done, Site, do_slice, make_mirror, make_run, upload


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("inputs")
    return Site(
        checkpoints=f"file://{make_run(folder / 'checkpoints')}/",
        mirror=f"file://{make_mirror(folder / 'mirror')}/",
        results=f"file://{folder}/results/",
    )


@pytest.fixture
def site(inputs: Site, tmp_path: Path) -> Site:
    return replace(inputs, results=f"file://{tmp_path}/results/")


@pytest.fixture
def in_bucket(inputs: Site, s3_prefix: str) -> Site:
    """Checkpoints and results in a bucket."""
    checkpoints = upload(Path(inputs.checkpoints.removeprefix("file://")), f"{s3_prefix}checkpoints/")
    return replace(inputs, checkpoints=checkpoints, results=f"{s3_prefix}results/")


def test_wrong_credentials_end_the_slice_before_any_work(
    in_bucket: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = in_bucket.slice("letters")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    done = do_slice(work, tmp_path / "scratch")
    assert done.code == 4
    assert done.loads == 0
    assert "StoreDenied: results can't be written: s3://" in done.message


@pytest.mark.parametrize("part", ["results", "checkpoints"])
def test_a_missing_bucket_ends_the_slice_and_is_named(part: str, in_bucket: Site, tmp_path: Path) -> None:
    work = in_bucket.slice("letters")
    bucket = "s3://no-such-bucket-here/"
    order = work.order
    if part == "results":
        order = order.model_copy(update={"results_uri": bucket})
    else:
        moved = tuple(
            each.model_copy(
                update={"files": tuple(file.model_copy(update={"folder_uri": bucket}) for file in each.files)}
            )
            for each in order.checkpoints
        )
        order = order.model_copy(update={"checkpoints": moved})
    done = do_slice(work.model_copy(update={"order": order}), tmp_path / "scratch")
    assert (done.code, done.loads) == (4, 0)
    assert "StoreNotFound: " in done.message
    assert "no-such-bucket-here" in done.message


def test_results_that_can_not_be_written_are_told_before_any_work(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    work = site.slice("letters")
    order = work.order.model_copy(update={"results_uri": f"file://{tmp_path}/file/results/"})
    done = do_slice(work.model_copy(update={"order": order}), tmp_path / "scratch")
    assert (done.code, done.loads) == (75, 0)
    assert "results can't be written: file://" in done.message
    assert not (tmp_path / "scratch").exists()


def test_a_store_gone_half_way_is_passing_and_the_next_pod_goes_on(
    in_bucket: Site, s3_faults: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    work = in_bucket.slice("letters", "sums")

    def gone_after_the_first(line: str) -> None:
        if "published" in line:
            s3_faults.answer(503, "ServiceUnavailable", times=10**9)

    done = do_slice(work, tmp_path / "scratch", on_line=gone_after_the_first)
    assert done.code == 75
    assert "StoreUnavailable: s3://" in done.message
    s3_faults.heal()
    before = set(in_bucket.contents())
    assert 0 < len(before) < 6
    again = do_slice(work, tmp_path / "scratch")
    assert again.code == 0
    assert again.message == f"{6 - len(before)} published, {len(before)} already there, 0 failed"
    assert len(in_bucket.contents()) == 6
    assert in_bucket.failures() == {}


def test_cut_downloads_and_throttling_in_passing_change_nothing(
    in_bucket: Site, s3_faults: FaultProxy, tmp_path: Path
) -> None:
    s3_faults.cut(5000, times=3)
    s3_faults.answer(503, "SlowDown", times=2, method="PUT")
    s3_faults.lose_answers(times=2, method="PUT")
    assert do_slice(in_bucket.slice("letters"), tmp_path / "scratch").code == 0
    assert len(in_bucket.contents()) == 3


def test_a_full_disk_is_passing_and_named_and_the_next_pod_goes_on(site: Site, tmp_path: Path) -> None:
    work = site.slice("letters")
    with _small_disk(tmp_path / "scratch"):
        done = do_slice(work, tmp_path / "scratch" / "work")
    assert done.code == 75
    assert "StoreFull: " in done.message
    assert "no room left" in done.message
    assert str(tmp_path / "scratch") in done.message
    assert site.failures() == {}
    assert do_slice(work, tmp_path / "larger").code == 0


def test_publishing_to_a_full_disk_costs_no_try(site: Site, tmp_path: Path) -> None:
    """Five pods in a row can't publish; with three tries a unit, it is still done when there is room again."""
    work = site.slice("letters", checkpoints__select={"steps": [1]})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ended: list[Done] = []
    for _ in range(5):
        # Small records still fit; the tables do not.
        ended.append(
            do_slice(work, tmp_path / "scratch", on_line=lambda line: _limit(2000) if "load" in line else None)
        )
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {done.code for done in ended} == {75}
    assert "no room left" in ended[0].message
    assert site.names("attempt-") == []
    assert do_slice(work, tmp_path / "scratch").code == 0


def test_a_pod_whose_reader_died_stops_in_order(site: Site, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stop = Stop(30)
    work = site.slice()
    with os.fdopen(writing, "w") as stream:
        ending = SliceWork(work, tmp_path / "scratch", Progress(9, stream, stop.request), stop).run()
        with contextlib.suppress(BrokenPipeError):
            stream.close()
    assert ending.code == 143
    assert "stopped in order" in ending.line
    assert len(site.contents()) < 9
    assert len(site.names("attempt-")) == len(site.contents())


def _limit(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A folder in which a checkpoint has no room: a small file system where the tests are root, else a limit on files
    (which the system tells apart, and Fineline's messages do not)."""
    folder.mkdir()
    mounted = (
        os.getuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=128k", "fineline-test", str(folder)], check=False, capture_output=True
        ).returncode
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        _limit(64 << 10)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
