"""Compiled requests: what lm-eval asks of a model, as plain frozen values, in memory and on disk.

A question is one lm-eval Instance: a choice of a document, a text to be rolled over, a prompt to generate from. It
owns a run of engine requests: one, or several windows of a text, or none for an empty text.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from fineline_evaluator.scoring import GenerateRequest, LoglikelihoodRequest
from fineline_evaluator.tasks.tokens import Encoder

Kind = Literal["loglikelihood", "loglikelihood_rolling", "generate_until"]

_SCHEMA = pa.schema(
    [
        pa.field("leaf", pa.int32(), nullable=False),
        pa.field("document", pa.int64(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("repeats", pa.int32(), nullable=False),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("text_bytes", pa.int32(), nullable=False),
        pa.field("window", pa.int32(), nullable=False),
        pa.field("context", pa.list_(pa.int32())),
        pa.field("continuation", pa.list_(pa.int32())),
        pa.field("generation", pa.string()),
    ]
)
_META_KEY = b"fineline.compiled"
_ROWS_AT_ONCE = 8192
_NO_REQUEST = -1


@dataclass(frozen=True, slots=True)
class Question:
    """One lm-eval Instance: `document` counts within the leaf's compiled documents, `index` within the document.

    `text_bytes` are the UTF-8 bytes of the scored text. Its requests are `requests`: log-likelihood requests, of which
    a rolled text has any number, or `repeats` generation requests.
    """

    leaf: int
    document: int
    index: int
    repeats: int
    kind: Kind
    text_bytes: int
    requests: tuple[LoglikelihoodRequest, ...] | tuple[GenerateRequest, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The questions of a task in canonical order, and how many prompts had to be cut to the window."""

    questions: tuple[Question, ...]
    prompts_cut: int


def write(file: Path, compiled: Compiled) -> None:
    """Keeps compiled requests on disk, behind a checksum. A disk that is full costs the next start time, no more."""
    sink = io.BytesIO()
    schema = _SCHEMA.with_metadata({_META_KEY: json.dumps({"prompts_cut": compiled.prompts_cut}).encode()})
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for rows in _in_blocks(_rows(compiled.questions)):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    content = sink.getvalue()
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(_checksum(content) + content)
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read(file: Path, encoder: Encoder) -> Compiled | None:
    """What `write` kept; None where there is nothing, or nothing that can be trusted."""
    try:
        raw = file.read_bytes()
        content = raw[len(_checksum(b"")) :]
        if _checksum(content) != raw[: -len(content) or None]:
            return None
        table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        meta = json.loads(table.schema.metadata[_META_KEY])
        return Compiled(tuple(_questions(table, encoder)), int(meta["prompts_cut"]))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None


def _rows(questions: Sequence[Question]) -> Iterator[dict[str, Any]]:
    before: tuple[int, ...] | None = None
    for question in questions:
        base = {
            "leaf": question.leaf,
            "document": question.document,
            "index": question.index,
            "repeats": question.repeats,
            "kind": question.kind,
            "text_bytes": question.text_bytes,
        }
        if not question.requests:
            yield base | {"window": _NO_REQUEST, "context": None, "continuation": None, "generation": None}
        requests: Sequence[LoglikelihoodRequest | GenerateRequest] = question.requests
        for window, request in enumerate(requests):
            row = _request_row(request)
            # Choices of a document share their context, which is written once.
            same, before = row["context"] == before, row["context"]
            yield base | {"window": window} | row | ({"context": None} if same else {})


def _request_row(request: LoglikelihoodRequest | GenerateRequest) -> dict[str, Any]:
    if isinstance(request, LoglikelihoodRequest):
        return {"context": request.context, "continuation": request.continuation, "generation": None}
    options = {
        "until": request.until,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed,
    }
    return {"context": request.prompt, "continuation": None, "generation": json.dumps(options)}


def _questions(table: pa.Table, encoder: Encoder) -> Iterator[Question]:
    head: dict[str, Any] | None = None
    requests: list[Any] = []
    context: tuple[int, ...] = ()
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        contexts, continuations = _lists(batch.column("context")), _lists(batch.column("continuation"))
        plain = batch.drop_columns(["context", "continuation"]).to_pylist()
        for row, new_context, continuation in zip(plain, contexts, continuations, strict=True):
            if row["window"] <= 0:
                if head is not None:
                    yield _question(head, requests)
                head, requests = row, []
            if row["window"] == _NO_REQUEST:
                continue
            if new_context is not None:
                context = encoder.intern(new_context)
            if row["generation"] is None:
                requests.append(LoglikelihoodRequest(context, encoder.intern(continuation or ())))
            else:
                options = json.loads(row["generation"])
                requests.append(GenerateRequest(context, **options | {"until": tuple(options["until"])}))
    if head is not None:
        yield _question(head, requests)


def _lists(column: pa.ListArray) -> Iterator[list[int] | None]:
    """A column of lists, through numpy: Arrow's own way makes an object of each number first."""
    values, offsets = column.values.to_numpy(), column.offsets.to_numpy()
    for position, valid in enumerate(column.is_valid().to_pylist()):
        yield values[offsets[position] : offsets[position + 1]].tolist() if valid else None


def _question(row: dict[str, Any], requests: list[Any]) -> Question:
    return Question(
        row["leaf"], row["document"], row["index"], row["repeats"], row["kind"], row["text_bytes"], tuple(requests)
    )


def _in_blocks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    block: list[dict[str, Any]] = []
    for row in rows:
        block.append(row)
        if len(block) == _ROWS_AT_ONCE:
            yield block
            block = []
    if block:
        yield block


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + b"\n"
