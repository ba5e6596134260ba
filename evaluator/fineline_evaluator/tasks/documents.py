"""The documents of a task as results hold them: digest, right answer, choices, and JSON text."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from lm_eval.api.task import ConfigurableTask

from fineline.errors import TaskError
from fineline.results.schemas import DOCUMENTS

_DIGEST_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a leaf task. `right` holds the indices of the right choices, empty where there are no choices or
    the document names none that exists. `domain` is its text's, in tasks that say which column holds it."""

    number: int
    content: Mapping[str, Any]
    text: str
    digest: str
    target: str
    choices: tuple[str, ...]
    right: tuple[int, ...]
    domain: str | None

    @property
    def chance(self) -> float | None:
        """What guessing among the choices scores."""
        return len(self.right) / len(self.choices) if self.right and self.choices else None


def read_documents(task: ConfigurableTask, numbers: Sequence[int] | None) -> tuple[Document, ...]:
    """The documents that a task is scored on: those of these numbers, None for all."""
    wanted = None if numbers is None else frozenset(numbers)
    column = (task.config.metadata or {}).get("domain_column")
    try:
        return tuple(
            _document(task, number, content, column)
            for number, content in enumerate(task.task_docs)
            if wanted is None or number in wanted
        )
    except Exception as error:
        raise TaskError(f"{task.task_name}: its documents can't be read: {type(error).__name__}: {error}") from error


def documents_table(rows: Sequence[tuple[str | None, Document]]) -> pa.Table:
    """Documents with their subtask, in schema DOCUMENTS."""
    return pa.table(
        {
            "subtask": [subtask for subtask, _ in rows],
            "doc_id": [document.number for _, document in rows],
            "doc_digest": [document.digest for _, document in rows],
            "document": [document.text for _, document in rows],
        },
        schema=DOCUMENTS,
    )


def _document(task: ConfigurableTask, number: int, content: dict[str, Any], column: str | None) -> Document:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, default=_plain)
    choices = tuple(map(str, task.doc_to_choice(content))) if task.config.doc_to_choice is not None else ()
    target = task.doc_to_target(content)
    # Where choices are contexts (winogrande), lm-eval keeps the right one's index in the text's place.
    right = _right(task.doc_to_text(content) if task.multiple_input else target, choices)
    domain = content.get(column) if column else None
    return Document(
        number=number,
        content=content,
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH],
        target=choices[right[0]] if right else _shown(target),
        choices=choices,
        right=right,
        domain=str(domain) if domain is not None else None,
    )


def _right(gold: Any, choices: tuple[str, ...]) -> tuple[int, ...]:
    if not choices:
        return ()
    golds = gold if isinstance(gold, list) else [gold]
    indices = [choices.index(one) if isinstance(one, str) and one in choices else one for one in golds]
    return tuple(
        index
        for index in indices
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(choices)
    )


def _shown(target: Any) -> str:
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)
