"""Smooth metrics against closed forms, standard errors against lm-eval's, filters, and programs that are run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fineline.errors import TaskError
from fineline_evaluator.scoring import Loglikelihood
from fineline_evaluator.tasks import TaskLibrary, TaskSettings
from fineline_evaluator.tasks.bootstrap import bootstrap_stderr, bootstrap_stderr_of_mean
from fineline_evaluator.tasks.sandbox import passes
from fineline_evaluator.tasks.smooth import choice_metrics
from support.tasks import needs_benchmarks


def test_smooth_metrics_of_one_document() -> None:
    found = choice_metrics([-2.0, -1.0, -4.0], [5, 4, 2], [0], one_context=True)
    assert found["choice_logprob"] == -2.0
    assert found["choice_bits_per_byte"] == pytest.approx(2.0 / math.log(2) / 5)
    assert found["choice_margin"] == -1.0
    total = math.exp(-2) + math.exp(-1) + math.exp(-4)
    assert found["choice_mass"] == pytest.approx(total)
    assert found["choice_probability"] == pytest.approx(math.exp(-2) / total)


def test_of_several_right_choices_the_most_probable_counts() -> None:
    found = choice_metrics([-3.0, -1.0, -2.0], [1, 1, 1], [0, 2], one_context=False)
    assert found["choice_logprob"] == -2.0
    assert found["choice_margin"] == -1.0
    assert found["choice_probability"] == pytest.approx(
        (math.exp(-3) + math.exp(-2)) / sum(map(math.exp, (-3, -1, -2)))
    )
    assert "choice_mass" not in found


def test_choices_without_a_wrong_one_have_no_margin() -> None:
    assert "choice_margin" not in choice_metrics([-1.0, -2.0], [1, 1], [0, 1], one_context=True)


def test_very_improbable_choices_still_have_a_probability() -> None:
    found = choice_metrics([-2000.0, -2001.0], [1, 1], [0], one_context=True)
    assert found["choice_probability"] == pytest.approx(1 / (1 + math.exp(-1)))


@pytest.mark.parametrize("iterations", [300, 2000])
def test_bootstrapped_standard_errors_are_lm_evals(iterations: int, capsys: pytest.CaptureFixture[str]) -> None:
    from lm_eval.api import metrics

    items = [-math.log(number) for number in range(2, 60)]
    theirs = metrics._bootstrap_internal_no_mp(metrics.perplexity, items, iterations)
    capsys.readouterr()
    expected = metrics.sample_stddev(theirs)
    assert bootstrap_stderr(metrics.perplexity, items, iterations) == pytest.approx(expected, rel=1e-9)
    import numpy as np

    ours = bootstrap_stderr_of_mean(lambda means: np.exp(-means), items, iterations)
    assert ours == pytest.approx(expected, rel=1e-9)
    assert capsys.readouterr().out == ""


@needs_benchmarks
def test_each_filter_of_a_generation_has_rows_and_columns_of_its_own(library: TaskLibrary, checkpoint: Path) -> None:
    task = library.compile(TaskSettings("gsm8k", shots=0, limit=2, window=1024), checkpoint)
    targets = [text.rpartition("#### ")[2] for text in task.score([], ["", ""]).samples["target"].to_pylist()]
    scores = task.score([], [f"It is #### {targets[0]}", f"So it must be {targets[1]}"])
    rows = {row.filter: row for row in scores.metrics}
    assert {name: row.value for name, row in rows.items()} == {"strict-match": 0.5, "flexible-extract": 1.0}
    assert scores.samples["exact_match@strict-match"].to_pylist() == [1.0, 0.0]
    assert scores.samples["exact_match@flexible-extract"].to_pylist() == [1.0, 1.0]
    assert scores.samples["prediction"].to_pylist() == [targets[0], "[invalid]"]


@needs_benchmarks
def test_text_behind_a_stop_string_does_not_count(library: TaskLibrary, checkpoint: Path) -> None:
    task = library.compile(
        TaskSettings("bbh_fewshot_boolean_expressions", shots=None, limit=1, window=1024), checkpoint
    )
    [target] = task.score([], [""]).samples["target"].to_pylist()
    assert task.score([], [f" {target}\n\nQ: next"]).samples["generated"].to_pylist() == [f" {target}"]


@needs_benchmarks
def test_metrics_can_be_made_again_from_the_samples(library: TaskLibrary, checkpoint: Path) -> None:
    task = library.compile(TaskSettings("piqa", shots=0, limit=30, window=1024), checkpoint)
    answers = [Loglikelihood(-math.sqrt(7 * index % 11 + 1), False) for index in range(len(task.loglikelihoods))]
    scores = task.score(answers, [])
    for row in scores.metrics:
        column = scores.samples[row.metric].to_pylist()
        assert row.value == pytest.approx(sum(column) / len(column))
    best = [max(range(2), key=choices.__getitem__) for choices in scores.samples["choices"].to_pylist()]
    assert scores.samples["acc"].to_pylist() == [
        float(index == right)
        for index, right in zip(best, _right_choices(task.documents["document"].to_pylist()), strict=True)
    ]


def _right_choices(documents: list[str]) -> list[int]:
    import json

    return [json.loads(document)["label"] for document in documents]


@needs_benchmarks
def test_chance_is_the_mean_over_documents(library: TaskLibrary, checkpoint: Path) -> None:
    task = library.compile(TaskSettings("mmlu_anatomy", shots=0, limit=10, window=1024), checkpoint)
    rows = task.score([Loglikelihood(-1.0, False)] * len(task.loglikelihoods), []).metrics
    assert {row.metric: row.chance for row in rows if row.chance is not None} == {
        "acc": 0.25,
        "choice_probability": 0.25,
    }


@needs_benchmarks
def test_generated_programs_are_refused_unless_allowed(library: TaskLibrary, checkpoint: Path) -> None:
    with pytest.raises(TaskError) as caught:
        library.compile(TaskSettings("humaneval", shots=0, limit=None, window=1024), checkpoint)
    assert caught.value.reason == "CodeExecutionRefused"


@needs_benchmarks
def test_generated_programs_are_run_against_the_tests(library: TaskLibrary, checkpoint: Path) -> None:
    import json

    asked = TaskSettings("humaneval", shots=0, limit=3, window=2048, allow_code_execution=True)
    task = library.compile(asked, checkpoint)
    solutions = [json.loads(text)["canonical_solution"] for text in task.documents["document"].to_pylist()]
    scores = task.score([], [solutions[0], solutions[1], "    return None\n"])
    assert scores.samples["pass@1"].to_pylist() == [1.0, 1.0, 0.0]
    [row] = scores.metrics
    assert (row.metric, row.filter) == ("pass@1", "create_test")
    assert row.value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "program",
    [
        "1 / 0",
        "def broken(:",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "memory = bytearray(8 << 30)",
        "open('large', 'wb').write(b'0' * (64 << 20))",
        "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    ],
)
def test_a_program_that_fails_or_ends_early_does_not_pass(program: str) -> None:
    assert not passes(program)


def test_a_program_that_ends_passes() -> None:
    assert passes("assert sum(range(10)) == 45\nimport json")


def test_a_program_that_hangs_is_ended() -> None:
    assert not passes("import time; time.sleep(60)", wall_seconds=1)


def test_a_program_sees_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert passes("import os; assert 'AWS_SECRET_ACCESS_KEY' not in os.environ; assert os.listdir('.') == []")
