"""A plan is made from listings: which checkpoints, which units are left, which can't be evaluated and why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from fineline.errors import CheckpointError, SpecError, StoreNotFound
from fineline.plan import Plan, make_plan
from fineline.results import UnitAddress
from fineline.store import Store, open_store
from support.evaluations import evaluation, listed_checkpoint

TASKS = [{"task": "piqa", "domain": "reasoning"}, {"task": "winogrande", "domain": "language", "limit": 10}]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    for step in (10, 20, 30):
        listed_checkpoint(tmp_path / "checkpoints" / f"step{step}")
    return tmp_path / "checkpoints"


def plan(checkpoints: Path, **spec: Any) -> Plan:
    uri = f"file://{checkpoints}/"
    values: dict[str, Any] = {"checkpoints__uri": uri, "suite__tasks": TASKS, **spec}
    return make_plan(evaluation(**values), results_uri=f"file://{checkpoints.parent}/results/")


def results(checkpoints: Path) -> Store:
    return open_store(f"file://{checkpoints.parent}/results/")


def keys(made: Plan) -> dict[tuple[int, str], str]:
    return {(address.step, address.task): address.key for address in made.addresses}


def test_every_checkpoint_meets_every_task(checkpoints: Path) -> None:
    made = plan(checkpoints)
    assert [(item.step, item.tokens) for item in made.order.checkpoints] == [(10, 10_000), (20, 20_000), (30, 30_000)]
    assert len(made.todo) == made.units == 6
    assert made.estimated_tokens > 0


def test_units_that_have_a_result_or_failed_for_good_are_not_planned_again(checkpoints: Path) -> None:
    first, second, *_ = plan(checkpoints).addresses
    results(checkpoints).put(first.metrics, b"any content: the listing is the truth")
    results(checkpoints).put(second.failed, b"{}")
    again = plan(checkpoints)
    assert again.reused == (first,)
    assert again.failed == (second,)
    assert len(again.todo) == 4


def test_a_commit_outweighs_a_failure_record(checkpoints: Path) -> None:
    first = plan(checkpoints).addresses[0]
    results(checkpoints).put(first.failed, b"{}")
    results(checkpoints).put(first.metrics, b"")
    assert plan(checkpoints).failed == ()


def test_a_result_of_another_key_is_not_reused(checkpoints: Path) -> None:
    first = plan(checkpoints).addresses[0]
    other = UnitAddress(first.run, first.branch, first.step, first.task, "0" * 16)
    results(checkpoints).put(other.metrics, b"")
    assert plan(checkpoints).reused == ()


@pytest.mark.parametrize(
    "spec",
    [
        {"engine__dtype": "float32"},
        {"engine__addBos": True},
        {"engine__maxModelLen": 512},
        {"suite__tasks": [{"task": "piqa", "domain": "reasoning", "shots": 1}]},
        {"suite__tasks": [{"task": "piqa", "domain": "reasoning", "limit": 5}]},
    ],
)
def test_settings_that_change_numbers_change_the_key(checkpoints: Path, spec: dict[str, Any]) -> None:
    assert keys(plan(checkpoints, **spec))[10, "piqa"] != keys(plan(checkpoints))[10, "piqa"]


@pytest.mark.parametrize(
    "spec",
    [
        {"engine__args": {"max_num_seqs": 4}},
        {"engine__tensorParallelSize": 2},
        {"pods__parallelism": 8},
        {"suite__tasks": [{"task": "piqa", "domain": "elsewhere"}]},
    ],
)
def test_settings_that_change_no_numbers_keep_the_key(checkpoints: Path, spec: dict[str, Any]) -> None:
    assert keys(plan(checkpoints, **spec))[10, "piqa"] == keys(plan(checkpoints))[10, "piqa"]


def test_an_overwritten_checkpoint_is_evaluated_again(checkpoints: Path) -> None:
    before = keys(plan(checkpoints))
    (checkpoints / "step20" / "config.json").write_text('{"vocab_size": 9}')
    after = keys(plan(checkpoints))
    assert after[20, "piqa"] != before[20, "piqa"]
    assert after[10, "piqa"] == before[10, "piqa"]


def test_incomplete_and_refused_checkpoints_are_put_aside_with_the_reason(checkpoints: Path) -> None:
    (checkpoints / "step20" / "config.json").unlink()
    listed_checkpoint(checkpoints / "step40", tokenizer=False)
    (checkpoints / "step50").mkdir()
    (checkpoints / "step50" / "pytorch_model.bin").write_bytes(b"pickle")
    made = plan(checkpoints)
    assert [item.step for item in made.order.checkpoints] == [10, 30]
    reasons = {item.name: item.reason for item in made.put_aside}
    assert reasons["step40"] == "TokenizerMissing"
    assert reasons["step50"] == "PickleRefused"
    assert "step20" in reasons


def test_tokenizer_and_config_may_come_from_elsewhere(checkpoints: Path, tmp_path: Path) -> None:
    elsewhere = listed_checkpoint(tmp_path / "elsewhere")
    for step in (10, 20, 30):
        (checkpoints / f"step{step}" / "tokenizer.json").unlink()
        (checkpoints / f"step{step}" / "config.json").unlink()
    made = plan(
        checkpoints,
        checkpoints__tokenizer=f"file://{elsewhere}/",
        checkpoints__config=f"file://{elsewhere}/config.json",
    )
    files = {file.local_name: file.folder_uri for file in made.order.checkpoints[0].files}
    assert files["tokenizer.json"] == files["config.json"] == f"file://{elsewhere}/"
    before = keys(made)
    (elsewhere / "config.json").write_text('{"vocab_size": 10}')
    after = plan(
        checkpoints,
        checkpoints__tokenizer=f"file://{elsewhere}/",
        checkpoints__config=f"file://{elsewhere}/config.json",
    )
    assert keys(after)[10, "piqa"] != before[10, "piqa"]


def test_a_missing_tokenizer_or_config_elsewhere_names_the_field(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match=r"spec\.checkpoints\.tokenizer: .*holds no tokenizer"):
        plan(checkpoints, checkpoints__tokenizer=f"file://{tmp_path}/empty/")
    with pytest.raises(SpecError, match=r"spec\.checkpoints\.config: .*is not there"):
        plan(checkpoints, checkpoints__config=f"file://{tmp_path}/empty/config.json")


def test_selection_narrows_the_plan(checkpoints: Path) -> None:
    assert [c.step for c in plan(checkpoints, checkpoints__select={"last": 2}).order.checkpoints] == [20, 30]
    assert [c.step for c in plan(checkpoints, checkpoints__select={"every": 2}).order.checkpoints] == [10, 30]
    made = plan(checkpoints, checkpoints__select={"steps": [10, 11]})
    assert [c.step for c in made.order.checkpoints] == [10]
    assert made.put_aside[0].reason == "CheckpointVanished"


def test_a_folder_without_a_position_is_put_aside_but_not_where_checkpoints_are_pinned(checkpoints: Path) -> None:
    """A source makes CheckpointEvals of pinned ones: a folder that nobody placed is no failure of theirs."""
    listed_checkpoint(checkpoints / "final")
    assert [(item.name, item.reason) for item in plan(checkpoints).put_aside] == [("final", "PositionUnknown")]
    made = plan(checkpoints, checkpoints__pinned=[{"step": 10}])
    assert [item.step for item in made.order.checkpoints] == [10]
    assert made.put_aside == ()


@pytest.mark.parametrize("empty", [False, True])
def test_pinned_checkpoints_that_are_all_gone_or_changed_leave_an_empty_plan(checkpoints: Path, empty: bool) -> None:  # noqa: FBT001 - a case
    if empty:
        for folder in checkpoints.iterdir():
            shutil.rmtree(folder)
    made = plan(checkpoints, checkpoints__pinned=[{"step": 10, "digest": "0" * 64}, {"step": 11}])
    assert (made.units, made.todo) == (0, ())
    reasons = [item.reason for item in made.put_aside]
    assert reasons == ["CheckpointVanished" if empty else "CheckpointChanged", "CheckpointVanished"]
    assert not any(item.passing for item in made.put_aside)


def test_nothing_there_is_one_clear_error(tmp_path: Path, s3_environment: dict[str, str]) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint is there"):
        plan(tmp_path / "checkpoints")
    listed_checkpoint(tmp_path / "checkpoints" / "step10", tokenizer=False)
    with pytest.raises(CheckpointError, match=r"spec\.checkpoints\.tokenizer"):
        plan(tmp_path / "checkpoints")
    with pytest.raises(StoreNotFound, match="no-such-bucket"):
        make_plan(evaluation(checkpoints__uri="s3://no-such-bucket/"), results_uri=f"file://{tmp_path}/results/")


def test_slices_carry_only_what_their_units_need_and_can_be_read_back(checkpoints: Path) -> None:
    from fineline.plan import Slice

    made = plan(checkpoints)
    slices = made.slices(3)
    assert [len(each.order.checkpoints) for each in slices] == [1, 1, 1]
    together = {each.order.address(unit) for each in slices for unit in each.units}
    assert together == set(made.addresses)
    for each in slices:
        assert Slice.from_json(each.to_json(), "slice.json") == each


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"index": 0', b"\xff"])
def test_a_slice_that_is_none_is_refused_by_name(data: bytes) -> None:
    from fineline.plan import Slice

    with pytest.raises(SpecError, match=r"^slice\.json: not a slice of a plan"):
        Slice.from_json(data, "slice.json")
