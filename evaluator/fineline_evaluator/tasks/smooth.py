"""Smooth metrics of multiple-choice documents, beside lm-eval's own.

Accuracy is flat while a model is young; these move from the first checkpoints on. All come from the same
log-likelihoods that accuracy is made of, and are averaged over the documents.

| metric | of one document | better |
|---|---|---|
| `choice_logprob` | log-probability of the right choice, in nats | higher |
| `choice_bits_per_byte` | minus that in bits, over the UTF-8 bytes of the scored text (delimiter included) | lower |
| `choice_margin` | log-probability of the right choice less that of the best wrong one, in nats | higher |
| `choice_probability` | probability of the right choice if only the choices are possible (a softmax) | higher |
| `choice_mass` | probability of all choices together; not where choices differ in the context | higher |

Where several choices are right, the most probable of them is the right one, but for `choice_probability`, which takes
their sum. Texts that begin with one another share mass, so that `choice_mass` can exceed one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

HIGHER_IS_BETTER = {
    "choice_logprob": True,
    "choice_bits_per_byte": False,
    "choice_margin": True,
    "choice_probability": True,
    "choice_mass": True,
}


def choice_metrics(
    logprobs: Sequence[float], byte_counts: Sequence[int], right: Sequence[int], *, one_context: bool
) -> dict[str, float]:
    """The smooth metrics of one document.

    `logprobs` in nats and `byte_counts` are of each choice, `right` are the indices of the right ones (at least one).
    `one_context` says that the choices were scored after the same context.
    """
    values = np.asarray(logprobs, dtype=np.float64)
    best = max(right, key=lambda index: values[index])
    logprob = float(values[best])
    metrics = {
        "choice_logprob": logprob,
        "choice_bits_per_byte": -logprob / math.log(2) / max(byte_counts[best], 1),
    }
    wrong = np.delete(values, list(right))
    if wrong.size:
        metrics["choice_margin"] = logprob - float(wrong.max())
        shares = np.exp(values - values.max())
        metrics["choice_probability"] = float(shares[list(right)].sum() / shares.sum())
    if one_context:
        metrics["choice_mass"] = float(np.exp(values).sum())
    return metrics
