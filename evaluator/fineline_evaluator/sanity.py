"""Is the checkpoint that sits in the engine sane? Told beside its results, never instead of them.

A checkpoint whose weights went wrong (not finite, half written, another model's head) still gives numbers. Four facts
show it at a glance: the share of log-probabilities that are not finite, bits per byte on a fixed text against what
uniform guessing would cost, the share of documents that get the same answer, and how probable the end of the sequence
is amid the text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fineline.errors import CheckpointError
from fineline_evaluator.scoring import Backend, Loglikelihood, LoglikelihoodRequest

TEXT = (
    "The river rises in the hills and flows north through three small towns before it reaches the sea. "
    "In spring, when the snow melts, it carries ten times as much water as in August. People have fished here for "
    "centuries; their boats, built of oak and pine, lie along the bank. 'How deep is it?' asked the boy. 'About four "
    "metres,' said his aunt, 'but it was 2.5 metres in 1976.' If a boat travels 12 km in 3 hours, it moves at 4 km an "
    "hour. Water is made of hydrogen and oxygen, and it freezes at zero degrees Celsius."
)
"""Plain prose that Fineline's authors wrote; its number of UTF-8 bytes is the base of bits per byte."""

CONSTANT_ANSWER_LIMIT = 0.98
WORSE_THAN_UNIFORM = 1.25
"""A fresh model guesses a few percent worse than uniformly; a broken one is far off."""

UNKNOWN_LIMIT = 0.1
"""Share of unknown tokens from which bits per byte say nothing: the tokenizer was made for another kind of text."""

PIECE = 16
"""Tokens that are scored together: the share of pieces that are not finite tells how much of the text was lost."""


@dataclass(frozen=True)
class CheckpointSanity:
    """Of a checkpoint: `bits_per_byte` on the fixed text, `uniform_bits_per_byte` of guessing, both None where the
    tokenizer does not know the text's words; `eos_logprob` in nats of the end-of-sequence token amid the text, None
    where the tokenizer has none."""

    bits_per_byte: float | None
    uniform_bits_per_byte: float | None
    nonfinite_share: float
    eos_logprob: float | None

    @property
    def flags(self) -> tuple[str, ...]:
        found = []
        if self.nonfinite_share > 0:
            found.append("not finite")
        uniform = self.uniform_bits_per_byte
        if self.bits_per_byte is not None and uniform is not None and self.bits_per_byte > WORSE_THAN_UNIFORM * uniform:
            found.append("worse than uniform")
        return tuple(found)

    def as_values(self) -> dict[str, Any]:
        return {**asdict(self), "flags": list(self.flags)}


@dataclass(frozen=True)
class UnitSanity:
    """Of a unit: the share of its log-probabilities that are not finite, and the share of documents that got the most
    frequent answer (by its place among the choices); None where there is nothing to tell."""

    nonfinite_share: float | None
    constant_answer_share: float | None

    @property
    def flags(self) -> tuple[str, ...]:
        found = []
        if self.nonfinite_share:
            found.append("not finite")
        if self.constant_answer_share is not None and self.constant_answer_share > CONSTANT_ANSWER_LIMIT:
            found.append("one constant answer")
        return tuple(found)


@dataclass(frozen=True)
class Tokenized:
    """The fixed text as a checkpoint's tokenizer sees it, behind one token that is context only."""

    tokens: tuple[int, ...]
    eos: int | None
    unknown: int | None
    vocabulary: int

    @property
    def is_known(self) -> bool:
        return self.unknown is None or self.tokens.count(self.unknown) <= UNKNOWN_LIMIT * len(self.tokens)


def check_checkpoint(backend: Backend, text: Tokenized, window: int) -> CheckpointSanity:
    """Scores the fixed text, as far as it fits into the window. `CheckpointError` (NotFinite) if not one
    log-probability of it is finite."""
    tokens, eos = text.tokens[: window + 1], text.eos
    starts = range(1, len(tokens), PIECE)
    requests = [LoglikelihoodRequest(tokens[:start], tokens[start : start + PIECE]) for start in starts]
    if eos is not None:
        requests.append(LoglikelihoodRequest(tokens[: len(tokens) // 2], (eos,)))
    backend.begin_unit()
    answers = backend.loglikelihoods(requests)
    pieces = [(len(request.continuation), answer.logprob) for request, answer in zip(requests, answers, strict=True)]
    pieces = pieces[: len(starts)]
    finite = [(count, logprob) for count, logprob in pieces if math.isfinite(logprob)]
    if not finite:
        message = "every log-probability on a plain text is NaN or infinite: the weights are broken"
        raise CheckpointError(message, reason="NotFinite")
    bits_per_token = -sum(logprob for _, logprob in finite) / sum(count for count, _ in finite) / math.log(2)
    tokens_per_byte = (len(text.tokens) - 1) / len(TEXT.encode())
    return CheckpointSanity(
        bits_per_byte=bits_per_token * tokens_per_byte if text.is_known else None,
        uniform_bits_per_byte=math.log2(text.vocabulary) * tokens_per_byte if text.is_known else None,
        nonfinite_share=1 - len(finite) / len(pieces),
        eos_logprob=answers[-1].logprob if eos is not None else None,
    )


def check_unit(answers: Sequence[Loglikelihood], predictions: Sequence[str | None]) -> UnitSanity:
    """`predictions` are the documents' answers as the samples hold them."""
    nonfinite = sum(not math.isfinite(answer.logprob) for answer in answers)
    given = [prediction for prediction in predictions if prediction is not None]
    most_frequent = Counter(given).most_common(1)[0][1] if len(given) >= 20 else None
    return UnitSanity(
        nonfinite_share=nonfinite / len(answers) if answers else None,
        constant_answer_share=most_frequent / len(given) if most_frequent is not None else None,
    )
