"""Bad input fails alone: one clear line that names the file or field, the right exit code, and the rest is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fineline.plan import Plan
from fineline.store import Store
from support.models import make_checkpoint, make_tokenizer, read_tensors, write_tensors
from support.slices import Done, Site, do_slice, make_mirror, upload

GOOD = (10, 900)
FILE_AT_FAULT = {
    20: ("WeightsUnreadable", "step20/model.safetensors: "),
    30: ("TensorMissing", "step30: tensor model.norm.weight is missing"),
    40: ("ConfigMismatch", "step40: config.json and weights disagree: hidden_size is 96"),
    50: ("NotFinite", "step50: every log-probability on a plain text is NaN or infinite"),
    60: ("TokenizerMismatch", "step60: the tokenizer has ids up to "),
    70: ("ConfigMismatch", "step70/config.json"),
    80: ("ContextTooLong", "step80: spec.engine.maxModelLen: 256 is more than the checkpoint's window of 64"),
    90: ("TokenizerMissing", "step90: its tokenizer can't be read: "),
    95: ("ConfigMismatch", "step95: config.json: vocab_size is "),
}
"""What the evaluator finds out, by step: the reason, and a part of the message."""

PUT_ASIDE = {
    "step110": ("ShardMissing", "model-00002-of-00002.safetensors is missing"),
    "step120": ("PickleRefused", "which can run code when they are read"),
    "step130": ("TokenizerMissing", "spec.checkpoints.tokenizer"),
}
"""What the listing tells already."""


def _make_broken(folder: Path) -> None:
    """One checkpoint with each fault between two good ones."""
    for step in (*GOOD, 20, 30, 40, 50, 60, 70, 90, 95, 120, 130):
        make_checkpoint(folder / f"step{step}", seed=step)
    make_checkpoint(folder / "step80", seed=80, max_position_embeddings=64)
    make_checkpoint(folder / "step110", seed=110, shards=2)
    weights = folder / "step20" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    _change_tensors(folder / "step30", lambda tensors: tensors.pop("model.norm.weight"))
    _change_config(folder / "step40", hidden_size=96)
    _change_tensors(folder / "step50", lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))
    make_tokenizer(folder / "step60", vocab_size=600)
    (folder / "step70" / "config.json").write_text('{"model_type": "llama", ')
    (folder / "step90" / "tokenizer.json").write_text('{"version": "1.0", ')
    _change_config(folder / "step95", vocab_size="many")
    (folder / "step110" / "model-00002-of-00002.safetensors").unlink()
    (folder / "step120" / "model.safetensors").rename(folder / "step120" / "pytorch_model.bin")
    for file in (folder / "step130").glob("*token*"):
        file.unlink()


def _change_tensors(folder: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    tensors = read_tensors(folder)
    change(tensors)
    write_tensors(folder, tensors)


def _change_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("inputs")
    _make_broken(folder / "broken")
    for step in (1, 2):
        make_checkpoint(folder / "sound" / f"step{step}", seed=step)
    make_mirror(folder / "mirror")
    return Site(f"file://{folder}/broken/", f"file://{folder}/mirror/", f"file://{folder}/results/")


@pytest.fixture
def sound(inputs: Site, tmp_path: Path) -> Site:
    """Two good checkpoints, and fresh results."""
    return replace(
        inputs, checkpoints=inputs.checkpoints.replace("broken", "sound"), results=f"file://{tmp_path}/results/"
    )


@pytest.fixture(scope="module")
def broken(inputs: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Plan, Done]:
    plan = inputs.plan("letters")
    return inputs, plan, do_slice(plan.slices(1)[0], tmp_path_factory.mktemp("scratch"))


def test_the_good_checkpoints_around_broken_ones_are_done(broken: tuple[Site, Plan, Done]) -> None:
    site, _, done = broken
    assert sorted(site.contents()) == [(step, "letters") for step in GOOD]
    assert done.code == 3
    assert done.message == "2 published, 0 already there, 9 failed; the reasons stand in the units' failed.json"
    assert site.names("attempt-") == [f"{step}/letters" for step in GOOD]


@pytest.mark.parametrize("step", sorted(FILE_AT_FAULT))
def test_a_broken_checkpoint_fails_with_its_reason_in_one_line(step: int, broken: tuple[Site, Plan, Done]) -> None:
    site, _, _ = broken
    failure = site.failures()[step, "letters"]
    reason, message = FILE_AT_FAULT[step]
    assert (failure["reason"], failure["scope"]) == (reason, "checkpoint")
    assert message in failure["message"]
    assert site.checkpoints in failure["message"]
    assert "\n" not in failure["message"]
    assert len(failure["message"]) < 600
    assert "scratch" not in failure["message"]


@pytest.mark.parametrize("name", sorted(PUT_ASIDE))
def test_a_checkpoint_that_the_listing_tells_is_bad_is_put_aside(name: str, broken: tuple[Site, Plan, Done]) -> None:
    _, plan, _ = broken
    aside = {item.name: item for item in plan.put_aside}[name]
    assert aside.reason == PUT_ASIDE[name][0]
    assert PUT_ASIDE[name][1] in aside.message


def test_the_same_reasons_are_found_in_a_bucket(
    broken: tuple[Site, Plan, Done], s3_prefix: str, tmp_path: Path
) -> None:
    here, plan_here, _ = broken
    upload(Path(here.checkpoints.removeprefix("file://")), f"{s3_prefix}checkpoints/")
    upload(Path(here.mirror.removeprefix("file://")), f"{s3_prefix}mirror/")
    site = Site(f"{s3_prefix}checkpoints/", f"{s3_prefix}mirror/", f"{s3_prefix}results/")
    plan = site.plan("letters")
    assert do_slice(plan.slices(1)[0], tmp_path / "scratch").code == 3
    assert {unit: failure["reason"] for unit, failure in site.failures().items()} == {
        unit: failure["reason"] for unit, failure in here.failures().items()
    }
    assert {item.name: item.reason for item in plan.put_aside} == {i.name: i.reason for i in plan_here.put_aside}
    assert {unit: content[1] for unit, content in site.contents().items()} == {
        unit: content[1] for unit, content in here.contents().items()
    }


def test_bad_tasks_fail_alone_and_named(sound: Site, tmp_path: Path) -> None:
    done = do_slice(sound.slice("letters", "absent", "wordy", "no_such_task", "sums"), tmp_path / "scratch")
    assert done.code == 3
    assert sorted(sound.contents()) == [(step, task) for step in (1, 2) for task in ("letters", "sums")]
    failures = {task: failure for (step, task), failure in sound.failures().items() if step == 2}
    assert {task: failure["reason"] for task, failure in failures.items()} == {
        "absent": "SplitMissing",
        "wordy": "ContextTooLong",
        "no_such_task": "TaskUnknown",
    }
    assert "lacks split 'test' of tiny/absent, config default (it has: train)" in failures["absent"]["message"]
    assert "window of 256" in failures["wordy"]["message"]
    assert failures["no_such_task"]["message"].startswith("no_such_task: ")
    assert {failure["scope"] for failure in failures.values()} == {"task"}
    assert not any(name.endswith(tuple(failures)) for name in sound.names("attempt-"))


def test_data_that_changed_since_the_plan_fail_their_own_task_alone(sound: Site, tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror")
    site = replace(sound, mirror=f"file://{mirror}/")
    work = site.slice("letters", "sentences")
    split = "tiny/{}/default/test.parquet"
    (mirror / split.format("sentences")).write_bytes((mirror / split.format("letters")).read_bytes())
    assert do_slice(work, tmp_path / "scratch").code == 3
    assert {unit: failure["reason"] for unit, failure in site.failures().items()} == {
        (step, "sentences"): "DataMismatch" for step in (1, 2)
    }
    assert "sentences: its data in file://" in site.failures()[1, "sentences"]["message"]
    assert sorted(site.contents()) == [(1, "letters"), (2, "letters")]


def test_a_checkpoint_overwritten_or_deleted_after_the_plan_fails_alone(
    sound: Site, store: Store, tmp_path: Path
) -> None:
    checkpoints = Path(sound.checkpoints.removeprefix("file://"))
    site = replace(sound, checkpoints=f"{store.uri}run/", results=f"{store.uri}results/")
    for step in (1, 2, 3, 4):
        upload(checkpoints / "step1", f"{store.uri}run/step{step}/")
    work = site.slice("letters")
    store.put("run/step2/model.safetensors", (checkpoints / "step2" / "model.safetensors").read_bytes())
    store.delete("run/step3/model.safetensors")
    done = do_slice(work, tmp_path / "scratch")
    assert done.code == 3
    assert sorted(site.contents()) == [(1, "letters"), (4, "letters")]
    changed, vanished = site.failures()[2, "letters"], site.failures()[3, "letters"]
    assert (changed["reason"], vanished["reason"]) == ("CheckpointChanged", "CheckpointVanished")
    assert changed["message"].startswith(f"{store.uri}run/step2: overwritten since it was listed: ")
    assert vanished["message"].startswith(f"{store.uri}run/step3: gone since it was listed: ")
    assert {item.step for item in site.plan("letters").order.checkpoints} == {1, 2, 4}
    assert [site.plan("letters").order.address(unit).step for unit in site.plan("letters").todo] == [2]
