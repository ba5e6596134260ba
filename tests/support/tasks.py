"""For tests of tasks: a plain reference scorer, lm-eval's own run on the same data, and the comparison of the two."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fineline_evaluator.scoring import GenerateRequest, Loglikelihood, LoglikelihoodRequest
from fineline_evaluator.tasks import CompiledTask, MetricRow, TaskScores

DATA = Path(os.environ.get("FINELINE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
BENCHMARKS = DATA / "benchmarks"

COUNTING = ("acc", "acc_norm", "acc_bytes", "exact_match")
NEAR_TIE = 1e-4

needs_benchmarks = pytest.mark.skipif(
    not BENCHMARKS.is_dir(),
    reason=f"needs the real benchmarks: set FINELINE_TEST_DATA to a folder with {BENCHMARKS.name}/",
)


class PlainScorer:
    """A model in 32 bits, asked one request at a time: slow, and with nothing in it that could go wrong."""

    def __init__(self, folder: Path) -> None:
        import torch
        import transformers

        self._torch = torch
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
        self.model = model.eval()
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder))

    def loglikelihoods(self, requests: Sequence[LoglikelihoodRequest]) -> list[Loglikelihood]:
        known: dict[tuple[int, ...], Any] = {}
        answers = []
        for request in requests:
            ids = request.context + request.continuation
            if ids[:-1] not in known:
                with self._torch.inference_mode():
                    logits = self.model(self._torch.tensor([ids[:-1]])).logits[0]
                known = {ids[:-1]: self._torch.log_softmax(logits, dim=-1)}
            rows = known[ids[:-1]][-len(request.continuation) :]
            picked = rows.gather(1, self._torch.tensor(request.continuation)[:, None])[:, 0]
            greedy = bool((rows.argmax(dim=-1) == self._torch.tensor(request.continuation)).all())
            answers.append(Loglikelihood(float(picked.sum()), greedy))
        return answers

    def generate(self, requests: Sequence[GenerateRequest]) -> list[str]:
        return [self._generate(request) for request in requests]

    def _generate(self, request: GenerateRequest) -> str:
        past, ids = None, list(request.prompt)
        made: list[int] = []
        text = ""
        while len(made) < request.max_tokens:
            with self._torch.inference_mode():
                output = self.model(self._torch.tensor([ids]), past_key_values=past, use_cache=True)
            past, token = output.past_key_values, int(output.logits[0, -1].argmax())
            if token == self.tokenizer.eos_token_id:
                break
            made.append(token)
            ids = [token]
            text = self.tokenizer.decode(made, skip_special_tokens=True)
            if any(stop in text for stop in request.until):
                break
        for stop in request.until:
            text = text.split(stop)[0]
        return text


def score(task: CompiledTask, scorer: PlainScorer) -> TaskScores:
    return task.score(scorer.loglikelihoods(task.loglikelihoods), scorer.generate(task.generations))


@dataclass(frozen=True)
class Theirs:
    """What lm-eval's own run gave: its results by task or group, and its samples by task."""

    results: Mapping[str, Mapping[str, Any]]
    samples: Mapping[str, Sequence[Mapping[str, Any]]]


def evaluate_with_lm_eval(
    model: Any,
    task: str,
    shots: int | None,
    samples: Mapping[str, Sequence[int]] | None,
    bootstrap_iterations: int = 1000,
    data: Path = BENCHMARKS,
) -> Theirs:
    """lm-eval's `simple_evaluate` over the same parquet files, read by its own `load_dataset`."""
    import datasets
    import lm_eval
    import lm_eval.utils
    from lm_eval.tasks import TaskManager

    folder = _folder_of(task)
    with _local_data(datasets, data), contextlib.redirect_stdout(io.StringIO()):
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        results = lm_eval.simple_evaluate(
            model=model,
            tasks=[task],
            num_fewshot=shots,
            samples=None if samples is None else {name: list(ids) for name, ids in samples.items()},
            task_manager=manager,
            bootstrap_iters=bootstrap_iterations,
            random_seed=0,
        )
    assert results is not None
    return Theirs(results["results"], results["samples"])


def near_ties(samples: Iterable[Mapping[str, Any]]) -> int:
    """Documents whose two best choices are so close that the last digits decide, by log-likelihood or by length."""
    return sum(_is_near_tie(sample) for sample in samples)


def differences(ours: Sequence[MetricRow], theirs: Theirs, task: str, ties: Mapping[str | None, int]) -> list[str]:
    """Every metric and standard error of lm-eval's that ours does not equal, in words; empty where all are equal.

    Counting metrics are exact but for near-ties; continuous ones may be 1e-4 apart, relatively.
    """
    rows = {(row.subtask, row.metric, row.filter): row for row in ours}
    wrong = []
    for name, results in theirs.results.items():
        subtask = None if name == task else name.rpartition("::")[2]
        for key, value in results.items():
            metric, comma, filter_name = key.partition(",")
            if not comma or metric.endswith("_stderr"):
                continue
            stderr = results[f"{metric}_stderr,{filter_name}"]
            row = rows.get((subtask, metric, filter_name))
            if row is None:
                wrong.append(f"{name}: no {key}")
                continue
            slack = ties.get(subtask, 0) / row.n if metric in COUNTING else 0.0
            if not _close(row.value, value, metric, slack):
                wrong.append(f"{name}: {key} is {row.value}, theirs is {value} ({ties.get(subtask, 0)} near-ties)")
            if slack == 0 and not _same_stderr(row.stderr, stderr, metric):
                wrong.append(f"{name}: stderr of {key} is {row.stderr}, theirs is {stderr}")
    return wrong


def _close(ours: float, theirs: float, metric: str, slack: float) -> bool:
    if metric in COUNTING:
        return abs(ours - theirs) <= slack + 1e-12
    return math.isclose(ours, theirs, rel_tol=1e-4)


def _same_stderr(ours: float | None, theirs: Any, metric: str) -> bool:
    if theirs == "N/A" or ours is None:
        return theirs == "N/A" and ours is None
    return math.isclose(ours, theirs, rel_tol=1e-9 if metric in COUNTING else 1e-4, abs_tol=1e-12)


def _is_near_tie(sample: Mapping[str, Any]) -> bool:
    answers = [answer[0] for answer in sample["filtered_resps"] if isinstance(answer, tuple | list)]
    best = sorted(answers, reverse=True)
    return len(best) > 1 and best[0] - best[1] < NEAR_TIE


def _folder_of(task: str) -> Path:
    from fineline_evaluator.tasks import harness

    names = harness._own_names() | {
        name: folder for name, folder in harness._library_names().items() if name not in harness._own_names()
    }
    return names[task]


@contextlib.contextmanager
def _local_data(datasets: Any, root: Path) -> Iterator[None]:
    """`datasets.load_dataset` with the mirror's files in the hub's place.

    lm-eval reads the training split even where no example is drawn from it: a split that is not there is the first
    that is.
    """
    real = datasets.load_dataset

    class Splits(dict[str, Any]):
        def __missing__(self, split: str) -> Any:
            return next(iter(self.values()))

    def load(path: str, name: str | None = None, **_: Any) -> Any:
        folder = root / path / (name or "default")
        files = {file.stem: str(file) for file in folder.glob("*.parquet")}
        return Splits(
            {split: datasets.Dataset.from_parquet(file, keep_in_memory=True) for split, file in files.items()}
        )

    datasets.load_dataset = load
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.load_dataset = real
