"""Suites: built-in ones, one's own, and the mistakes that are refused."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.errors import SpecError
from fineline.suites import (
    CustomSuite,
    config_digest,
    find_lock,
    load,
    names,
    parse,
    sample_ids,
    task_datasets,
    task_identity,
)

TASK = "task: animals\ndataset_path: own/animals\nvalidation_split: validation\ndoc_to_text: '{{question}}'\n"
SUITE = "tasks: [{task: animals, shots: 2, domain: exam}]"


def a_suite(**files: str) -> CustomSuite:
    given_files = {"suite.yaml": SUITE, "animals.yaml": TASK}
    return parse(given_files | {name.replace("_yaml", ".yaml"): text for name, text in files.items()}, "own")


def test_the_built_in_suites() -> None:
    assert names() == ["fine-line", "fine-line-mini", "loss"]
    assert {task.domain for task in load("fine-line").tasks} == {
        "exam",
        "language",
        "knowledge",
        "understanding",
        "reasoning",
    }
    assert {task.domain for task in load("fine-line-mini").tasks} == {task.domain for task in load("fine-line").tasks}


def test_an_unknown_suite_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"no built-in suite 'fineline'; known are fine-line, fine-line-mini, loss"):
        load("fineline")


def test_ones_own_suite_is_read_with_its_includes() -> None:
    suite = a_suite(suite_yaml="tasks: [{task: more, domain: exam}]", more_yaml="include: animals.yaml\ntask: more")
    assert suite.suite.task("more").shots is None
    assert suite.configs["more"]["doc_to_text"] == "{{question}}"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"suite.yaml": "tasks: []"}, "tasks must be a list of 1 to 512"),
        ({"suite.yaml": "tasks: [{task: animals}]"}, r"tasks\[0\].domain must name"),
        ({"suite.yaml": "tasks: [{task: animals, domain: exam, shot: 1}]"}, r"tasks\[0\]: unknown field 'shot'"),
        ({"suite.yaml": "tasks: [{task: animals, domain: exam, shots: -1}]"}, r"tasks\[0\].shots must be"),
        ({"suite.yaml": "tasks: [{task: animals, domain: exam, limit: 0}]"}, r"tasks\[0\].limit must be"),
        ({"suite.yaml": "tasks: [{task: ../up, domain: exam}]"}, r"tasks\[0\].task must be a task's name"),
        ({"suite.yaml": SUITE.replace("[{", "[{task: animals, domain: exam}, {")}, "names 'animals' twice"),
        (
            {"animals.yaml": TASK + "process_docs: !function utils.process"},
            r"animals.yaml: line 5: `!function` names Python",
        ),
        ({"utils.py": "import os"}, r"utils.py: only .yaml files"),
        ({"../up.yaml": TASK}, "only .yaml files"),
        ({"animals.yaml": TASK + "process_docs: !!python/name:os.system"}, "not plain YAML"),
        ({"animals.yaml": "{"}, "animals.yaml: not plain YAML"),
        ({"animals.yaml": TASK + "class: some.Class"}, "class names a Python class"),
        ({"animals.yaml": TASK + "unsafe_code: true"}, "unsafe_code marks"),
        ({"animals.yaml": TASK + "metric_list: [{metric: wer, hf_evaluate: true}]"}, "hf_evaluate fetches"),
        ({"animals.yaml": "include: ../else.yaml\ntask: animals"}, "is not among the suite's files"),
        ({"animals.yaml": "include: animals.yaml\ntask: animals"}, "goes round in a circle"),
        ({"twice.yaml": TASK}, "'animals' is defined twice"),
    ],
)
def test_what_can_not_be_meant_is_refused(files: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse({"suite.yaml": SUITE, "animals.yaml": TASK} | files, "own")


def test_a_suite_without_its_list_is_refused() -> None:
    with pytest.raises(SpecError, match=r"no suite.yaml among animals.yaml"):
        parse({"animals.yaml": TASK}, "own")


def test_anchors_that_grow_without_end_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SpecError, match="more than 100000 values"):
        a_suite(animals_yaml=TASK + "\n".join(lines))


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=80), max_size=4))
def test_any_files_are_a_suite_or_a_clear_error(files: dict[str, str]) -> None:
    with contextlib.suppress(SpecError):
        assert parse({"suite.yaml": SUITE} | files, "own").digest


def test_the_identity_of_a_task_is_its_content() -> None:
    same = a_suite(unrelated_yaml="task: unrelated\ndataset_path: other")
    changed = a_suite(animals_yaml=TASK.replace("question", "riddle"))
    assert task_identity(a_suite(), "animals") == task_identity(same, "animals")
    assert task_identity(a_suite(), "animals") != task_identity(changed, "animals")


def test_the_identity_of_a_group_has_its_members_in_it() -> None:
    group = {"zoo_yaml": "group: zoo\ntask: [animals]"}
    changed = a_suite(**group, animals_yaml=TASK.replace("question", "riddle"))
    assert task_identity(a_suite(**group), "zoo") != task_identity(changed, "zoo")


def test_a_lock_counts_with_the_shots_that_are_asked_for() -> None:
    none, five = find_lock("mmlu_continuation", 0), find_lock("mmlu_continuation", 5)
    assert none is not None
    assert five is not None
    assert (none.shots, five.shots) == (0, 5)
    assert (none.tokens or 0) * 3 < (five.tokens or 0)
    assert find_lock("mmlu_continuation", 3) is not None, "better those of other shots than none"
    assert none.config_digest == five.config_digest


def test_a_limit_is_drawn_from_each_subtask() -> None:
    mmlu, piqa = find_lock("mmlu_continuation", 0), find_lock("piqa")
    assert mmlu is not None
    assert piqa is not None
    assert mmlu.drawn(20) == 20 * 57
    assert mmlu.tokens_of(20) == round(1_875_022 * 1140 / 14042)
    assert piqa.drawn(100) == 100
    for lock, whole in ((mmlu, 14042), (piqa, 1838)):
        assert lock.drawn(None) == lock.drawn(10**6) == whole
        assert lock.tokens_of(None) == lock.tokens_of(10**6) == lock.tokens
    unknown = find_lock("commonsense_qa")
    assert unknown is not None
    assert unknown.tokens_of(10) is None


def test_the_identity_of_lm_evals_tasks_is_the_lock_or_the_version() -> None:
    locked = find_lock("piqa")
    assert locked is not None
    assert task_identity(load("fine-line"), "piqa") == task_identity(a_suite(), "piqa") == locked.config_digest
    assert task_identity(a_suite(), "wikitext") == config_digest({"wikitext": None})


def test_the_data_sets_of_a_task_are_known_without_lm_eval() -> None:
    def named(suite: CustomSuite, task: str) -> list[str] | None:
        found = task_datasets(suite, task)
        return None if found is None else [each.name for each in found]

    suite = a_suite(zoo_yaml="group: zoo\ntask: [animals, piqa]", bare_yaml="task: bare")
    assert named(suite, "animals") == ["own/animals/default"]
    assert named(suite, "zoo") == ["baber/piqa/default", "own/animals/default"]
    assert named(suite, "bare") == ["bare/default"]
    assert named(suite, "wikitext") is None


@given(documents=st.integers(1, 300), limit=st.integers(1, 300), seed=st.integers(0, 5))
def test_a_limit_draws_a_fixed_subset_in_order(documents: int, limit: int, seed: int) -> None:
    drawn = sample_ids("piqa", documents, limit, seed)
    assert drawn == sample_ids("piqa", documents, limit, seed)
    assert len(drawn) == min(limit, documents)
    assert list(drawn) == sorted(set(drawn))
    assert set(drawn) <= set(sample_ids("piqa", documents, limit + 7, seed))


def test_a_limits_subset_is_the_same_in_every_release() -> None:
    assert sample_ids("piqa", 1838, 5, 1234) == PINNED


PINNED = (83, 1034, 1182, 1510, 1649)


def test_planning_needs_no_lm_eval() -> None:
    code = (
        "import sys; from fineline.suites import load, lock; import fineline.datasets; lock('fine-line');"
        "sys.exit(any(name in sys.modules for name in ('lm_eval', 'torch', 'datasets', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
