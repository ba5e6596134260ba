"""Makes a plan: `decide` says, as a pure function of what was observed, which units are left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fineline.checkpoints import (
    Checkpoint,
    Found,
    Selected,
    explain_empty,
    own_tokenizer,
    select,
    tokenizer_digest,
)
from fineline.errors import CheckpointError
from fineline.plan.keys import unit_key
from fineline.plan.models import (
    PlannedCheckpoint,
    PlannedFile,
    PlannedRun,
    PlannedUnit,
    Slice,
    WorkOrder,
    key_inputs,
)
from fineline.plan.observing import Elsewhere, Observed, observe, pins_of
from fineline.plan.slices import Cost, cut
from fineline.plan.units import digest_of_config, planned_engine, planned_tasks, with_config
from fineline.resources import CheckpointEval
from fineline.resources.checkpoint_eval import Checkpoints
from fineline.results import UnitAddress, UnitState
from fineline.store import StoredObject, StoreTable
from fineline.suites import CustomSuite

UNKNOWN_TOKENS = 50_000
"""What a task of unknown size is taken to cost, in tokens."""

LOAD_TOKENS = 200_000
"""What fetching and loading a checkpoint costs, in tokens that could be scored meanwhile: both grow with its size."""


@dataclass(frozen=True)
class PutAside:
    """A checkpoint or folder that is not evaluated, and why. `passing`: a further upload may end it."""

    name: str
    reason: str
    message: str
    passing: bool


@dataclass(frozen=True)
class Plan:
    """The units of an evaluation that have no result yet, and what was found besides.

    `reused` units have a result already; `failed` ones failed for good before (a retry puts them among `todo`).
    """

    order: WorkOrder
    todo: tuple[PlannedUnit, ...]
    reused: tuple[UnitAddress, ...]
    failed: tuple[UnitAddress, ...]
    put_aside: tuple[PutAside, ...]

    @property
    def units(self) -> int:
        return len(self.todo) + len(self.reused) + len(self.failed)

    @property
    def addresses(self) -> tuple[UnitAddress, ...]:
        """All units of the evaluation, whether done or not."""
        return tuple(sorted({*self.reused, *self.failed, *(self.order.address(unit) for unit in self.todo)}))

    @property
    def estimated_tokens(self) -> int:
        return sum(self.order.tasks[unit.task].estimated_tokens or UNKNOWN_TOKENS for unit in self.todo)

    def slices(self, count: int) -> tuple[Slice, ...]:
        """At most `count` slices of about the same cost."""
        costs = [
            Cost(unit.checkpoint, self.order.tasks[unit.task].estimated_tokens or UNKNOWN_TOKENS, LOAD_TOKENS)
            for unit in self.todo
        ]
        return tuple(
            _slice(index, self.order, self.todo[part.start : part.stop]) for index, part in enumerate(cut(costs, count))
        )


def make_plan(
    evaluation: CheckpointEval,
    *,
    results_uri: str,
    suite_files: Mapping[str, str] | None = None,
    positions_file: str | None = None,
    datasets_uri: str | None = None,
    stores: StoreTable | None = None,
    retry: str = "",
    now: datetime | None = None,
) -> Plan:
    """Observes and decides.

    `suite_files` are those of the ConfigMap that `spec.suite.configMap` names, `positions_file` the text of
    `positions.yaml` in the one that `spec.checkpoints.positionsFrom` names. `datasets_uri` is the mirror where
    `spec.suite.datasets` is not set. `stores` says how stores are reached. A `retry` puts units that failed for good
    among those to do.

    `SpecError` where the resource can't be meant, `CheckpointError` where nothing can be evaluated, `StoreError`.
    """
    observed = observe(
        evaluation,
        results_uri,
        suite_files,
        positions_file=positions_file,
        datasets_uri=datasets_uri,
        stores=stores,
        now=now,
    )
    return decide(evaluation, observed, results_uri, suite_files, datasets_uri=datasets_uri, retry=retry)


def decide(
    evaluation: CheckpointEval,
    observed: Observed,
    results_uri: str,
    suite_files: Mapping[str, str] | None = None,
    *,
    datasets_uri: str | None = None,
    retry: str = "",
) -> Plan:
    """The plan that follows from what was observed."""
    checkpoints, put_aside = _planned_checkpoints(evaluation, observed)
    order = _work_order(evaluation, observed, checkpoints, results_uri, suite_files, datasets_uri, retry)
    todo: list[PlannedUnit] = []
    reused: list[UnitAddress] = []
    failed: list[UnitAddress] = []
    for checkpoint_index, checkpoint in enumerate(order.checkpoints):
        for task_index, task in enumerate(order.tasks):
            key = unit_key(key_inputs(order, checkpoint, task))
            unit = PlannedUnit(checkpoint=checkpoint_index, task=task_index, key=key)
            address = order.address(unit)
            state = observed.states.get(address, UnitState())
            if state.committed:
                reused.append(address)
            elif state.failed and not retry:
                failed.append(address)
            else:
                todo.append(unit)
    return Plan(order, tuple(todo), tuple(reused), tuple(failed), put_aside)


def _planned_checkpoints(
    evaluation: CheckpointEval, observed: Observed
) -> tuple[tuple[PlannedCheckpoint, ...], tuple[PutAside, ...]]:
    found = observed.found
    pinned = evaluation.spec.checkpoints.pinned is not None
    if not found.checkpoints and not pinned:
        raise CheckpointError(explain_empty(found), reason="NoCheckpoint")
    selected = _selected(evaluation.spec.checkpoints, found)
    # What is pinned is meant alone: what else lies in the prefix is no failure of it.
    others = () if pinned else found.not_understood
    put_aside = [PutAside(item.folder or ".", "PositionUnknown", item.message, False) for item in others]
    put_aside += [
        PutAside(item.name, item.problem.reason, item.problem.message, item.problem.passing)
        for item in selected.incomplete
        if item.problem is not None
    ]
    put_aside += [PutAside(f"step {item.step}", item.error.reason, str(item.error), False) for item in selected.missing]
    planned: list[PlannedCheckpoint] = []
    for checkpoint in selected.checkpoints:
        try:
            planned.append(_planned_checkpoint(checkpoint, observed))
        except CheckpointError as error:
            put_aside.append(PutAside(checkpoint.name, error.reason, str(error), False))
    # Where all pinned ones are gone or have changed nothing can be mended: that is told of each, and is the end.
    all_gone = pinned and not selected.checkpoints and not selected.incomplete
    if not planned and not all_gone:
        raise _none_planned(put_aside)
    return tuple(planned), tuple(put_aside)


def _none_planned(put_aside: Sequence[PutAside]) -> CheckpointError:
    """One sentence for all: a fault that meets every checkpoint is most often the same."""
    if not put_aside:
        return CheckpointError("spec.checkpoints.select: selects none of the checkpoints", reason="NoCheckpoint")
    last = put_aside[-1]
    many = f"none of {len(put_aside):,} checkpoints can be evaluated, such as this: " if len(put_aside) > 1 else ""
    return CheckpointError(many + last.message, reason=last.reason)


def _selected(checkpoints: Checkpoints, found: Found) -> Selected:
    if (pins := pins_of(checkpoints)) is not None:
        return select(found.checkpoints, pinned=pins)
    choice = checkpoints.select
    if choice is None:
        return select(found.checkpoints)
    return select(
        found.checkpoints,
        steps=choice.steps,
        every=choice.every,
        last=choice.last,
        from_step=choice.from_,
        to_step=choice.to,
    )


def _planned_checkpoint(checkpoint: Checkpoint, observed: Observed) -> PlannedCheckpoint:
    root = observed.found.uri
    weights_folder = f"{checkpoint.weights_folder}/" if checkpoint.weights_folder else ""
    files = [_planned_file(root, item, item.name.removeprefix(weights_folder)) for item in checkpoint.loaded]
    if observed.config is not None:
        config = observed.config.files[0]
        files = [file for file in files if file.local_name != "config.json"]
        files.append(_planned_file(observed.config.folder_uri, config, "config.json"))
    tokenizer = observed.tokenizer or _own_tokenizer(checkpoint, root)
    files += [_planned_file(tokenizer.folder_uri, item, item.name.rpartition("/")[2]) for item in tokenizer.files]
    return PlannedCheckpoint(
        uri=f"{root}{checkpoint.folder}",
        branch=checkpoint.position.branch,
        step=checkpoint.position.step,
        tokens=checkpoint.position.tokens,
        digest=with_config(checkpoint.digest, digest_of_config(observed.config)),
        tokenizer_digest=tokenizer_digest(tokenizer.files),
        files=tuple(files),
    )


def _own_tokenizer(checkpoint: Checkpoint, root: str) -> Elsewhere:
    if files := own_tokenizer(checkpoint):
        return Elsewhere(root, files)
    message = f"{root}{checkpoint.folder}: carries no tokenizer; name its folder in spec.checkpoints.tokenizer"
    raise CheckpointError(message, reason="TokenizerMissing")


def _planned_file(folder_uri: str, item: StoredObject, local_name: str) -> PlannedFile:
    return PlannedFile(folder_uri=folder_uri, name=item.name, local_name=local_name, size=item.size, etag=item.etag)


def _work_order(
    evaluation: CheckpointEval,
    observed: Observed,
    checkpoints: tuple[PlannedCheckpoint, ...],
    results_uri: str,
    suite_files: Mapping[str, str] | None,
    datasets_uri: str | None,
    retry: str,
) -> WorkOrder:
    spec = evaluation.spec
    custom = isinstance(observed.suite, CustomSuite)
    return WorkOrder(
        eval_name=evaluation.metadata.name,
        run=PlannedRun(
            name=spec.run.name,
            family=spec.run.family,
            parameters=spec.run.parameters,
            tokens_per_step=spec.run.tokens_per_step,
            strategy=dict(spec.run.strategy),
        ),
        engine=planned_engine(spec.engine),
        checkpoints=checkpoints,
        tasks=planned_tasks(spec.suite, observed.suite, observed.mirror),
        suite_name=observed.suite.name,
        suite_files=dict(suite_files) if custom and suite_files is not None else None,
        datasets_uri=spec.suite.datasets or datasets_uri,
        results_uri=results_uri,
        allow_code_execution=spec.suite.allow_code_execution,
        requester_pays=spec.checkpoints.requester_pays,
        attempts=spec.pods.attempts,
        retry=retry,
    )


def _slice(index: int, order: WorkOrder, units: tuple[PlannedUnit, ...]) -> Slice:
    """A slice that carries only the checkpoints and tasks that its units need."""
    checkpoints = sorted({unit.checkpoint for unit in units})
    tasks = sorted({unit.task for unit in units})
    own = order.model_copy(
        update={
            "checkpoints": tuple(order.checkpoints[i] for i in checkpoints),
            "tasks": tuple(order.tasks[i] for i in tasks),
        }
    )
    moved = tuple(
        PlannedUnit(checkpoint=checkpoints.index(unit.checkpoint), task=tasks.index(unit.task), key=unit.key)
        for unit in units
    )
    return Slice(index=index, order=own, units=moved)
