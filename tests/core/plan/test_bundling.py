"""A plan goes through ConfigMaps and comes back as it was, or is refused by the name of what is wrong."""

from __future__ import annotations

import base64
import doctest
import gzip
import json
import random
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

import fineline.plan.facts
from fineline.errors import SpecError
from fineline.plan import (
    Bundle,
    Plan,
    PlannedCheckpoint,
    PlannedFile,
    PlannedTask,
    PlannedUnit,
    PutAside,
    Slice,
    bundle,
    make_plan,
    read_facts,
    read_slice,
    read_slices,
    slice_count,
)
from fineline.results import FailedUnit
from fineline.store import open_store
from support.evaluations import evaluation, listed_checkpoint

MADE = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG_MAP_BYTES = 1 << 20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Three checkpoints and two tasks: one unit has a result, one failed, one checkpoint is not complete."""
    folder = tmp_path_factory.mktemp("plan")
    for step in (10, 20, 30):
        listed_checkpoint(folder / "checkpoints" / f"step{step}")
    listed_checkpoint(folder / "checkpoints" / "step40", tokenizer=False)
    resource = evaluation(
        checkpoints__uri=f"file://{folder}/checkpoints/",
        suite__tasks=[{"task": "piqa", "domain": "reasoning"}, {"task": "boolq", "domain": "knowledge"}],
        engine__tensorParallelSize=2,
    )

    def made() -> Plan:
        return make_plan(resource, results_uri=f"file://{folder}/results")

    first, second, *_ = made().addresses
    open_store(f"file://{folder}/results/").put(first.metrics, b"")
    open_store(f"file://{folder}/results/").put(second.failed, b"{}")
    return made()


def large(small: Plan, checkpoints: int, *, files: int = 30) -> Plan:
    """The same with more checkpoints, of names that hardly shrink."""
    dice = random.Random(7)

    def digits() -> str:
        return f"{dice.getrandbits(256):064x}"

    def checkpoint(step: int) -> PlannedCheckpoint:
        held = tuple(
            PlannedFile(folder_uri="s3://a/", name=digits(), local_name=digits(), size=step, etag=digits())
            for _ in range(files)
        )
        return PlannedCheckpoint(
            uri=f"s3://a/step{step}", branch="main", step=step, tokens=None, digest=digits(),
            tokenizer_digest=digits(), files=held,
        )  # fmt: skip

    order = small.order.model_copy(update={"checkpoints": tuple(checkpoint(step) for step in range(checkpoints))})
    units = tuple(PlannedUnit(checkpoint=number, task=0, key=digits()[:16]) for number in range(checkpoints))
    return Plan(order, units, (), (), ())


def packed(plan: Plan, slices: int) -> Bundle:
    return bundle(plan, plan.slices(slices), made=MADE)


def mounted(made: Bundle, folder: Path) -> Path:
    """As a projected volume shows them: all in one folder, through links."""
    (folder / "..data").mkdir(parents=True)
    for entries in (*made.chunks, made.index):
        for name, data in entries.items():
            (folder / "..data" / name).write_bytes(data)
            (folder / name).symlink_to(f"..data/{name}")
    return folder


def together(made: Bundle) -> dict[str, bytes]:
    return {name: data for entries in (*made.chunks, made.index) for name, data in entries.items()}


def base64_bytes(entries: Mapping[str, bytes]) -> int:
    return len(json.dumps({name: base64.b64encode(data).decode() for name, data in entries.items()}))


def test_a_small_plan_is_one_config_map(small: Plan, tmp_path: Path) -> None:
    made = packed(small, 2)
    assert made.chunks == ()
    assert sorted(made.index) == ["plan.json", "slice-00000.json.gz", "slice-00001.json.gz"]
    slices = small.slices(2)
    folder = mounted(made, tmp_path / "plan")
    assert [read_slice(folder, index) for index in range(2)] == list(slices)
    assert read_slices(made.index) == slices


def test_the_facts_say_what_the_operator_and_the_pods_need(small: Plan) -> None:
    facts = packed(small, 2).facts
    assert read_facts(packed(small, 2).index["plan.json"], "plan.json") == facts
    assert (facts.units, facts.todo, facts.reused, facts.failed_before) == (6, 4, 1, 1)
    assert (facts.checkpoints, facts.slices, facts.chunks, facts.put_aside) == (3, 2, 0, 1)
    assert facts.put_aside_example.startswith("step40: TokenizerMissing: ")
    assert facts.run_results_uri == f"{facts.results_uri}units/run=tiny/"
    assert facts.results_uri.endswith("/results/")
    assert facts.tensor_parallel_size == 2
    assert facts.made == MADE
    sizes = sorted(checkpoint.size for checkpoint in small.order.checkpoints)
    assert packed(small, 1).facts.checkpoint_bytes == sum(sizes[-2:])
    assert packed(small, 1).facts.largest_slice_units == 4
    assert facts.longest_unit_tokens == max(task.estimated_tokens or 0 for task in small.order.tasks)
    assert facts.slice_digests == tuple(part.digest for part in small.slices(2))


def test_a_checkpoint_put_aside_is_told_in_one_bounded_line(small: Plan) -> None:
    aside = PutAside("step9", "Incomplete", "no\nshards " * 100, passing=True)
    facts = packed(Plan(small.order, small.todo, (), (), (aside,)), 1).facts
    assert "\n" not in facts.put_aside_example
    assert len(facts.put_aside_example) == 300


def test_the_facts_name_what_will_have_no_result_whatever_is_done(small: Plan) -> None:
    asides = (
        PutAside("step8", "Incomplete", "a shard is missing", passing=True),
        *(PutAside(f"step{step}", "PickleRefused", "long " * 1000, passing=False) for step in range(9, 27)),
    )
    before = [FailedUnit(f"step {step}", "piqa", "TaskFailed", "no") for step in range(40)]
    plan = Plan(small.order, small.todo, (), small.failed, asides)
    facts = bundle(plan, plan.slices(1), made=MADE, failed_before=before).facts
    assert (facts.put_aside, facts.put_aside_for_good) == (19, 18)
    assert facts.put_aside_example.startswith("step9: PickleRefused: ")
    assert [(item.checkpoint, item.task) for item in facts.failures] == [
        *((f"step{step}", "") for step in range(9, 27)),
        ("step 0", "piqa"),
        ("step 1", "piqa"),
    ]
    assert max(len(item.message) for item in facts.failures) == 1024


def test_a_plan_with_nothing_to_do_is_its_facts_alone(small: Plan) -> None:
    made = packed(Plan(small.order, (), small.addresses, (), ()), 0)
    assert list(made.index) == ["plan.json"]
    assert (made.facts.todo, made.facts.slices) == (0, 0)
    assert read_slices(made.index) == ()


def test_a_large_plan_is_cut_into_config_maps_that_the_api_server_takes(small: Plan, tmp_path: Path) -> None:
    plan = large(small, 400)
    made = packed(plan, 40)
    assert made.facts.chunks == len(made.chunks) > 1
    for entries in (*made.chunks, made.index):
        assert base64_bytes(entries) <= 900 << 10
        assert sum(map(len, entries.values())) < CONFIG_MAP_BYTES
    assert read_slices(together(made)) == plan.slices(40)
    folder = mounted(made, tmp_path / "plan")
    assert read_slice(folder, 39) == plan.slices(40)[39]


def test_a_slice_larger_than_a_config_map_is_parted_and_joined(small: Plan, tmp_path: Path) -> None:
    plan = large(small, 400)
    made = packed(plan, 2)
    parts = [name for name in together(made) if name.startswith("slice-00001")]
    assert parts == [f"slice-00001.json.gz.{number:03d}" for number in range(len(parts))]
    assert len(parts) > 1
    assert all(base64_bytes(entries) <= 900 << 10 for entries in (*made.chunks, made.index))
    folder = mounted(made, tmp_path / "plan")
    assert (read_slice(folder, 0), read_slice(folder, 1)) == plan.slices(2) == read_slices(together(made))


def test_slices_that_fill_the_last_config_map_leave_the_index_one_of_its_own(
    small: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the sizes fall, `plan.json` stands in a ConfigMap that is small enough."""
    beside_slices = set()
    for most in range(2500, 6000, 50):
        monkeypatch.setattr("fineline.plan.bundling.CHUNK_BYTES", most)
        made = packed(small, 4)
        assert all(base64_bytes(entries) <= most for entries in (*made.chunks, made.index))
        assert made.facts.chunks == len(made.chunks)
        assert read_slices(together(made)) == small.slices(4)
        beside_slices.add(len(made.index) > 1)
    assert beside_slices == {True, False}


