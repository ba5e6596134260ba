"""Our scoring against lm-eval's own vLLM backend: same model, documents, token ids; both engines in this one process.

One-token choices: MMLU 5-shot with letters. lm-eval makes four passes a question; `one_pass_ratio` compares with a fair
loop, which is the same class asked for one choice a question, since that pass could answer all four. Several-token
choices: MMLU 5-shot in the cloze form. Times are of scoring token ids, in alternating pairs; the medians are compared.
Run: .venv/bin/python bench/scoring.py [--documents 500] [--several 60] [--pairs 3]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from transformers import AutoTokenizer

from fineline_evaluator.backends import open_backend
from fineline_evaluator.scoring import Backend, EngineSettings, LoglikelihoodRequest
from support.mmlu import LETTERS, Question, data_folder, questions
from support.models import make_checkpoint

SUBJECTS = ("abstract_algebra", "anatomy", "astronomy", "college_chemistry", "global_facts", "human_aging")
SIZE = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4}
CACHE_BYTES = 1 << 28
WINDOW = 2048
NEAR_TIE = 1e-4
Answers = list[tuple[float, bool]]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each pair, and the answers of the last one."""

    ours: list[float]
    theirs: list[float]
    our_answers: Answers
    their_answers: Answers


def timed(work: Callable[[], Answers]) -> tuple[float, Answers]:
    start = time.perf_counter()
    answers = work()
    return time.perf_counter() - start, answers


def ours(engine: Backend, requests: Sequence[LoglikelihoodRequest]) -> Answers:
    engine.begin_unit()
    return [(answer.logprob, answer.greedy) for answer in engine.loglikelihoods(requests)]


def theirs(model: Any, requests: Sequence[LoglikelihoodRequest]) -> Answers:
    asked = [(("", ""), list(request.context), list(request.continuation)) for request in requests]
    return list(model._loglikelihood_tokens(asked, disable_tqdm=True))


def pairs(engine: Backend, model: Any, requests: Sequence[LoglikelihoodRequest], count: int) -> Times:
    our_seconds, their_seconds = [], []
    mine: Answers = []
    other: Answers = []
    for _ in range(count):
        seconds, mine = timed(lambda: ours(engine, requests))
        our_seconds.append(seconds)
        seconds, other = timed(lambda: theirs(model, requests))
        their_seconds.append(seconds)
    return Times(our_seconds, their_seconds, mine, other)


def metrics_equal(times: Times, asked: Sequence[Question], name: str) -> bool:
    """The same choice in every document but near-ties, log-likelihoods within the tolerance, the same greedy flags."""
    width = len(times.our_answers) // len(asked)
    rows = [range(start, start + width) for start in range(0, len(times.our_answers), width)]
    flips = right = near_ties = 0
    for question, row in zip(asked, rows, strict=True):
        mine, other = ([answers[place][0] for place in row] for answers in (times.our_answers, times.their_answers))
        best, second = sorted(mine, reverse=True)[:2]
        flipped = mine.index(max(mine)) != other.index(max(other))
        near_ties += flipped and best - second < NEAR_TIE
        flips += flipped and best - second >= NEAR_TIE
        right += mine.index(max(mine)) == question.answer
    apart = max(abs(one[0] - two[0]) for one, two in zip(times.our_answers, times.their_answers, strict=True))
    greedy = all(one[1] == two[1] for one, two in zip(times.our_answers, times.their_answers, strict=True))
    print(
        f"{name}: acc {right / len(asked):.4f}, largest difference {apart:.2g} nats, flips {flips}, "
        f"near-ties {near_ties}, greedy flags equal: {greedy}"
    )
    return flips == 0 and apart <= NEAR_TIE and greedy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--several", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("scoring: no benchmarks; set FINELINE_TEST_DATA")
    lettered = [each for subject in SUBJECTS for each in questions(data, subject)][: arguments.documents]
    cloze = [each for subject in SUBJECTS for each in questions(data, subject, letters=False)[:20]][: arguments.several]
    with tempfile.TemporaryDirectory() as folder:
        texts = tuple(question.context for question in lettered)
        checkpoint = make_checkpoint(
            Path(folder) / "model", vocab_size=4096, max_position_embeddings=WINDOW, texts=texts, overrides=SIZE
        )
        one_token, several = _requests(checkpoint, lettered, cloze)
        engine = open_backend(EngineSettings(dtype="float32", args={"kv_cache_memory_bytes": CACHE_BYTES}))
        engine.load(checkpoint)
        model = _lm_eval(checkpoint)
        ours(engine, one_token[:40]), theirs(model, one_token[:40])  # both warm
        first_choices = one_token[:: len(LETTERS)]
        ones = pairs(engine, model, one_token, arguments.pairs)
        passes = [timed(lambda: theirs(model, first_choices))[0] for _ in range(arguments.pairs)]
        many = pairs(engine, model, several, arguments.pairs)
        equal = metrics_equal(ones, lettered, "one token") and metrics_equal(many, cloze, "several tokens")
        engine.close()
    _report(ones, passes, many, equal=equal)


def _requests(
    checkpoint: Path, lettered: Sequence[Question], cloze: Sequence[Question]
) -> tuple[list[LoglikelihoodRequest], list[LoglikelihoodRequest]]:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    def ids(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text, add_special_tokens=False).input_ids)

    letters = [ids(f" {letter}") for letter in LETTERS]
    one_token = [LoglikelihoodRequest(ids(each.context), letter) for each in lettered for letter in letters]
    several = [LoglikelihoodRequest(ids(each.context), ids(f" {choice}")) for each in cloze for choice in each.choices]
    return one_token, several


def _lm_eval(checkpoint: Path) -> Any:
    """After our engine, so that it finds the same environment: one process, the first runner, eager kernels."""
    import vllm

    installed = importlib.metadata.version

    def version(distribution_name: str) -> str:
        """vLLM's CPU build is a package of another name, which lm-eval does not know."""
        return str(vllm.__version__) if distribution_name == "vllm" else installed(distribution_name)

    importlib.metadata.version = version
    from lm_eval.models.vllm_causallms import VLLM

    return VLLM(
        pretrained=str(checkpoint),
        dtype="float32",
        max_model_len=WINDOW,
        enforce_eager=True,
        kv_cache_memory_bytes=CACHE_BYTES,
    )


def _report(ones: Times, passes: list[float], many: Times, *, equal: bool) -> None:
    median = statistics.median
    rows = [
        ("one token, four passes a question", ones.ours, ones.theirs),
        ("one token, one pass a question", ones.ours, passes),
        ("several tokens", many.ours, many.theirs),
    ]
    print(f"{'':36}{'ours, s':>10}{'theirs, s':>12}{'ratio':>8}")
    for name, mine, other in rows:
        print(f"{name:36}{median(mine):>10.2f}{median(other):>12.2f}{median(other) / median(mine):>8.1f}")
    ratios = [median([two / one for one, two in zip(mine, other, strict=True)]) for _, mine, other in rows]
    keys = ("one_token_ratio", "one_pass_ratio", "several_token_ratio")
    print(
        json.dumps({key: round(ratio, 2) for key, ratio in zip(keys, ratios, strict=True)} | {"metrics_equal": equal})
    )


if __name__ == "__main__":
    main()
