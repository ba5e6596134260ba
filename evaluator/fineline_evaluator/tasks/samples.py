"""samples.arrow of one checkpoint and task: one row a document, with a column a metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fineline.results.schemas import SAMPLES
from fineline_evaluator.tasks.aggregation import MetricKey, single_value
from fineline_evaluator.tasks.leaves import Leaf, LeafScores

Part = tuple[str | None, Leaf, LeafScores]
"""A subtask's name (None where the task has none), its task, and its scores."""


def samples_table(parts: Sequence[Part]) -> pa.Table:
    """Schema SAMPLES, then one float64 column a metric, in the order in which the metrics were met; null where a
    document has no value of its own."""
    columns: dict[str, list[Any]] = {name: [] for name in SAMPLES.names}
    names = _column_names(parts)
    values: dict[str, list[float | None]] = {column: [] for column in names.values()}
    for subtask, leaf, scores in parts:
        for document, (about, found) in zip(leaf.documents, scores.by_document, strict=True):
            row = {
                "subtask": subtask if subtask is not None else document.domain,
                "doc_id": document.number,
                "doc_digest": document.digest,
                "target": document.target,
                "choices": about.logprobs or None,
                "choice_tokens": about.token_counts or None,
                "choice_bytes": about.byte_counts or None,
                "greedy": about.greedy or None,
                "generated": about.generated,
                "prediction": about.prediction,
            }
            for name, value in row.items():
                columns[name].append(value)
            for key, column in names.items():
                values[column].append(single_value(leaf.task, key[0], found[key]) if key in found else None)
    fields = [pa.array(columns[field.name], type=field.type) for field in SAMPLES]
    fields += [pa.array(column, type=pa.float64()) for column in values.values()]
    schema = pa.schema([*SAMPLES, *(pa.field(column, pa.float64()) for column in values)])
    return pa.Table.from_arrays(fields, schema=schema)


def _column_names(parts: Sequence[Part]) -> dict[MetricKey, str]:
    keys = list(dict.fromkeys(key for _, _, scores in parts for key in scores.items))
    ambiguous = {metric for metric, _ in keys if sum(metric == other for other, _ in keys) > 1}
    return {(metric, name): f"{metric}@{name}" if metric in ambiguous else metric for metric, name in keys}
