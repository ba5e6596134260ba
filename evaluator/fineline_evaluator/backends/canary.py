"""Canary prompts: a few requests that the engine and the transformers backend must answer alike after each load.

They see what no comparison of weights does: a wrong head, experts in the wrong layout, a kernel that computes something
else. Nothing here needs a tokenizer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fineline.errors import FinelineError
from fineline_evaluator.backends.failures import one_line
from fineline_evaluator.backends.tensors import tensor_files
from fineline_evaluator.backends.transformers import TransformersBackend
from fineline_evaluator.scoring import EngineSettings, Loglikelihood, LoglikelihoodRequest

PROMPTS = 3
LENGTH = 24
TOLERANCES = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.25}
"""Nats a token. Rounding moves an answer by far less, a wrong tensor by more. In half precision two right kernels may
differ by a tenth at single tokens; fine differences are for `verification`."""
HOST_SHARE = 0.25
"""The reference is only loaded where it takes at most this share of the memory that is free."""


def requests(vocabulary: int, window: int) -> list[LoglikelihoodRequest]:
    """The same for every checkpoint with this vocabulary."""
    dice = random.Random(20_240_229)  # noqa: S311 - no secret: the same prompts every time
    length = min(LENGTH, window)
    made = []
    for _ in range(PROMPTS):
        tokens = tuple(dice.randrange(vocabulary) for _ in range(length + 1))
        made.append(LoglikelihoodRequest(tokens[:1], tokens[1:]))
        made += [LoglikelihoodRequest(tokens[:length], (dice.randrange(vocabulary),)) for _ in range(4)]
    return made


class Canary:
    """Holds the reference, so that a swap of the engine is a swap here too."""

    def __init__(self, settings: EngineSettings) -> None:
        stated = {"threads": settings.args["threads"]} if "threads" in settings.args else {}
        self._settings = EngineSettings("transformers", settings.dtype, settings.max_model_len, args=stated)
        self._reference: TransformersBackend | None = None

    def fits(self, folder: Path) -> bool:
        """Whether the reference may lie beside the engine."""
        needed = sum(file.stat().st_size for file in tensor_files(folder))
        return needed <= HOST_SHARE * _free_bytes(self._device())

    def expected(self, folder: Path, asked: Sequence[LoglikelihoodRequest]) -> list[Loglikelihood] | str:
        """The reference's answers, or why there are none."""
        try:
            if self._reference is None:
                self._reference = TransformersBackend(self._settings, device=self._device())
            self._reference.load(folder)
            return self._reference.loglikelihoods(asked)
        except FinelineError as error:
            self._reference = None
            return one_line(error)

    def _device(self) -> str:
        return "cuda" if torch.cuda.is_available() else "cpu"


def difference(
    asked: Sequence[LoglikelihoodRequest], left: Sequence[Loglikelihood], right: Sequence[Loglikelihood]
) -> float:
    """The largest difference in nats a token; infinite where only one of two is a number."""
    worst = 0.0
    for request, one, other in zip(asked, left, right, strict=True):
        both = torch.tensor([one.logprob, other.logprob], dtype=torch.float64)
        finite = torch.isfinite(both)
        if bool(finite.all()):
            worst = max(worst, abs(one.logprob - other.logprob) / len(request.continuation))
        elif bool(finite.any()):
            return float("inf")
    return worst


def _free_bytes(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    stated: dict[str, Any] = {line.split(":")[0]: line.split()[1] for line in lines if line}
    return int(stated.get("MemAvailable", 0)) * 1024
