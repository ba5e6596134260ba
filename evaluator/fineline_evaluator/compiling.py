"""The requests of a slice's tasks: made once per task, tokenizer and window, and kept for all of its checkpoints."""

from __future__ import annotations

from pathlib import Path

from fineline.datasets import Mirror, read_mirror
from fineline.errors import TaskError
from fineline.plan import PlannedTask, WorkOrder
from fineline.plan.data import task_data_digest
from fineline.results import publish_documents
from fineline.store import Store, open_store
from fineline.suites import CustomSuite, Suite, load, parse, task_identity
from fineline_evaluator.checkpoint import LoadedCheckpoint
from fineline_evaluator.tasks import CompiledTask, TaskLibrary, TaskSettings, tokenizer_digest


class SliceTasks:
    """The tasks of a slice as requests; the documents of each are published when it is first compiled."""

    def __init__(self, order: WorkOrder, results: Store, scratch: Path) -> None:
        self._order = order
        self._results = results
        self._scratch = scratch
        self._suite = _suite(order)
        self._mirror: Mirror | None = None
        self._library: TaskLibrary | None = None
        self._compiled: dict[tuple[str, str, int], CompiledTask | TaskError] = {}

    def compile(self, task: PlannedTask, loaded: LoadedCheckpoint) -> CompiledTask:
        """The requests of a task for the tokenizer and the window of a checkpoint. `TaskError`, `StoreError`."""
        where = (task.task, tokenizer_digest(loaded.folder), loaded.window)
        if where not in self._compiled:
            try:
                self._compiled[where] = self._compile(task, loaded)
            except TaskError as error:
                if not error.permanent:
                    raise
                self._compiled[where] = error
        compiled = self._compiled[where]
        if isinstance(compiled, TaskError):
            raise compiled
        return compiled

    def _compile(self, task: PlannedTask, loaded: LoadedCheckpoint) -> CompiledTask:
        library = self._opened()
        self._check_as_planned(task)
        settings = TaskSettings(
            task=task.task,
            shots=task.shots,
            limit=task.limit,
            window=loaded.window,
            add_bos=self._order.engine.add_bos,
            allow_code_execution=self._order.allow_code_execution,
        )
        compiled = library.compile(settings, loaded.folder)
        publish_documents(self._results, task.task, compiled.documents)
        return compiled

    def _opened(self) -> TaskLibrary:
        if self._library is None:
            uri = self._order.datasets_uri
            store = open_store(uri) if uri is not None else None
            self._mirror = read_mirror(store) if store is not None else None
            custom = self._suite if isinstance(self._suite, CustomSuite) else None
            self._library = TaskLibrary(store, self._scratch / "requests", custom)
        return self._library

    def _check_as_planned(self, task: PlannedTask) -> None:
        """What the key promises must be what is here: else the numbers would stand under a wrong key."""
        if task_identity(self._suite, task.task) != task.identity:
            message = (
                "its configuration here is not the planned one: another version of Fineline or lm-eval; plan again"
            )
            raise TaskError(f"{task.task}: {message}", reason="DataMismatch")
        if task_data_digest(self._suite, task.task, self._mirror) != task.data_digest:
            message = f"its data in {self._order.datasets_uri} changed since the plan was made; plan again"
            raise TaskError(f"{task.task}: {message}", reason="DataMismatch")


def _suite(order: WorkOrder) -> CustomSuite | Suite:
    return load(order.suite_name) if order.suite_files is None else parse(order.suite_files, order.suite_name)
