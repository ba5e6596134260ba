"""The real evaluator as the Job's pods, by the kubelet stand-in: real checkpoints, a real mirror, all in a bucket."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline.results import AttemptRecord, read_attempt, record_attempt
from fineline_evaluator.attempts import SCORING
from support.kubelet import Kubelet, kubelet
from support.lab import Lab
from support.operator import Operator
from support.slices import ENGINE, TASKS, Site, do_slice, make_mirror, make_run, suite_files, upload

CREDENTIALS = "s3-credentials"
IMAGE = {"OMP_NUM_THREADS": "1", "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1"}


@dataclass(frozen=True)
class Evaluated:
    """A lab with checkpoints at two steps and a mirror, and what runs its pods."""

    lab: Lab
    node: Kubelet
    site: Site

    def apply(self, *tasks: str, **spec: Any) -> None:
        self.lab.add_config_map("own", suite_files(*tasks))
        self.lab.apply(**self.spec(), **spec)

    def spec(self) -> dict[str, Any]:
        return {
            "suite": {"configMap": "own", "datasets": self.site.mirror},
            "engine": ENGINE,
            "pods__secretName": CREDENTIALS,
        }


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_run(folder / "checkpoints", steps=(1, 2))
    make_mirror(folder / "mirror")
    return folder


@pytest.fixture
def evaluated(
    lab: Lab, operator: Operator, inputs: Path, s3_environment: dict[str, str], tmp_path: Path
) -> Iterator[Evaluated]:
    secret = {
        name: base64.b64encode(s3_environment[name].encode()).decode()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    lab.api.create(f"/api/v1/namespaces/{lab.namespace}/secrets", {"metadata": {"name": CREDENTIALS}, "data": secret})
    site = Site(
        checkpoints=upload(inputs / "checkpoints", f"{lab.uri}checkpoints/tiny/"),
        mirror=upload(inputs / "mirror", f"{lab.uri}mirror/"),
        results=f"{lab.uri}results/",
    )
    with kubelet(lab.plane, lab.namespace, tmp_path / "node", environment=IMAGE) as node:
        yield Evaluated(lab, node, site)


def test_pods_give_what_fineline_run_gives_and_it_finds_nothing_left_to_do(
    evaluated: Evaluated, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    lab = evaluated.lab
    evaluated.apply()
    lab.wait("Succeeded", "True", "Succeeded", seconds=120)
    assert lab.status()["progress"]["text"] == "6/6", evaluated.node.logs()
    found = evaluated.site.contents()
    assert sorted(found) == [(step, task) for step in (1, 2) for task in sorted(TASKS)]

    alone = Site(evaluated.site.checkpoints, evaluated.site.mirror, f"file://{tmp_path}/results/")
    assert do_slice(alone.slice(), tmp_path / "scratch").code == 0
    assert alone.contents() == found

    (tmp_path / "eval.yaml").write_text(yaml.safe_dump(lab.values(**evaluated.spec())))
    (tmp_path / "own").mkdir()
    for name, text in suite_files().items():
        (tmp_path / "own" / name).write_text(text)
    assert "6 already there, 0 to do" in fineline(tmp_path, "run", "eval.yaml", "--no-analysis")
    shown = fineline(tmp_path, "results", evaluated.site.results)
    assert all(task in shown for task in TASKS), shown


def test_a_unit_that_kills_its_pod_three_times_is_recorded_and_the_others_finish(evaluated: Evaluated) -> None:
    """Two deaths are told by the records that they left: Kubernetes pauses for 10 s, then 20 s, then 40 s."""
    lab = evaluated.lab
    evaluated.apply("letters", "slow", "sums", checkpoints__select={"steps": [1]})
    job = lab.wait_for_job()["metadata"]["name"]
    (slow,) = (address for address in lab.addresses() if address.task == "slow")
    for number in (1, 2):
        record_attempt(lab.results, slow, AttemptRecord.now(number, "pod", doing=SCORING))
    pod = evaluated.node.find(job)

    def scores() -> bool:
        record = read_attempt(lab.results, slow, 3)
        return record is not None and record.doing == SCORING

    lab.wait_until(scores, "the third try to score")
    pod.kill(reason="OOMKilled")
    lab.wait("Succeeded", "Unknown", "OOMKilled")
    told = lab.wait("Succeeded", "False", "SomeUnitsFailed", seconds=120)
    assert "2 of 3 units have a result, 1 failed for good" in told["message"]
    (failure,) = lab.status()["failures"]
    assert (failure["checkpoint"], failure["task"], failure["reason"]) == ("step 1", "slow", "Crashed")
    assert failure["message"] == "slow at step 1: its pod died 3 times while scoring"
    assert sorted(evaluated.site.contents()) == [(1, "letters"), (1, "sums")]


def fineline(folder: Path, *arguments: str) -> str:
    """What the command says, as a person in this folder would read it."""
    done = subprocess.run(
        [sys.executable, "-m", "fineline_cli.main", *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
