"""The evaluator's program reads its slice, or says in one line why not, with exit code 4."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fineline.errors import SpecError
from fineline.plan import Slice, bundle, key_inputs, unit_key
from fineline.results import RunLabels, read_metrics
from fineline.store import open_store
from fineline_evaluator.arguments import read_arguments, read_work
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


def evaluator(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fineline_evaluator.main", "--termination-message", str(folder / "message")]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name != "JOB_COMPLETION_INDEX"} | environment,
    )


def last_line(ended: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1].removeprefix("fineline-evaluator: ")


def test_help_has_an_example() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fineline_evaluator.main", "--help"], capture_output=True, text=True, check=True
    )
    assert "fineline-evaluator --slice" in ended.stdout
    assert "JOB_COMPLETION_INDEX=0 fineline-evaluator --plan /plan" in ended.stdout


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
    ended = evaluator(tmp_path, "--slice", str(file), *arguments)
    assert ended.returncode == 4
    assert expected in last_line(ended)
    assert last_line(ended) == (tmp_path / "message").read_text()


@pytest.fixture
def mounted(inputs: Site, tmp_path: Path) -> Path:
    """A plan of two slices, as a pod sees its ConfigMaps."""
    site = replace(inputs, results=f"file://{tmp_path}/results/")
    plan = site.plan("letters", run__family="tinies", run__strategy={"data": "v2"})
    made = bundle(plan, plan.slices(2), made=datetime.now(UTC))
    (tmp_path / "plan").mkdir()
    for name, data in made.index.items():
        (tmp_path / "plan" / name).write_bytes(data)
    return tmp_path / "plan"


def test_each_pod_of_an_indexed_job_does_its_slice_of_the_mounted_plan(
    mounted: Path, inputs: Site, tmp_path: Path
) -> None:
    site = replace(inputs, results=f"file://{tmp_path}/results/")
    first = Pod(mounted, tmp_path / "first", environment={"JOB_COMPLETION_INDEX": "0"}).start()
    assert first.wait() == 0, first.log
    assert {step for step, _ in site.contents()} == {1}
    second = Pod(mounted, tmp_path / "second", arguments=("--index", "1")).start()
    assert second.wait() == 0, second.log
    assert {step for step, _ in site.contents()} == {1, 2}
    labels = read_metrics(open_store(site.results)).labels
    assert labels == {"tiny": RunLabels("tinies", None, 1000, {"data": "v2"})}


@pytest.mark.parametrize(
    ("arguments", "index", "expected"),
    [
        ((), "0", "one of the arguments --slice --plan is required; see --help"),
        (("--plan", "{plan}", "--slice", "x.json"), "0", "argument --slice: not allowed with argument --plan"),
        (("--plan", "{plan}"), "", "--plan: which slice? Give --index; an Indexed Job sets JOB_COMPLETION_INDEX"),
        (("--plan", "{plan}"), "two", "JOB_COMPLETION_INDEX: 'two' is not the number of a slice"),
        (("--plan", "{plan}"), "2", "the plan has 2 slices, counted from 0; there is no slice 2"),
        (("--plan", "{plan}", "--index", "-1"), "", "the plan has 2 slices, counted from 0; there is no slice -1"),
        (("--plan", "{plan}", "--index", "x"), "", "argument --index: invalid int value: 'x'"),
        (("--plan", "{plan}/nowhere"), "0", "nowhere/plan.json: can't be read: No such file or directory"),
        (("--plan", "{plan}", "--digest", "0"), "0", "argument --digest: goes with --slice"),
        (("--slice", "x.json", "--index", "0"), "", "argument --index: goes with --plan"),
    ],
)
def test_a_command_line_that_does_not_name_one_slice_is_refused(
    arguments: tuple[str, ...], index: str, expected: str, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["fineline-evaluator", *(each.format(plan=mounted) for each in arguments)])
    monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    with pytest.raises(SpecError) as caught:
        read_work(read_arguments(None))
    assert expected in str(caught.value)


def test_a_wrong_command_line_and_a_wrong_plan_end_with_one_clear_line(mounted: Path, tmp_path: Path) -> None:
    ended = evaluator(tmp_path, "--plan", str(mounted), "--slice", "x.json")
    assert ended.returncode == 4
    assert last_line(ended) == "argument --slice: not allowed with argument --plan; see --help"
    (mounted / "slice-00001.json.gz").write_bytes((mounted / "slice-00000.json.gz").read_bytes())
    ended = evaluator(tmp_path, "--plan", str(mounted), JOB_COMPLETION_INDEX="1")
    assert ended.returncode == 4
    assert "slice-00001.json.gz: not the slice that plan.json names" in last_line(ended)
    assert last_line(ended) == (tmp_path / "message").read_text()


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
