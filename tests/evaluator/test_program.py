"""The evaluator's program reads its slice, or says in one line why not, with exit code 4."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fineline.plan import Slice, key_inputs, unit_key
from support.slices import Pod, Site, make_mirror, make_run


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("inputs")
    return Site(
        checkpoints=f"file://{make_run(folder / 'checkpoints', steps=(1, 2))}/",
        mirror=f"file://{make_mirror(folder / 'mirror')}/",
        results=f"file://{folder}/results/",
    )


@pytest.fixture
def work(inputs: Site, tmp_path: Path) -> Slice:
    return replace(inputs, results=f"file://{tmp_path}/results/").slice("letters")


def evaluator(slice_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    message = str(slice_file.parent / "message")
    command = [sys.executable, "-m", "fineline_evaluator.main", "--slice", str(slice_file)]
    return subprocess.run(
        [*command, "--termination-message", message, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_help_has_an_example() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fineline_evaluator.main", "--help"], capture_output=True, text=True, check=True
    )
    assert "example: fineline-evaluator --slice" in ended.stdout


@pytest.mark.parametrize("fault", ["missing", "truncated", "another plan's", "another version's", "changed"])
def test_a_slice_that_is_not_the_planned_one_is_refused(fault: str, work: Slice, tmp_path: Path) -> None:
    file = tmp_path / "slice.json"
    values = json.loads(work.to_json())
    arguments: tuple[str, ...] = ()
    match fault:
        case "missing":
            expected = "slice.json: the slice can't be read: No such file"
        case "truncated":
            file.write_bytes(work.to_json()[:-50])
            expected = "slice.json: not a slice of a plan: truncated, or no JSON"
        case "another plan's":
            file.write_bytes(work.to_json())
            arguments = ("--digest", "0" * 64)
            expected = "slice.json: not the slice that the plan names (its digest differs); plan again"
        case "another version's":
            values["order"] |= {"version": 7, "a_new_field": True}
            file.write_text(json.dumps(values))
            expected = "slice.json: plan version 7; this evaluator reads 1; plan again"
        case _:
            values["order"]["a_new_field"] = True
            file.write_text(json.dumps(values))
            expected = "slice.json: not a slice of a plan: order.a_new_field: Extra inputs are not permitted"
    ended = evaluator(file, *arguments)
    assert ended.returncode == 4
    last_line = ended.stderr.splitlines()[-1]
    assert expected in last_line
    assert "Traceback" not in ended.stderr
    assert last_line == f"fineline-evaluator: {(tmp_path / 'message').read_text()}"


def test_a_slice_with_the_digest_that_the_plan_names_is_taken(work: Slice, tmp_path: Path) -> None:
    assert Pod(work, tmp_path / "pod", arguments=("--digest", work.digest)).start().wait() == 0


def test_a_slice_of_another_version_of_keys_is_refused_before_any_work(
    inputs: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fineline.plan.keys.KeyInputs.__init__.__defaults__", (99,))
    site = replace(inputs, results=f"file://{tmp_path}/results/")
    work = site.slice("letters")
    monkeypatch.undo()
    pod = Pod(work, tmp_path / "pod").start()
    assert pod.wait() == 4
    assert "slice 0: the key of letters at step 1 is not of its inputs" in pod.last_line
    assert not (tmp_path / "results").exists()


def test_engine_arguments_that_can_not_be_meant_end_the_slice_and_fail_no_unit(inputs: Site, tmp_path: Path) -> None:
    """A resource with such arguments is refused; a slice may come from elsewhere."""
    site = replace(inputs, results=f"file://{tmp_path}/results/")
    work = site.slice("letters")
    engine = work.order.engine.model_copy(update={"args": {"trust_remote_code": True}})
    order = work.order.model_copy(update={"engine": engine})
    units = tuple(
        unit.model_copy(
            update={"key": unit_key(key_inputs(order, order.checkpoints[unit.checkpoint], order.tasks[unit.task]))}
        )
        for unit in work.units
    )
    pod = Pod(work.model_copy(update={"order": order, "units": units}), tmp_path / "pod").start()
    assert pod.wait() == 4
    assert "spec.engine.args.trust_remote_code: can't be set" in pod.last_line
    assert site.failures() == {}
    assert site.names("attempt-") == []


@pytest.mark.engine
def test_a_checkpoint_swapped_into_a_warm_vllm_gives_the_samples_of_a_fresh_one(inputs: Site, tmp_path: Path) -> None:
    engine = {"backend": "vllm", "dtype": "float32", "maxModelLen": 256}
    engine |= {"args": {"threads": 1, "kv_cache_memory_bytes": 1 << 26}}
    warm = replace(inputs, results=f"file://{tmp_path}/warm/")
    fresh = replace(inputs, results=f"file://{tmp_path}/fresh/")
    second = {"checkpoints__select": {"steps": [2]}}
    both = Pod(warm.slice(engine=engine), tmp_path / "both").start()
    assert both.wait(300) == 0, both.log
    alone = Pod(fresh.slice(engine=engine, **second), tmp_path / "alone").start()
    assert alone.wait(300) == 0, alone.log
    loads = [json.loads(line) for line in (tmp_path / "both" / "stdout").read_text().splitlines() if '"load"' in line]
    assert [load["load"] for load in loads] == ["started", "swapped"]
    swapped = {unit: content for unit, content in warm.contents().items() if unit[0] == 2}
    assert swapped == fresh.contents()
