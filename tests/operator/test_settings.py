"""The operator's settings file, and the program that reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fineline.errors import SpecError
from fineline_operator.settings import read_settings

WHOLE = """
namespaces: [evals, research]
results: s3://evals/results/
datasets: s3://mirror/
stores:
  - prefix: s3://pretrain/
    endpoint: https://s3.example
    region: eu-central-1
    credentials: /etc/fineline/stores/pretrain
    namespaces: [evals]
evaluator:
  image: registry.example/fineline-evaluator:1
  imagePullPolicy: Always
  gpuResource: ""
  template: {spec: {priorityClassName: batch}}
maxActive: 20
lease: {name: fineline, namespace: fineline-system, seconds: 8}
healthPort: 9000
resyncSeconds: 60
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "operator.yaml"
    file.write_text(text)
    return file


def test_all_that_the_chart_tells_is_read(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, WHOLE))
    assert settings.namespaces == ("evals", "research")
    assert settings.stores[0].namespaces == ("evals",)
    assert settings.evaluator.template == {"spec": {"priorityClassName": "batch"}}
    assert (settings.max_active, settings.health_port, settings.resync_seconds) == (20, 9000, 60)
    assert (settings.lease.name, settings.lease.seconds) == ("fineline", 8)


def test_an_image_is_all_that_must_be_told(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "evaluator: {image: evaluator}"))
    assert settings.namespaces == ()
    assert settings.max_active == 0
    assert settings.lease.seconds == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evaluator: {}", "evaluator.image"),
        ("{evaluator: {image: a}, maxActive: -1}", "maxActive"),
        ("{evaluator: {image: a}, maxactive: 1}", "maxactive: unknown field; did you mean maxActive?"),
        ("{evaluator: {image: a}, lease: {seconds: 60}}", "lease.seconds"),
        ("{evaluator: {image: a}, stores: [{prefix: not-a-uri}]}", "stores[0].prefix: must be s3://bucket/prefix/"),
        (
            "{evaluator: {image: a}, stores: [{prefix: 's3://a/', namespaces: [A_b]}]}",
            "the name of a namespace, or `*`",
        ),
        ("{evaluator: {image: a}, stores: [{prefix: 's3://a/', endpoint: minio}]}", "must be https://host:port"),
        ("{healthPort: x}", "evaluator: is required; healthPort: "),
        ("[]", "settings"),
        ("", "settings"),
        ("{", "can't be read"),
    ],
)
def test_what_can_not_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SpecError) as error:
        read_settings(file)
    assert str(error.value).startswith(f"{file}: ")
    assert said in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"operator\.yaml: the operator's settings can't be read"):
        read_settings(tmp_path / "operator.yaml")


def test_the_program_says_in_one_line_what_is_wrong_with_its_settings(tmp_path: Path) -> None:
    file = written(tmp_path, "evaluator: {}")
    done = subprocess.run(
        [sys.executable, "-m", "fineline_operator.main", "--settings", str(file), "--log-format", "text"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "evaluator.image" in done.stderr
