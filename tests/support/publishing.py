"""Units to publish in tests, and a process that races for them."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from fineline.results import METRICS, SAMPLES, Manifest, UnitAddress, publish
from fineline.store import Store, open_store

ADDRESS = UnitAddress("tiny", "main", 1000, "piqa", "0123456789abcdef")
MANIFEST = Manifest(
    key_inputs={}, software={"fineline": "0"}, device="cpu", seconds={}, tokens={}, prompts_cut=0,
    numerics_fingerprint={}, sanity={}, load={},
)  # fmt: skip


def metrics_of(address: UnitAddress, value: float = 0.5) -> pa.Table:
    row = {
        "run": address.run, "branch": address.branch, "step": address.step, "tokens": None, "annealed": None,
        "parameters": 1, "active_parameters": 1, "non_embedding_parameters": 1, "task": address.task, "subtask": None,
        "domain": "reasoning", "metric": "acc", "filter": "none", "value": value, "stderr": 0.1, "n": 10, "chance": 0.5,
        "higher_is_better": True, "num_fewshot": 0, "key": address.key, "checkpoint_digest": "d",
        "evaluated_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return pa.Table.from_pylist([row], schema=METRICS)


def samples_of(prediction: str) -> pa.Table:
    row = dict.fromkeys(SAMPLES.names) | {"doc_id": 0, "doc_digest": "d", "prediction": prediction}
    return pa.Table.from_pylist([row], schema=SAMPLES)


def commit(store: Store, address: UnitAddress = ADDRESS, prediction: str = "1", value: float = 0.5) -> bool:
    return publish(store, address, samples_of(prediction), metrics_of(address, value), MANIFEST).won


def race(uri: str, rounds: int, prediction: str, barrier: object, won: object) -> None:
    store = open_store(uri)
    for number in range(rounds):
        address = UnitAddress("tiny", "main", number, "piqa", "0123456789abcdef")
        barrier.wait(60)  # type: ignore[attr-defined]
        if commit(store, address, prediction):
            won.put((number, prediction))  # type: ignore[attr-defined]
