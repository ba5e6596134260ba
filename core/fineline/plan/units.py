"""The units of checkpoints that are known by their digests alone: where their results lie, before there is a plan.

A plan computes keys by the same functions, so what a CheckpointSource takes for evaluated is what a plan would reuse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from fineline.checkpoints import files_digest, tokenizer_digest
from fineline.datasets import Mirror, read_mirror
from fineline.plan.data import task_data_digest
from fineline.plan.keys import unit_key
from fineline.plan.models import PlannedEngine, PlannedTask, key_inputs_of
from fineline.plan.observing import Elsewhere, config_elsewhere, suite_of, tokenizer_elsewhere
from fineline.resources.checkpoint_eval import CheckpointFiles, Engine, EvaluationTemplate, SuiteSpec
from fineline.results.layout import UnitAddress
from fineline.store import StoreTable, open_store
from fineline.suites import CustomSuite, Suite, SuiteTask, find_lock, task_identity


@dataclass(frozen=True, slots=True)
class UnitRecipe:
    """All that the units of a series' checkpoints depend on besides the checkpoint.

    `config_digest` and `tokenizer_digest` are those of files elsewhere; empty where checkpoints carry their own.
    `digest` is over all of it.
    """

    run: str
    tasks: tuple[PlannedTask, ...]
    engine: PlannedEngine
    allow_code_execution: bool
    config_digest: str = ""
    tokenizer_digest: str = ""
    digest: str = field(init=False, compare=False, default="")

    def __post_init__(self) -> None:
        # The addresses of one checkpoint that is none stand for those of all.
        told = [(unit.task, unit.key) for unit in self.addresses("", 0, "", self.tokenizer_digest or "own")]
        text = json.dumps([self.run, self.config_digest, self.tokenizer_digest, told])
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    def addresses(self, branch: str, step: int, digest: str, own_tokenizer: str) -> tuple[UnitAddress, ...]:
        """Where the results of a checkpoint lie, one unit a task.

        `digest` is that of `fineline.checkpoints.Checkpoint`, `own_tokenizer` that of the tokenizer it carries; a
        checkpoint without any tokenizer has no units.
        """
        tokenizer = self.tokenizer_digest or own_tokenizer
        if not tokenizer:
            return ()
        whole = with_config(digest, self.config_digest)
        return tuple(
            UnitAddress(
                self.run,
                branch,
                step,
                task.task,
                unit_key(key_inputs_of(self.engine, task, whole, tokenizer, self.allow_code_execution)),
            )
            for task in self.tasks
        )


def read_recipe(
    template: EvaluationTemplate,
    checkpoints: CheckpointFiles,
    *,
    suite_files: Mapping[str, str] | None = None,
    datasets_uri: str | None = None,
    stores: StoreTable | None = None,
) -> UnitRecipe:
    """Reads the small files that keys depend on: the mirror's manifest, the tokenizer's and the config's places.

    The arguments are those of `make_plan`, and so are the errors: `SpecError`, `StoreError`.
    """
    suite = suite_of(template.suite, suite_files)
    datasets = template.suite.datasets or datasets_uri
    mirror = read_mirror(open_store(datasets, stores=stores)) if datasets is not None else None
    config = config_elsewhere(checkpoints, stores)
    tokenizer = tokenizer_elsewhere(checkpoints, stores)
    return UnitRecipe(
        run=template.run.name,
        tasks=planned_tasks(template.suite, suite, mirror),
        engine=planned_engine(template.engine),
        allow_code_execution=template.suite.allow_code_execution,
        config_digest=digest_of_config(config),
        tokenizer_digest=tokenizer_digest(tokenizer.files) if tokenizer is not None else "",
    )


def digest_of_config(config: Elsewhere | None) -> str:
    """Of a config.json elsewhere; empty where there is none."""
    return files_digest([config.files[0]]) if config is not None else ""


def with_config(digest: str, config_digest: str) -> str:
    """The digest of a checkpoint together with that of its config.json elsewhere, if that is where it is."""
    return hashlib.sha256(f"{digest}{config_digest}".encode()).hexdigest() if config_digest else digest


def planned_engine(engine: Engine) -> PlannedEngine:
    return PlannedEngine(
        backend=engine.backend,
        dtype=engine.dtype,
        max_model_len=engine.max_model_len,
        tensor_parallel_size=engine.tensor_parallel_size,
        add_bos=engine.add_bos,
        args=dict(engine.args),
    )


def planned_tasks(spec: SuiteSpec, suite: Suite | CustomSuite, mirror: Mirror | None) -> tuple[PlannedTask, ...]:
    """The tasks that a resource names, or those of its suite."""
    tasks = suite.tasks
    if spec.tasks is not None:
        tasks = tuple(SuiteTask(given.task, given.shots, given.limit, given.domain) for given in spec.tasks)
    return tuple(_planned_task(task, suite, mirror) for task in tasks)


def _planned_task(task: SuiteTask, suite: Suite | CustomSuite, mirror: Mirror | None) -> PlannedTask:
    lock = find_lock(task.task, task.shots)
    return PlannedTask(
        task=task.task,
        shots=task.shots,
        limit=task.limit,
        domain=task.domain,
        identity=task_identity(suite, task.task),
        data_digest=task_data_digest(suite, task.task, mirror),
        estimated_tokens=lock.tokens_of(task.limit) if lock is not None else None,
    )
