"""Locks say what lm-eval says: CI compares all of them with hack/make_suite_locks.py --check, these tests some."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from fineline.suites import LM_EVAL_VERSION, Suite, find_lock, load, lock, names, task_identity
from fineline_evaluator.tasks import TaskLibrary, TaskSettings
from fineline_evaluator.tasks.harness import find, outline
from fineline_evaluator.tasks.locks import FROM_DATA, lock_of
from support.tasks import needs_benchmarks

FEW = ("piqa", "winogrande", "gsm8k", "loss", "arc_easy_letters", "bbh_fewshot_word_sorting")


def test_the_locks_are_made_with_the_installed_lm_eval() -> None:
    assert version("lm-eval") == LM_EVAL_VERSION


@pytest.mark.parametrize("suite", names())
def test_every_task_of_a_built_in_suite_is_locked(suite: str) -> None:
    assert [task.task for task in load(suite).tasks if task.task not in lock(suite)] == []


@pytest.mark.parametrize("task", FEW)
def test_a_lock_equals_what_lm_eval_resolves_now(task: str) -> None:
    locked = find_lock(task)
    assert locked is not None
    made = lock_of(task, locked.shots, None)
    assert made["config_digest"] == locked.config_digest
    assert made["shots"] == locked.shots
    assert [(each["path"], each["config"], tuple(each["splits"])) for each in made["datasets"]] == [
        (each.path, each.config, each.splits) for each in locked.datasets
    ]
    assert {field: made[field] for field in FROM_DATA[:3]} == {"documents": None, "requests": None, "tokens": None}


@needs_benchmarks
def test_what_was_loaded_has_the_locks_digest_whatever_the_shots(library: TaskLibrary, checkpoint: Path) -> None:
    for task, shots in (("rte", 0), ("winogrande", 0), ("gsm8k", 5), ("gsm8k", 2)):
        compiled = library.compile(TaskSettings(task, shots=shots, limit=2, window=1024), checkpoint)
        assert compiled.config_digest == task_identity(_a_suite(), task)


def test_a_groups_lock_lists_its_subtasks() -> None:
    locked = lock("fine-line")["mmlu"]
    assert len(locked.subtasks) == 57
    assert (locked.documents, locked.requests, locked.chance) == (14042, 56168, 0.25)


def test_one_changed_word_changes_the_digest() -> None:
    blueprint = find("piqa", None)
    before = outline(blueprint, 0).config_digest
    path = blueprint.entry.yaml_path
    blueprint.entry.yaml_path, blueprint.entry.cfg = None, dict(blueprint.entry.cfg, doc_to_text="Goal: {{goal}}")
    try:
        assert outline(blueprint, 0).config_digest != before
    finally:
        blueprint.entry.yaml_path = path


def _a_suite() -> Suite:
    return load("fine-line")
