"""Turns a unit's scores into the rows of metrics.arrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from fineline.results import METRICS
from fineline_evaluator.sanity import CheckpointSanity, UnitSanity
from fineline_evaluator.tasks import MetricRow

SANITY_DOMAIN = "sanity"


@dataclass(frozen=True)
class UnitFacts:
    """What all rows of a unit share. Parameter counts are of the checkpoint's tensors."""

    run: str
    branch: str
    step: int
    tokens: int | None
    parameters: int
    active_parameters: int
    non_embedding_parameters: int
    task: str
    domain: str
    key: str
    checkpoint_digest: str
    evaluated_at: datetime


def metrics_table(facts: UnitFacts, rows: Sequence[MetricRow], sanity: Iterable[MetricRow]) -> pa.Table:
    """The rows of the task's metrics, then the sanity rows under the domain `sanity`, in the METRICS schema."""
    values = [_row(facts, row, facts.domain) for row in rows]
    values += [_row(facts, row, SANITY_DOMAIN) for row in sanity]
    return pa.Table.from_pylist(values, schema=METRICS)


def sanity_rows(checkpoint: CheckpointSanity, unit: UnitSanity, documents: int) -> list[MetricRow]:
    """The sanity of a checkpoint and of a unit as metrics; what could not be told has no row."""
    found: list[tuple[str, float | None, bool]] = [
        ("sanity_bits_per_byte", checkpoint.bits_per_byte, False),
        ("sanity_uniform_bits_per_byte", checkpoint.uniform_bits_per_byte, False),
        ("sanity_nonfinite_share", unit.nonfinite_share, False),
        ("sanity_constant_answer_share", unit.constant_answer_share, False),
        ("sanity_eos_logprob", checkpoint.eos_logprob, False),
    ]
    return [
        MetricRow(
            subtask=None,
            metric=metric,
            filter="none",
            value=value,
            stderr=None,
            n=documents,
            chance=None,
            higher_is_better=better,
            num_fewshot=0,
        )
        for metric, value, better in found
        if value is not None
    ]


def _row(facts: UnitFacts, row: MetricRow, domain: str) -> dict[str, Any]:
    return {
        "run": facts.run,
        "branch": facts.branch,
        "step": facts.step,
        "tokens": facts.tokens,
        "annealed": None,
        "parameters": facts.parameters,
        "active_parameters": facts.active_parameters,
        "non_embedding_parameters": facts.non_embedding_parameters,
        "task": facts.task,
        "subtask": row.subtask,
        "domain": domain,
        "metric": row.metric,
        "filter": row.filter,
        "value": row.value,
        "stderr": row.stderr,
        "n": row.n,
        "chance": row.chance,
        "higher_is_better": row.higher_is_better,
        "num_fewshot": row.num_fewshot,
        "key": facts.key,
        "checkpoint_digest": facts.checkpoint_digest,
        "evaluated_at": facts.evaluated_at,
    }
