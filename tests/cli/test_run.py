"""`fineline run` from its YAML to its last line, with the evaluator in child processes as a pod would run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline.store import open_store
from support.evaluations import evaluation_values
from support.models import make_checkpoint
from support.slices import CONFIG_MAP, ENGINE, Site, make_mirror, suite_files

CONFIG_MAP_DOCUMENT: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with two good checkpoints, a truncated one, a mirror, and two YAMLs that say the same suite:
    as a folder beside the file, and as a ConfigMap in it."""
    folder = tmp_path_factory.mktemp("work")
    for step in (1, 2, 3):
        make_checkpoint(folder / "checkpoints" / f"step{step}", seed=step)
    weights = folder / "checkpoints" / "step2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    make_mirror(folder / "mirror")
    spec: dict[str, Any] = {
        "checkpoints__uri": "file:checkpoints/",
        "suite": {"configMap": CONFIG_MAP, "datasets": "file:mirror/"},
        "engine": ENGINE,
    }
    (folder / CONFIG_MAP).mkdir()
    for name, text in suite_files("letters", "absent").items():
        (folder / CONFIG_MAP / name).write_text(text)
    (folder / "beside.yaml").write_text(yaml.safe_dump(evaluation_values(**spec)))
    good = evaluation_values(**spec, checkpoints__select={"steps": [1, 3]})
    config_map = CONFIG_MAP_DOCUMENT | {"data": suite_files("letters")}
    (folder / "inside.yaml").write_text(yaml.safe_dump_all([good, config_map]))
    slow = evaluation_values(**spec)
    (folder / "slow.yaml").write_text(
        yaml.safe_dump_all([slow, CONFIG_MAP_DOCUMENT | {"data": suite_files("letters", "slow")}])
    )
    return folder


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fineline_cli.main", *arguments],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def first(folder: Path) -> tuple[int, str, str]:
    """The first run over everything: one checkpoint and one task are bad."""
    command = started(folder, "run", "beside.yaml", "--results", "results", "--no-analysis")
    out, err = command.communicate(timeout=300)
    return command.returncode, out, err


def test_what_is_bad_is_told_and_the_rest_is_done(folder: Path, first: tuple[int, str, str]) -> None:
    code, out, err = first
    assert code == 1
    assert "tiny: 2 published, 0 already there, 4 failed" in err
    assert "failed: step 2, absent, letters: WeightsUnreadable: file://" in err
    assert "step2/model.safetensors: it is truncated" in err
    assert "failed: step 1, absent: SplitMissing: absent: the mirror" in err
    assert "Traceback" not in err
    assert "The newest checkpoints" in out
    site = Site("", "", f"file://{folder}/results/")
    assert sorted(site.contents()) == [(1, "letters"), (3, "letters")]


def test_a_second_run_loads_nothing_and_ends_with_the_report(folder: Path, first: tuple[int, str, str]) -> None:
    """The second YAML has its suite in a ConfigMap, with a task of the first: nothing is left to do."""
    before = {item.name: item.etag for item in open_store(f"file://{folder}/results/").list("units/")}
    command = started(folder, "run", "inside.yaml", "--results", "results/", "--analysis", "analysis")
    out, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    assert "tiny: 2 units, 2 already there, 0 to do" in err
    assert "engine" not in err
    assert {item.name: item.etag for item in open_store(f"file://{folder}/results/").list("units/")} == before
    assert "report: " in out.splitlines()[-1]
    assert list((folder / "analysis").rglob("report.html"))


def test_sigterm_stops_the_child_in_order_and_the_same_command_goes_on(folder: Path) -> None:
    results = Site("", "", f"file://{folder}/other-results/")
    arguments = ("run", "slow.yaml", "--results", "other-results", "--no-analysis")
    command = started(folder, *arguments)
    while "1/slow" not in results.names("attempt-") and command.poll() is None:
        time.sleep(0.02)
    command.send_signal(signal.SIGTERM)
    out, err = command.communicate(timeout=120)
    assert command.returncode == 1
    assert "stopped in order; the same command goes on where it ended" in err
    assert results.names("metrics.arrow") == ["1/letters", "1/slow"]
    again = started(folder, *arguments)
    out, err = again.communicate(timeout=300)
    assert "2 already there" in err
    assert "tiny: 2 published, 2 already there, 2 failed" in err
    assert "The newest checkpoints" in out
    assert not list(folder.glob("fineline-run-*"))


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ("checkpoints/step1/config.json/results", "results can't be written: file://"),
        ("s3://no-such-bucket-x/", "no-such-bucket-x"),
    ],
)
def test_results_that_can_not_be_written_are_told_before_any_work(
    results: str,
    message: str,
    folder: Path,
    fineline: Any,
    s3_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    said = fineline("run", "beside.yaml", "--results", results)
    assert said.code == 1
    assert said.err.startswith("error: results can't be written: ")
    assert message in said.err
    assert said.err.count("\n") == 1
