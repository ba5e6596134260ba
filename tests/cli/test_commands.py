"""Each command as a person or a program uses it: help with an example, tables, JSON, CSV, errors in one line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline.results import UnitAddress
from fineline.store import open_store
from support.evaluations import evaluation_values, listed_checkpoint
from support.publishing import ADDRESS, commit

COMMANDS = (
    "run",
    "watch",
    "plan",
    "checkpoints",
    "results",
    "analyze",
    "report",
    "suites",
    "crds",
    "status",
    "retry",
    "datasets mirror",
)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Three checkpoints, one of them not complete."""
    for step in (10, 20, 30):
        listed_checkpoint(tmp_path / "checkpoints" / f"step{step}")
    (tmp_path / "checkpoints" / "step20" / "config.json").unlink()
    return tmp_path


@pytest.fixture
def eval_file(run_folder: Path) -> Path:
    values = evaluation_values(
        checkpoints__uri=f"file://{run_folder}/checkpoints/", results=f"file://{run_folder}/results/"
    )
    return _write(run_folder / "eval.yaml", values)


def _write(path: Path, *documents: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump_all(documents))
    return path


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("command", ["", "datasets", *COMMANDS])
def test_help_has_an_example(command: str, fineline: Any) -> None:
    said = fineline(*command.split(), "--help")
    assert said.code == 0
    assert said.err == ""
    assert "Example: fineline " in said.out


def test_without_a_command_help_is_shown(fineline: Any) -> None:
    said = fineline()
    assert "Usage: fineline" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["plann"], 2, "error: No such command 'plann'. Did you mean 'plan'?"),
        (["plan"], 2, "error: Missing argument 'EVAL.yaml'."),
        (["plan", "no.yaml"], 2, "error: no.yaml: no such file"),
        (["plan", "eval.yaml", "-o", "xml"], 2, "error: Invalid value for '--output'"),
        (["suites", "fineline"], 2, "no built-in suite 'fineline'; known are fine-line, fine-line-mini, loss"),
        (["checkpoints", "nowhere"], 1, "no checkpoint is there"),
        (["checkpoints", "ftp://host/run/"], 2, "not the URI of a store"),
        (["results", "nowhere"], 1, "no results"),
        (["report", "nowhere"], 2, "nowhere/: holds no analysis"),
        (["analyze", "nowhere", "--horizon", "tiny"], 2, "error: --horizon: 'tiny' is not RUN=TOKENS"),
        (["datasets", "mirror", "nothing", "mirror"], 2, "no built-in suite 'nothing'"),
    ],
)
def test_an_error_is_one_line_on_standard_error(
    arguments: list[str], code: int, message: str, fineline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = fineline(*arguments)
    assert said.code == code
    assert message in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"run__nam": "tiny"}, "spec.run.nam: unknown field"),
        ({"run": {"name": "../tiny"}}, "spec.run.name: "),
        ({"engine": {"dtype": "float8"}}, "spec.engine.dtype: "),
        ({"pods": {"attempts": "three"}}, "spec.pods.attempts: "),
        ({"suite": {"name": "none-such"}}, "suite.name: no built-in suite 'none-such'; known are "),
        ({"suite": {"configMap": "mine"}}, "spec.suite.configMap: no ConfigMap mine in this file, and no folder "),
    ],
)
def test_a_field_that_can_not_be_meant_is_named(
    spec: dict[str, Any], message: str, run_folder: Path, fineline: Any
) -> None:
    values = evaluation_values(**{"checkpoints__uri": f"file://{run_folder}/checkpoints/", **spec})
    said = fineline("plan", _write(run_folder / "eval.yaml", values), "--results", run_folder / "results")
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert message in said.err
    assert not (run_folder / "results").exists()


def test_results_are_required_somewhere(run_folder: Path, fineline: Any) -> None:
    values = evaluation_values(checkpoints__uri=f"file://{run_folder}/checkpoints/")
    said = fineline("plan", _write(run_folder / "eval.yaml", values))
    assert (said.code, "spec.results: is required here" in said.err) == (2, True)


def test_a_plan_as_a_table_tells_what_is_to_do_and_what_is_put_aside(eval_file: Path, fineline: Any) -> None:
    said = fineline("plan", eval_file)
    assert said.code == 0
    assert "2 checkpoints x 1 tasks = 2 units: 2 to do, 0 already there, 0 failed before" in said.out
    assert "step20" in said.out
    assert "config.json is missing" in said.out


def test_a_plan_as_json_and_csv_can_be_read_by_programs(eval_file: Path, fineline: Any) -> None:
    (row,) = json.loads(fineline("plan", eval_file, "-o", "json").out)
    assert (row["checkpoints"], row["units"], row["to_do"], row["reused"]) == (2, 2, 2, 0)
    assert [item["step"] for item in row["checkpoint_list"]] == [10, 30]
    assert row["put_aside"][0]["name"] == "step20"
    (line,) = _rows(fineline("plan", eval_file, "-o", "csv").out)
    assert (line["evaluation"], line["to_do"]) == ("tiny", "2")


