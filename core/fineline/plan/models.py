"""What a plan is made of; the JSON that a pod gets as its slice is these models.

A slice holds everything that its pod needs: which files make a checkpoint, which tasks, which units, which engine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fineline.errors import SpecError
from fineline.plan.keys import SEED, KeyInputs, engine_numerics
from fineline.results.layout import UnitAddress, checkpoint_name

PLAN_VERSION = 1


class PlanModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedFile(PlanModel):
    """One file of a checkpoint: `name` below the folder `folder_uri`, `local_name` where the engine looks for it."""

    folder_uri: str
    name: str
    local_name: str
    size: int
    etag: str


class PlannedCheckpoint(PlanModel):
    """One checkpoint to evaluate; `files` are all that the engine and the tokenizer read."""

    uri: str
    branch: str
    step: int
    tokens: int | None
    digest: str
    tokenizer_digest: str
    files: tuple[PlannedFile, ...]

    @property
    def name(self) -> str:
        return checkpoint_name(self.branch, self.step)

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(file.size for file in self.files)


class PlannedTask(PlanModel):
    """One task of the suite, with what identifies its configuration and data."""

    task: str
    shots: int | None
    limit: int | None
    domain: str
    identity: str
    data_digest: str
    estimated_tokens: int | None


class PlannedUnit(PlanModel):
    """One checkpoint and one task, by their places in the plan's lists."""

    checkpoint: int
    task: int
    key: str


class PlannedRun(PlanModel):
    """The run as the results name it."""

    name: str
    family: str | None
    parameters: int | None
    tokens_per_step: int | None
    strategy: dict[str, str]


class PlannedEngine(PlanModel):
    """The engine's settings, as the resource gives them."""

    backend: str
    dtype: str
    max_model_len: int | None
    tensor_parallel_size: int
    add_bos: bool | None
    args: dict[str, Any]


class WorkOrder(PlanModel):
    """What all slices of a plan share. `retry` names the attempt that a person asked for: failures that were recorded
    under another one are forgotten before its units are done."""

    version: int = PLAN_VERSION
    eval_name: str
    run: PlannedRun
    engine: PlannedEngine
    checkpoints: tuple[PlannedCheckpoint, ...]
    tasks: tuple[PlannedTask, ...]
    suite_name: str
    suite_files: dict[str, str] | None
    datasets_uri: str | None
    results_uri: str
    allow_code_execution: bool
    requester_pays: bool
    attempts: int
    retry: str = ""

    def address(self, unit: PlannedUnit) -> UnitAddress:
        checkpoint = self.checkpoints[unit.checkpoint]
        task = self.tasks[unit.task].task
        return UnitAddress(self.run.name, checkpoint.branch, checkpoint.step, task, unit.key)


class Slice(PlanModel):
    """The units that one pod does, checkpoint by checkpoint, and what it needs to know for them."""

    index: int
    order: WorkOrder
    units: tuple[PlannedUnit, ...]

    def to_json(self) -> bytes:
        return self.model_dump_json().encode()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()

    @classmethod
    def from_json(cls, data: bytes, origin: str) -> Self:
        """`SpecError` names the file and what is wrong in it."""
        try:
            values = json.loads(data)
            # The version first: the fields of another version would only be told as unknown ones.
            version = values["order"]["version"]
        except (ValueError, KeyError, TypeError) as error:
            what = "truncated, or no JSON" if isinstance(error, ValueError) else "no order.version in it"
            raise SpecError(f"{origin}: not a slice of a plan: {what}") from None
        if version != PLAN_VERSION:
            raise SpecError(f"{origin}: plan version {version!r}; this evaluator reads {PLAN_VERSION}; plan again")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise SpecError(f"{origin}: not a slice of a plan: {path}: {first['msg']}") from None


def key_inputs(order: WorkOrder, checkpoint: PlannedCheckpoint, task: PlannedTask) -> KeyInputs:
    """What the key of this checkpoint's unit of this task is computed from."""
    return key_inputs_of(order.engine, task, checkpoint.digest, checkpoint.tokenizer_digest, order.allow_code_execution)


def key_inputs_of(
    engine: PlannedEngine,
    task: PlannedTask,
    checkpoint_digest: str,
    tokenizer_digest: str,
    allow_code_execution: bool,  # noqa: FBT001 - as the key has it
) -> KeyInputs:
    """The same for a checkpoint of which only the digests are known."""
    return KeyInputs(
        checkpoint_digest=checkpoint_digest,
        task=task.task,
        task_identity=task.identity,
        shots=task.shots,
        limit=task.limit,
        seed=SEED,
        data_digest=task.data_digest,
        tokenizer_digest=tokenizer_digest,
        add_bos=engine.add_bos,
        allow_code_execution=allow_code_execution,
        engine=engine_numerics(engine.backend, engine.dtype, engine.max_model_len, engine.args),
    )
