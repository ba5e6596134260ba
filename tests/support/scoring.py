"""Requests for tests of engines, a plain forward pass to compare with, and ways to break a checkpoint."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from fineline_evaluator.scoring import Loglikelihood, LoglikelihoodRequest
from support.models import read_tensors, write_tensors


def tokens(dice: random.Random, count: int, vocabulary: int = 500) -> tuple[int, ...]:
    return tuple(dice.randrange(3, vocabulary) for _ in range(count))


def one_token_choices(documents: int, shots: int, seed: int = 0) -> list[LoglikelihoodRequest]:
    """Documents with a common start of `shots` tokens and four choices of one token each."""
    dice = random.Random(seed)
    start, choices = tokens(dice, shots), tokens(dice, 4)
    contexts = [start + tokens(dice, dice.randrange(5, 90)) for _ in range(documents)]
    return [LoglikelihoodRequest(context, (choice,)) for context in contexts for choice in choices]


def several_token_choices(lengths: Sequence[int], seed: int = 0) -> list[LoglikelihoodRequest]:
    """For each length a context of so many tokens with choices that share starts, differ at once, and repeat."""
    dice = random.Random(seed)
    requests = []
    for length in lengths:
        context, start = tokens(dice, length), tokens(dice, 40)
        choices = [tokens(dice, 1), tokens(dice, 3), start[:2], start[:5], (*start[:5], 9), (*start, 9), start]
        requests += [LoglikelihoodRequest(context, choice) for choice in [*choices, choices[1]]]
    return requests


def plainly(folder: Path, requests: Sequence[LoglikelihoodRequest]) -> list[Loglikelihood]:
    """One forward pass over context and continuation for each request, without any of our code."""
    import transformers

    library: Any = transformers
    model = library.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    answers = []
    for request in requests:
        ids = torch.tensor([[*request.context, *request.continuation]])
        with torch.no_grad():
            logprobs = torch.log_softmax(model(ids[:, :-1]).logits[0, len(request.context) - 1 :], dim=-1)
        wanted = torch.tensor(request.continuation)
        total = float(logprobs.gather(-1, wanted[:, None]).sum())
        answers.append(Loglikelihood(total, bool((logprobs.argmax(-1) == wanted).all())))
    return answers


def furthest(left: Sequence[Loglikelihood], right: Sequence[Loglikelihood]) -> float:
    """The largest difference in nats; NaN counts as far."""
    pairs = list(zip(left, right, strict=True))
    return max(float("inf") if math.isnan(one.logprob) else abs(one.logprob - other.logprob) for one, other in pairs)


def copy_of(folder: Path, to: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A copy of a checkpoint, its tensors changed in place by `change`."""
    shutil.copytree(folder, to)
    if change is not None:
        tensors = read_tensors(to)
        change(tensors)
        (to / "model.safetensors.index.json").unlink(missing_ok=True)
        write_tensors(to, tensors)
    return to
