"""A mirror is filled with what a suite reads, and holds what its manifest says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fineline.datasets import data_digest, read_manifest, read_mirror
from fineline.store import Store, open_store
from fineline.suites import CustomSuite, parse
from fineline_evaluator.tasks import TaskLibrary, TaskSettings, mirror
from support.models import make_tokenizer
from support.tasks import BENCHMARKS, needs_benchmarks

pytestmark = needs_benchmarks

SUITE = "tasks: [{task: rte, shots: 0, domain: exam}, {task: copa, shots: 0, domain: exam}]"


@pytest.fixture
def benchmarks() -> Store:
    return open_store(BENCHMARKS.as_uri() + "/")


def a_suite(text: str = SUITE) -> CustomSuite:
    return parse({"suite.yaml": text}, "own")


def test_only_what_the_tasks_read_is_mirrored(benchmarks: Store, tmp_path: Path) -> None:
    said: list[str] = []
    destination = open_store(tmp_path.as_uri() + "/mirror/")
    report = mirror(a_suite(), destination, benchmarks, said.append)
    assert report.copied == ("aps/super_glue/copa/validation.parquet", "nyu-mll/glue/rte/validation.parquet")
    assert [item.name for item in destination.list()] == [*report.copied[:1], "mirror.json", *report.copied[1:]]
    assert said == ["1/2 aps/super_glue/copa/validation.parquet", "2/2 nyu-mll/glue/rte/validation.parquet"]


def test_a_mirrored_task_asks_what_the_original_asks(benchmarks: Store, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path / "tokenizer")
    destination = open_store(tmp_path.as_uri() + "/mirror/")
    mirror(a_suite(), destination, benchmarks)
    settings = TaskSettings("rte", shots=0, limit=10, window=1024)
    original = TaskLibrary(benchmarks, tmp_path / "one").compile(settings, tokenizer)
    mirrored = TaskLibrary(destination, tmp_path / "two").compile(settings, tokenizer)
    assert mirrored.loglikelihoods == original.loglikelihoods
    assert mirrored.documents.equals(original.documents)


def test_mirroring_again_copies_nothing_and_changes_no_digest(benchmarks: Store, tmp_path: Path) -> None:
    destination = open_store(tmp_path.as_uri() + "/mirror/")
    first = mirror(a_suite(), destination, benchmarks)
    second = mirror(a_suite(), destination, benchmarks)
    assert (second.copied, second.kept) == ((), first.copied)
    assert second.digests == first.digests == read_manifest(destination)


def test_a_mirror_keeps_what_an_earlier_suite_brought(benchmarks: Store, tmp_path: Path) -> None:
    destination = open_store(tmp_path.as_uri() + "/mirror/")
    mirror(a_suite(), destination, benchmarks)
    mirror(a_suite("tasks: [{task: piqa, shots: 0, domain: exam}]"), destination, benchmarks)
    assert sorted(read_manifest(destination)) == ["aps/super_glue/copa", "baber/piqa/default", "nyu-mll/glue/rte"]


def test_what_can_not_be_had_is_told_and_the_rest_is_mirrored(benchmarks: Store, tmp_path: Path) -> None:
    suite = a_suite("tasks: [{task: hellaswag, shots: 0, domain: exam}, {task: copa, shots: 0, domain: exam}]")
    report = mirror(suite, open_store(tmp_path.as_uri() + "/mirror/"), benchmarks)
    assert report.copied == ("aps/super_glue/copa/validation.parquet",)
    assert len(report.failed) == 1
    assert "Rowan/hellaswag" in report.failed[0]


def test_the_digest_in_the_key_is_the_digest_of_what_was_loaded(benchmarks: Store, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path / "tokenizer")
    task = TaskLibrary(benchmarks, tmp_path).compile(TaskSettings("rte", shots=0, limit=5, window=1024), tokenizer)
    assert task.data_digest == data_digest(["nyu-mll/glue/rte"], read_manifest(benchmarks))


def test_a_data_set_without_a_config_is_found_under_its_only_one(benchmarks: Store) -> None:
    held = read_mirror(benchmarks)
    assert held.resolve("openai/openai_humaneval", None) == "openai/openai_humaneval/openai_humaneval"
    assert held.resolve("baber/piqa", None) == "baber/piqa/default"
    assert held.resolve("cais/mmlu", None) is None
