"""Every metric and standard error equals lm-eval's own run on the same weights and data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fineline.store import open_store
from fineline_evaluator.tasks import CompiledTask, TaskLibrary, TaskScores, TaskSettings
from support.models import corpus
from support.tasks import PlainScorer, Theirs, differences, evaluate_with_lm_eval, near_ties, needs_benchmarks, score

WINDOW = 1024


def settings(task: str, shots: int | None, limit: int | None) -> TaskSettings:
    return TaskSettings(task, shots=shots, limit=limit, window=WINDOW, bootstrap_iterations=1000)


def samples_of(task: CompiledTask) -> dict[str, list[int]]:
    """The documents that a limit left, as lm-eval's `samples` takes them."""
    found: dict[str, list[int]] = {}
    for row in task.documents.select(["subtask", "doc_id"]).to_pylist():
        found.setdefault(row["subtask"] or task.settings.task, []).append(row["doc_id"])
    return found


def assert_equal(ours: TaskScores, theirs: Theirs, task: str) -> None:
    ties: dict[str | None, int] = {
        None if name == task else name: near_ties(samples) for name, samples in theirs.samples.items()
    }
    ties[None] = sum(ties.values())
    assert differences(ours.metrics, theirs, task, ties) == []
    answered = {
        (row["subtask"] if row["subtask"] in theirs.samples else task, row["doc_id"]): row
        for row in ours.samples.to_pylist()
    }
    for name, samples in theirs.samples.items():
        for sample in samples:
            own = answered[name, sample["doc_id"]]
            responses = [response[0] for response in sample["resps"]]
            if own["generated"] is not None:
                assert [own["generated"]] == responses
            elif own["greedy"] is not None:
                assert own["choices"] == pytest.approx([logprob for logprob, _ in responses], abs=1e-4)
                assert own["greedy"] == [greedy for _, greedy in responses]


@needs_benchmarks
@pytest.mark.parametrize(
    ("task", "shots", "limit"),
    [
        ("piqa", 0, 60),
        ("winogrande", 0, 60),
        ("boolq", 0, 40),
        ("copa", 0, None),
        ("rte", 0, 60),
        ("mmlu_anatomy", 5, 30),
        ("mmlu", 5, 1),
        ("gsm8k", 5, 2),
        ("bbh_fewshot_boolean_expressions", None, 4),
    ],
)
def test_metrics_and_standard_errors_equal_lm_evals_own_run(
    task: str,
    shots: int | None,
    limit: int | None,
    library: TaskLibrary,
    checkpoint: Path,
    scorer: Any,
    their_model: Any,
) -> None:
    compiled = library.compile(settings(task, shots, limit), checkpoint)
    samples = None if limit is None else samples_of(compiled)
    assert_equal(score(compiled, scorer), evaluate_with_lm_eval(their_model, task, shots, samples), task)


@pytest.fixture(scope="module")
def text_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mirror")
    texts = [" ".join(text.split("\n")[0].split()) for text in corpus(sentences=12, seed=3)]
    lambada = root / "EleutherAI" / "lambada_openai" / "default"
    lambada.mkdir(parents=True)
    pq.write_table(pa.table({"text": texts}), lambada / "test.parquet")
    long = [" ".join(corpus(sentences=count, seed=count)) for count in (1, 40, 70)]
    loss = root / "loss" / "default"
    loss.mkdir(parents=True)
    pq.write_table(
        pa.table({"text": [*long, "<s>It has its own BOS", ""], "domain": ["web", "books", "web", "web", "books"]}),
        loss / "validation.parquet",
    )
    return root


@pytest.mark.parametrize("task", ["lambada_openai", "loss"])
def test_perplexity_and_rolled_text_equal_lm_evals_own_run(
    task: str, text_mirror: Path, checkpoint: Path, scorer: PlainScorer, their_model: Any, tmp_path: Path
) -> None:
    library = TaskLibrary(open_store(text_mirror.as_uri() + "/"), tmp_path)
    compiled = library.compile(settings(task, 0, None), checkpoint)
    assert_equal(score(compiled, scorer), evaluate_with_lm_eval(their_model, task, 0, None, data=text_mirror), task)


def test_text_of_several_domains_has_rows_of_each(
    text_mirror: Path, checkpoint: Path, scorer: Any, tmp_path: Path
) -> None:
    library = TaskLibrary(open_store(text_mirror.as_uri() + "/"), tmp_path)
    scores = score(library.compile(settings("loss", 0, None), checkpoint), scorer)
    rows = {row.subtask: row for row in scores.metrics if row.metric == "bits_per_byte"}
    assert {subtask: row.n for subtask, row in rows.items()} == {None: 5, "books": 2, "web": 3}
    assert min(rows["web"].value, rows["books"].value) < rows[None].value < max(rows["web"].value, rows["books"].value)
    assert set(scores.samples["subtask"].to_pylist()) == {"web", "books"}


@needs_benchmarks
@pytest.mark.parametrize("add_bos", [True, False])
def test_the_bos_policy_is_lm_evals(
    *, add_bos: bool, library: TaskLibrary, checkpoint: Path, scorer: PlainScorer
) -> None:
    pytest.importorskip(
        "accelerate", reason="lm-eval's hf model imports accelerate; install it to compare with lm-eval"
    )
    from lm_eval.models.huggingface import HFLM

    model = HFLM(
        pretrained=str(checkpoint),
        dtype="float32",
        batch_size=1,
        device="cpu",
        max_length=WINDOW,
        add_bos_token=add_bos,
    )
    asked = TaskSettings("rte", shots=0, limit=10, window=WINDOW, add_bos=add_bos, bootstrap_iterations=1000)
    compiled = library.compile(asked, checkpoint)
    assert (compiled.loglikelihoods[0].context[0] == 0) is add_bos
    assert_equal(score(compiled, scorer), evaluate_with_lm_eval(model, "rte", 0, samples_of(compiled)), "rte")
