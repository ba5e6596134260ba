"""The task library: lm-eval's tasks, compiled once per tokenizer and kept for every checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from fineline.errors import TaskError
from fineline.store import Store
from fineline.suites import CustomSuite, sample_ids
from fineline_evaluator.tasks import records
from fineline_evaluator.tasks.compiled import CompiledTask, assemble
from fineline_evaluator.tasks.compiling import compile_leaf
from fineline_evaluator.tasks.documents import read_documents
from fineline_evaluator.tasks.harness import BuiltTask, build, find, runs_code
from fineline_evaluator.tasks.records import Compiled, Question
from fineline_evaluator.tasks.settings import TaskSettings
from fineline_evaluator.tasks.source import HubSource, MirrorSource, Source
from fineline_evaluator.tasks.tokens import Encoder, tokenizer_digest

# Raised when the same settings would compile to other requests.
_METHOD_VERSION = 1


class TaskLibrary:
    """Compiles tasks over the data of a mirror (without one: of the hub), and keeps the requests below `cache`.

    `custom` adds the tasks of a suite of one's own. `revisions` pins hub data sets (`<path>/<config>`) to commits.
    """

    def __init__(
        self,
        mirror: Store | None,
        cache: Path,
        custom: CustomSuite | None = None,
        revisions: Mapping[str, str | None] | None = None,
    ) -> None:
        # The engine's process must not fork a pool for a bootstrap, and tokenizers warn after a fork.
        os.environ.setdefault("DISABLE_MULTIPROC", "1")
        if mirror is not None:
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
            os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
        self._cache = cache
        self._custom = custom
        self._source: Source = HubSource(revisions) if mirror is None else MirrorSource(mirror, cache)
        self._encoders: dict[tuple[str, bool | None], Encoder] = {}

    def compile(self, settings: TaskSettings, tokenizer_folder: Path) -> CompiledTask:
        """A task's requests for the tokenizer in a checkpoint's folder.

        TaskError: TaskUnknown, SplitMissing, DataMismatch, ContextTooLong, CodeExecutionRefused, TaskFailed.
        """
        task = build(find(settings.task, self._custom), settings.shots, self._source)
        if not settings.allow_code_execution and any(runs_code(leaf) for leaf in task.leaves):
            raise TaskError(
                f"{settings.task}: it runs programs that the model writes; suite.allowCodeExecution: true lets it",
                reason="CodeExecutionRefused",
            )
        drawn = [sample_ids(leaf.task_name, len(leaf.task_docs), settings.limit, settings.seed) for leaf in task.leaves]
        documents = [read_documents(leaf, numbers) for leaf, numbers in zip(task.leaves, drawn, strict=True)]
        data_digest = self._source.digest(list(task.datasets))
        tokenizer = tokenizer_digest(tokenizer_folder)
        encoder = self._encoder(tokenizer, tokenizer_folder, settings.add_bos)
        digests = [document.digest for some in documents for document in some]
        file = self._cache / "requests" / f"{_cache_name(settings, task, tokenizer, data_digest, digests)}.arrow"
        compiled = records.read(file, encoder)
        if compiled is None:
            compiled = _compile(task, drawn, settings, encoder)
            records.write(file, compiled)
        return assemble(settings, task, documents, compiled, data_digest)

    def _encoder(self, digest: str, folder: Path, add_bos: bool | None) -> Encoder:  # noqa: FBT001 - a value
        if (digest, add_bos) not in self._encoders:
            self._encoders[digest, add_bos] = Encoder(folder, add_bos)
        return self._encoders[digest, add_bos]


def _compile(task: BuiltTask, drawn: list[tuple[int, ...]], settings: TaskSettings, encoder: Encoder) -> Compiled:
    questions: list[Question] = []
    cut = 0
    for index, (leaf, numbers) in enumerate(zip(task.leaves, drawn, strict=True)):
        everything = len(numbers) == len(leaf.task_docs)
        part = compile_leaf(index, leaf, None if everything else numbers, settings, encoder)
        questions.extend(part.questions)
        cut += part.prompts_cut
    return Compiled(tuple(questions), cut)


def _cache_name(settings: TaskSettings, task: BuiltTask, tokenizer: str, data_digest: str, documents: list[str]) -> str:
    inputs = {
        "method": _METHOD_VERSION,
        "versions": [version("lm-eval"), version("transformers"), version("tokenizers")],
        "config": task.config_digest,
        "data": data_digest,
        "documents": hashlib.sha256("\n".join(documents).encode()).hexdigest(),
        "tokenizer": tokenizer,
        "shots": [leaf.config.num_fewshot for leaf in task.leaves],
        "limit": settings.limit,
        "window": settings.window,
        "add_bos": settings.add_bos,
        "seed": settings.seed,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]
