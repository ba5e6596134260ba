"""Writes the held-out documents of the world as a data-set mirror."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import world

from fineline.datasets import MirrorFile, write_manifest
from fineline.store import open_store, uri_of

DATASET = "fineline/tiny-world"
EVALUATION_DOCUMENTS = 200
FEWSHOT_DOCUMENTS = 32
TEXTS = 100

_COLUMNS = pa.schema(
    [("prompt", pa.string()), ("choices", pa.list_(pa.string())), ("answer", pa.int64()), ("target", pa.string())]
)


def write_datasets(folder: Path) -> int:
    """Writes the mirror: `<data set>/<ability>/<split>.parquet` and mirror.json. Returns the documents held out.

    `test` holds what training never sees, `train` examples to show before a question. A file whose content has not
    changed is left alone, so that its results still hold.
    """
    written = 0
    tables: dict[str, pa.Table] = {}
    for ability in world.EVALUATED:
        test = world.examples(ability, EVALUATION_DOCUMENTS)
        shown = world.examples(ability, FEWSHOT_DOCUMENTS, for_training=True)
        tables[f"{ability}/test"] = _table(test)
        tables[f"{ability}/train"] = _table(shown)
        written += len(test)
    texts = held_out_texts(TEXTS)
    tables["text/test"] = pa.table({"text": texts})
    files = []
    for name, table in tables.items():
        relative = f"{DATASET}/{name}.parquet"
        path = folder / relative
        _write(table, path)
        files.append(MirrorFile(relative, path.stat().st_size, None, hashlib.sha256(path.read_bytes()).hexdigest()))
    write_manifest(open_store(uri_of(f"{folder}/")), files)
    return written + len(texts)


def held_out_texts(count: int) -> list[str]:
    """Pages of documents that training never sees, a kind each, for the loss."""
    rng = random.Random(f"{world.SEED} text")
    kinds = list(world.EVALUATED.values())
    return [
        " ".join(
            world.draw(kinds[page % len(kinds)], rng, for_training=False).text
            for _ in range(1 if kinds[page % len(kinds)] in world.ALONE else 3)
        )
        for page in range(count)
    ]


def _table(documents: list[world.Document]) -> pa.Table:
    rows = [{"prompt": d.prompt, "choices": list(d.choices), "answer": d.answer, "target": d.target} for d in documents]
    return pa.Table.from_pylist(rows, schema=_COLUMNS)


def _write(table: pa.Table, path: Path) -> None:
    if path.exists() and pq.read_table(path).equals(table):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial)
    partial.rename(path)
