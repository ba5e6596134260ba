"""Real benchmarks, two checkpoints, both backends, as `fineline run` does it: every metric and standard error that
comes out of the store equals lm-evaluation-harness's own run of its `hf` model on the same weights and data."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from fineline.resources import CheckpointEval, validated
from fineline.results import read_metrics, read_samples, run_states
from fineline.store import open_store
from fineline_cli.evaluations import Evaluation
from fineline_cli.running import run_evaluation
from fineline_evaluator.tasks import MetricRow
from support.evaluations import evaluation_values
from support.models import make_checkpoint
from support.tasks import BENCHMARKS, Theirs, differences, evaluate_with_lm_eval, near_ties, needs_benchmarks

WINDOW = 1024
STEPS = (1000, 2000)
SUBJECTS = ("anatomy", "astronomy", "global_facts", "management", "virology")
TASKS: tuple[tuple[str, int | None, int, str], ...] = (
    *((f"mmlu_{subject}", 5, 6, "exam") for subject in SUBJECTS),
    ("piqa", 0, 25, "reasoning"),
    ("winogrande", 0, 25, "language"),
    ("boolq", 0, 12, "knowledge"),
    ("copa", 0, 25, "reasoning"),
    ("rte", 0, 25, "understanding"),
    ("gsm8k", 1, 2, "reasoning"),
    ("bbh_fewshot_boolean_expressions", None, 2, "reasoning"),
)

pytestmark = [needs_benchmarks, pytest.mark.data, pytest.mark.engine]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("real-input")
    for step in STEPS:
        make_checkpoint(base / "checkpoints" / f"step{step}", seed=step)
    return base


@pytest.fixture(scope="module", params=["vllm", "transformers"])
def results(request: pytest.FixtureRequest, folder: Path) -> str:
    """The results of both checkpoints on all tasks, by one backend; a process of its own does the work."""
    uri = f"file://{folder}/{request.param}/"
    tasks = [{"task": t, "shots": shots, "limit": limit, "domain": d} for t, shots, limit, d in TASKS]
    values = evaluation_values(
        checkpoints__uri=f"file://{folder}/checkpoints/",
        suite={"tasks": tasks, "datasets": f"file://{BENCHMARKS}/"},
        engine={"backend": request.param, "dtype": "float32", "maxModelLen": WINDOW},
    )
    resource = validated(CheckpointEval, values, "test.yaml")
    outcome = run_evaluation(Evaluation(resource, uri, None))
    assert outcome.succeeded, outcome
    assert outcome.published == len(STEPS) * len(TASKS)
    return uri


@pytest.fixture(scope="module")
def lm_eval_model(folder: Path) -> Any:
    """Their `hf` model of a step, made once a step."""
    pytest.importorskip("accelerate", reason="lm-eval's hf model imports accelerate")
    from lm_eval.models.huggingface import HFLM

    made: dict[int, Any] = {}

    def of(step: int) -> Any:
        if step not in made:
            made[step] = HFLM(
                pretrained=str(folder / "checkpoints" / f"step{step}"),
                dtype="float32",
                batch_size=1,
                device="cpu",
                max_length=WINDOW,
            )
        return made[step]

    return of


@pytest.fixture(scope="module")
def lm_eval_run(lm_eval_model: Any) -> Any:
    """lm-eval's own numbers of (step, task) on these documents, made once for both backends."""
    known: dict[tuple[int, str], Theirs] = {}

    def of(step: int, task: str, shots: int | None, documents: list[int]) -> Theirs:
        if (step, task) not in known:
            samples = {task: documents}
            known[step, task] = evaluate_with_lm_eval(
                lm_eval_model(step), task, shots, samples, bootstrap_iterations=100_000
            )
        return known[step, task]

    return of


def ours(uri: str, step: int, task: str) -> tuple[list[MetricRow], list[int]]:
    """The metrics of a unit as the store has them, and its documents."""
    store = open_store(uri)
    (address,) = [unit for unit in run_states(store, "tiny") if (unit.step, unit.task) == (step, task)]
    frame = read_metrics(store, ["tiny"], [task]).frame
    names = list(MetricRow.__dataclass_fields__)
    rows = [MetricRow(**{name: row[name] for name in names}) for row in frame.filter(step=step).to_dicts()]
    ((_, samples),), notices = read_samples(store, [address])
    assert notices == ()
    return rows, samples.column("doc_id").to_pylist()


@pytest.mark.parametrize(("task", "shots"), [(task, shots) for task, shots, _, _ in TASKS])
def test_every_metric_of_the_store_equals_lm_evals_own_run(
    task: str, shots: int | None, results: str, lm_eval_run: Any, record_property: Any
) -> None:
    for step in STEPS:
        rows, documents = ours(results, step, task)
        theirs = lm_eval_run(step, task, shots, documents)
        ties = near_ties(theirs.samples[task])
        record_property("near_ties", ties)
        if ties:
            warnings.warn(f"{task} at step {step}: {ties} near-ties in {len(documents)} documents", stacklevel=1)
        assert differences(rows, theirs, task, {None: ties}) == []