def test_a_plan_of_several_evaluations_has_a_row_for_each(eval_file: Path, fineline: Any) -> None:
    values = yaml.safe_load(eval_file.read_text())
    second = values | {"metadata": {"name": "second"}}
    _write(eval_file, values, second)
    assert [row["evaluation"] for row in json.loads(fineline("plan", eval_file, "-o", "json").out)] == [
        "tiny",
        "second",
    ]


def test_checkpoints_are_shown_in_each_format(run_folder: Path, fineline: Any) -> None:
    said = fineline("checkpoints", run_folder / "checkpoints", "--tokens-per-step", 1000)
    assert said.code == 0
    assert "step20" in said.out
    rows = json.loads(fineline("checkpoints", run_folder / "checkpoints", "-o", "json").out)
    assert [(row["step"], row["complete"]) for row in rows] == [(10, True), (20, False), (30, True)]
    assert "config.json is missing" in rows[1]["missing"]
    lines = _rows(fineline("checkpoints", f"file://{run_folder}/checkpoints/", "-o", "csv").out)
    assert [line["step"] for line in lines] == ["10", "20", "30"]


def test_results_are_shown_in_each_format_and_as_parquet(run_folder: Path, fineline: Any) -> None:
    import polars as pl

    uri = f"file://{run_folder}/results/"
    commit(open_store(uri), value=float("nan"))
    commit(open_store(uri), UnitAddress("other", "main", 5, "rte", "1" * 16))
    assert "piqa" in fineline("results", run_folder / "results").out
    first, *_ = rows = json.loads(
        fineline("results", uri, "-o", "json").out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    assert {row["run"] for row in rows} == {"tiny", "other"}
    assert next(row["value"] for row in rows if row["run"] == "tiny") is None
    assert first["evaluated_at"].startswith("2026-01-01")
    assert [row["task"] for row in _rows(fineline("results", uri, "--run", "other", "-o", "csv").out)] == ["rte"]
    samples = json.loads(fineline("results", uri, "--samples", "--task", "piqa", "-o", "json").out)
    assert [sample["prediction"] for sample in samples] == ["1"]
    assert fineline("results", uri, "--parquet", run_folder / "all.parquet").code == 0
    assert pl.read_parquet(run_folder / "all.parquet").height == 2


def test_results_that_can_not_be_read_are_named_and_the_rest_is_shown(run_folder: Path, fineline: Any) -> None:
    store = open_store(f"file://{run_folder}/results/")
    commit(store)
    broken = UnitAddress("tiny", "main", 2000, "piqa", ADDRESS.key)
    store.put(broken.metrics, b"cut")
    said = fineline("results", run_folder / "results", "-o", "json")
    assert len(json.loads(said.out)) == 1
    assert broken.metrics in said.err


def test_suites_and_their_tasks_are_listed(fineline: Any) -> None:
    names = [row["suite"] for row in json.loads(fineline("suites", "-o", "json").out)]
    assert names == ["fine-line", "fine-line-mini", "loss"]
    assert "fine-line-mini" in fineline("suites").out
    tasks = _rows(fineline("suites", "fine-line-mini", "-o", "csv").out)
    assert {"task", "domain", "shots", "documents"} <= set(tasks[0])


def test_the_crds_are_yaml(fineline: Any) -> None:
    documents = list(yaml.safe_load_all(fineline("crds").out))
    assert {document["kind"] for document in documents} == {"CustomResourceDefinition"}
    kinds = [document["spec"]["names"]["kind"] for document in documents]
    assert kinds == ["CheckpointEval", "CheckpointSource", "TrajectoryAnalysis"]


def test_names_with_markup_or_control_characters_are_printed_harmlessly(tmp_path: Path, fineline: Any) -> None:
    folder = tmp_path / "checkpoints"
    for name in ("step10", r"step1-[red]", r"step2-\[bold]", "step3-\x1b[2J", "step4-:boom:"):
        listed_checkpoint(folder / name)
    said = fineline("checkpoints", folder)
    values = evaluation_values(checkpoints__uri=f"file://{folder}/", results=f"file://{tmp_path}/results/")
    planned = fineline("plan", _write(tmp_path / "eval.yaml", values))
    shown = said.out + said.err + planned.out + planned.err
    assert "\x1b" not in shown
    assert "step1-[red]" in shown
    assert r"step2-\[bold]" in shown
    assert "step3-\ufffd[2J" in shown
    assert "step4-:boom:" in shown


def test_a_closed_pipe_is_no_error(eval_file: Path) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m fineline_cli.main crds | head -c 10"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert ended.stderr == ""


def test_a_run_of_which_nothing_can_be_evaluated_is_one_error(tmp_path: Path, fineline: Any) -> None:
    for step in (10, 20, 30):
        listed_checkpoint(tmp_path / "checkpoints" / f"step{step}", tokenizer=False)
    values = evaluation_values(checkpoints__uri=f"file://{tmp_path}/checkpoints/", results=f"file://{tmp_path}/r/")
    said = fineline("plan", _write(tmp_path / "eval.yaml", values))
    assert said.code == 1
    assert said.err.startswith("error: none of 3 checkpoints can be evaluated, such as this: file://")
    assert said.err.count("\n") == 1
    assert "spec.checkpoints.tokenizer" in said.err
