"""The Arrow schemas of results. A reader ignores columns that it doesn't know."""

from __future__ import annotations

import pyarrow as pa

MANIFEST_KEY = b"fineline.manifest"

METRICS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("branch", pa.string(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64()),
        pa.field("annealed", pa.bool_()),
        pa.field("parameters", pa.int64(), nullable=False),
        pa.field("active_parameters", pa.int64(), nullable=False),
        pa.field("non_embedding_parameters", pa.int64(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("subtask", pa.string()),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("filter", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("stderr", pa.float64()),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("chance", pa.float64()),
        pa.field("higher_is_better", pa.bool_(), nullable=False),
        pa.field("num_fewshot", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("checkpoint_digest", pa.string(), nullable=False),
        pa.field("evaluated_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
"""metrics.arrow: one row a metric. `subtask` is null on the row of the task itself."""

SAMPLES = pa.schema(
    [
        pa.field("subtask", pa.string()),
        pa.field("doc_id", pa.int64(), nullable=False),
        pa.field("doc_digest", pa.string(), nullable=False),
        pa.field("target", pa.string()),
        pa.field("choices", pa.list_(pa.float32())),
        pa.field("choice_tokens", pa.list_(pa.int32())),
        pa.field("choice_bytes", pa.list_(pa.int32())),
        pa.field("greedy", pa.list_(pa.bool_())),
        pa.field("generated", pa.large_string()),
        pa.field("prediction", pa.string()),
    ]
)
"""samples.arrow: one row a document; `choices` are log-likelihoods in nats. After these columns stands one float64
column a metric, named as the metric (with `@filter` behind it where the task has more than one filter)."""

DOCUMENTS = pa.schema(
    [
        pa.field("subtask", pa.string()),
        pa.field("doc_id", pa.int64(), nullable=False),
        pa.field("doc_digest", pa.string(), nullable=False),
        pa.field("document", pa.large_string(), nullable=False),
    ]
)
"""docs/…arrow: the documents of a task as JSON text, once for all checkpoints."""
