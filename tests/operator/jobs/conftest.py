"""An evaluation, its plan and the operator's settings, as the tests of its Job take them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from fineline.plan import PlanFacts
from fineline.resources import CheckpointEvalSpec
from fineline.resources.status import CheckpointEvalStatus
from fineline_operator.evaluations.observed import EvaluationSeen
from fineline_operator.settings import OperatorSettings

MOMENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
UID = "6f1d8f6a-7d58-4a52-9d3c-0b1f2a3c4d5e"
GIB = 1 << 30


@pytest.fixture
def evaluation() -> Callable[..., EvaluationSeen]:
    """Makes a CheckpointEval; `pods` and `engine` are those fields of its spec, the rest further ones."""

    def make(
        *, name: str = "amber-7b", namespace: str = "evals", pods: Any = None, engine: Any = None, **more: Any
    ) -> EvaluationSeen:
        values = {
            "run": {"name": "amber-7b"},
            "checkpoints": {"uri": "s3://pretrain/amber-7b/"},
            "suite": {"name": "fine-line", "datasets": "s3://mirror/"},
            "pods": pods or {},
            "engine": engine or {},
            **more,
        }
        return EvaluationSeen(
            namespace=namespace,
            name=name,
            uid=UID,
            generation=1,
            created=MOMENT,
            deleting=False,
            retry="",
            spec=CheckpointEvalSpec.model_validate(values),
            problem=None,
            status=CheckpointEvalStatus(),
        )

    return make


@pytest.fixture
def facts() -> Callable[..., PlanFacts]:
    """Makes the facts of a plan: two checkpoints of 13 and a half GiB each, unless said otherwise."""

    def make(slices: int = 3, **more: Any) -> PlanFacts:
        usual: dict[str, Any] = {
            "digest": "ab" * 32,
            "retry": "",
            "made": MOMENT,
            "slices": slices,
            "slice_digests": ("cd" * 32,) * slices,
            "chunks": 1,
            "checkpoints": 6,
            "units": 60,
            "todo": 60,
            "reused": 0,
            "failed_before": 0,
            "put_aside": 0,
            "put_aside_for_good": 0,
            "put_aside_example": "",
            "failures": (),
            "results_uri": "s3://results/",
            "run_results_uri": "s3://results/units/run=amber-7b/",
            "checkpoint_bytes": 27 * GIB,
            "longest_unit_tokens": 1_000_000,
            "largest_slice_units": 20,
            "tensor_parallel_size": 1,
        }
        return PlanFacts.model_validate({**usual, **more})

    return make


@pytest.fixture
def settings() -> Callable[..., OperatorSettings]:
    """Makes the operator's settings; what is given goes into those of the evaluator."""

    def make(
        stores: list[dict[str, Any]] | None = None, datasets: str | None = None, **evaluator: Any
    ) -> OperatorSettings:
        values = {"evaluator": {"image": "registry.example/fineline-evaluator:1", **evaluator}, "stores": stores or []}
        return OperatorSettings.model_validate(values if datasets is None else {**values, "datasets": datasets})

    return make