def test_a_plan_beyond_all_bounds_says_what_to_narrow(small: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = large(small, 400)
    needed = packed(plan, 40).facts.chunks + 1
    monkeypatch.setattr("fineline.plan.bundling.MOST_CHUNKS", needed)
    assert packed(plan, 40).facts.chunks + 1 == needed
    monkeypatch.setattr("fineline.plan.bundling.MOST_CHUNKS", needed - 1)
    expected = r"^spec\.checkpoints\.select: a plan of 400 units of 400 checkpoints needs more than \d ConfigMaps"
    with pytest.raises(SpecError, match=expected) as caught:
        packed(plan, 40)
    assert caught.value.reason == "PlanTooLarge"
    monkeypatch.undo()
    monkeypatch.setattr("fineline.plan.bundling.MOST_SLICE_BYTES", 10_000)
    with pytest.raises(SpecError, match=r"^spec\.checkpoints\.select: "):
        packed(plan, 40)


def test_the_same_plan_gives_the_same_bytes_at_any_time(small: Plan) -> None:
    first = packed(small, 2)
    second = bundle(small, small.slices(2), made=datetime(2027, 5, 5, tzinfo=UTC))
    assert first.facts.digest == second.facts.digest
    assert first.chunks == second.chunks
    without_facts = [
        {name: data for name, data in made.index.items() if name != "plan.json"} for made in (first, second)
    ]
    assert without_facts[0] == without_facts[1]


def test_what_a_plan_says_is_in_its_digest(small: Plan) -> None:
    order = small.order
    others = [
        packed(small, 1),
        packed(small, 2),
        packed(Plan(order, small.todo, (), (), ()), 1),
        packed(Plan(order.model_copy(update={"retry": "again"}), small.todo, small.reused, small.failed, ()), 1),
        packed(Plan(order.model_copy(update={"attempts": 9}), small.todo, small.reused, small.failed, ()), 1),
    ]
    assert len({made.facts.digest for made in others}) == len(others)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("no folder", r"plan/plan\.json: can't be read: No such file"),
        ("no plan.json", r"plan/plan\.json: can't be read: No such file"),
        ("foreign plan.json", r"plan/plan\.json: not a plan's plan\.json: truncated"),
        ("plan.json of another version", r"plan/plan\.json: plan version 9; this Fineline reads 1; plan again"),
        ("plan.json without a field", r"plan/plan\.json: not a plan's plan\.json: units: Field required"),
        ("no slice", r"plan/slice-00001\.json\.gz: is missing, though the plan has 2 slices"),
        ("another slice", r"plan/slice-00001\.json\.gz: not the slice that plan\.json names"),
        ("cut slice", r"plan/slice-00001\.json\.gz: truncated, or a part of it is missing"),
        ("no gzip", r"plan/slice-00001\.json\.gz: not gzip, or damaged"),
        ("a bomb", r"plan/slice-00001\.json\.gz: unpacks to more than 1 MiB"),
        ("two in one", r"plan/slice-00001\.json\.gz: truncated"),
    ],
)
def test_a_mounted_plan_that_is_not_whole_is_refused_by_the_file(
    fault: str, expected: str, small: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fineline.plan.bundling.MOST_SLICE_BYTES", 1 << 20)
    made = packed(small, 2)
    folder = tmp_path / "plan"
    second, facts = made.index["slice-00001.json.gz"], json.loads(made.index["plan.json"])
    if fault != "no folder":
        mounted(made, folder)
    changed: dict[str, tuple[str, bytes | None]] = {
        "no plan.json": ("plan.json", None),
        "foreign plan.json": ("plan.json", b"[]"),
        "plan.json of another version": ("plan.json", json.dumps(facts | {"version": 9, "new": 1}).encode()),
        "plan.json without a field": (
            "plan.json",
            json.dumps({k: v for k, v in facts.items() if k != "units"}).encode(),
        ),
        "no slice": ("slice-00001.json.gz", None),
        "another slice": ("slice-00001.json.gz", made.index["slice-00000.json.gz"]),
        "cut slice": ("slice-00001.json.gz", second[:-9]),
        "no gzip": ("slice-00001.json.gz", b"{}"),
        "two in one": ("slice-00001.json.gz", second + second),
    }
    if fault == "a bomb":
        changed[fault] = ("slice-00001.json.gz", gzip.compress(bytes(2 << 20)))
    if fault in changed:
        name, data = changed[fault]
        (folder / name).unlink()
        if data is not None:
            (folder / name).write_bytes(data)
    with pytest.raises(SpecError, match=expected):
        read_slice(folder, 1)


@pytest.mark.parametrize("index", [-1, 2, 10**9])
def test_an_index_beyond_the_plan_is_refused(index: int, small: Plan, tmp_path: Path) -> None:
    folder = mounted(packed(small, 2), tmp_path / "plan")
    with pytest.raises(SpecError, match=rf"plan: the plan has 2 slices, counted from 0; there is no slice {index}$"):
        read_slice(folder, index)


def test_a_missing_part_of_a_slice_is_told(small: Plan) -> None:
    entries = together(packed(large(small, 400), 1))
    del entries["slice-00000.json.gz.001"]
    with pytest.raises(SpecError, match=r"^slice-00000\.json\.gz: (not gzip, or damaged|truncated)"):
        read_slices(entries)


def test_large_work_is_cut_finer_than_the_pods_at_once() -> None:
    assert doctest.testmod(fineline.plan.facts).failed == 0
    assert slice_count(1, 0, 0) == 0
    assert slice_count(8, 0, 3) == 3
    assert slice_count(2, 100_000_000, 1000) == 2
    assert slice_count(2, 100_000_001, 1000) == 4
    assert slice_count(2, sys.maxsize, 1000) == 8


def test_a_mixture_of_slices_needs_the_disk_of_the_two_largest_checkpoints_of_one(small: Plan) -> None:
    plan = large(small, 6, files=1)
    assert packed(plan, 1).facts.checkpoint_bytes == 5 + 4
    assert packed(plan, 6).facts.checkpoint_bytes == 5
    assert isinstance(plan.order.tasks[0], PlannedTask)
    assert all(isinstance(part, Slice) for part in plan.slices(6))
