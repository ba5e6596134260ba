"""The work loop of one slice: fetch the next while this one is scored, publish in the background, skip what is done.

The listing is the truth: before each unit the store is asked whether it has a result. A unit's try is recorded before
it starts, so that one that kills its pod is given up after `attempts` tries, and the others go on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from fineline.datasets import read_mirror
from fineline.errors import (
    CheckpointError,
    EngineError,
    FinelineError,
    SpecError,
    StoreDenied,
    StoreNotFound,
    TaskError,
)
from fineline.plan import PlannedCheckpoint, PlannedTask, PlannedUnit, Slice, key_inputs, unit_key
from fineline.plan.data import task_data_digest
from fineline.results import UnitAddress, UnitState, publish_documents, record_attempt, record_failure, unit_states
from fineline.results.layout import checkpoint_folder
from fineline.store import Store, open_store
from fineline.suites import CustomSuite, Suite, load, parse, task_identity
from fineline_evaluator.backends import open_backend
from fineline_evaluator.checkpoint import LoadedCheckpoint, engine_settings, load_checkpoint
from fineline_evaluator.fetch import Fetched, Fetcher
from fineline_evaluator.progress import Progress
from fineline_evaluator.publisher import Outcome, Publisher, ScoredUnit
from fineline_evaluator.scoring import Backend
from fineline_evaluator.stopping import EXIT_STOPPED, Stop
from fineline_evaluator.tasks import CompiledTask, TaskLibrary, TaskSettings, tokenizer_digest
from fineline_evaluator.unit import pod_name, score_unit

EXIT_DONE = 0
EXIT_PERMANENT_FAILURES = 3
EXIT_SPEC_WRONG = 4
EXIT_TRY_AGAIN = 75

PASSING_FAULTS_IN_A_ROW = 2
"""After so many checkpoints or units in a row that failed for a passing reason, the pod ends and is tried again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How the slice ended: the exit code, and the same in words."""

    code: int
    message: str


class _GiveUp(Exception):  # noqa: N818 - no error: it carries the loop out
    """Too many passing faults in a row: the surroundings are broken, not the inputs."""


class SliceWork:
    """The state of one slice's work: the warm engine, the compiled tasks, what was published."""

    def __init__(self, work: Slice, scratch: Path, progress: Progress, stop: Stop) -> None:
        self._work = work
        self._order = work.order
        self._progress = progress
        self._stop = stop
        self._results = open_store(self._order.results_uri)
        self._backend: Backend | None = None
        self._library: TaskLibrary | None = None
        self._suite = _suite(work)
        self._compiled: dict[tuple[str, str, int], CompiledTask | TaskError] = {}
        self._states: dict[UnitAddress, UnitState] = {}
        self._in_progress: tuple[UnitAddress, int] | None = None
        self._passing: list[FinelineError] = []
        self._faults_in_a_row = 0
        self._publisher = Publisher(self._results, self._published)
        self._units = {
            index: tuple(units) for index, units in groupby(work.units, key=lambda planned: planned.checkpoint)
        }
        self._fetcher = Fetcher(
            [self._order.checkpoints[index] for index in self._units],
            scratch / "checkpoints",
            lambda uri: open_store(uri, requester_pays=self._order.requester_pays),
            self._wanted,
        )
        self._scratch = scratch

    def run(self) -> Ending:
        """Does the slice. Raises `SpecError` where the slice itself is wrong."""
        self._check_keys()
        try:
            for place, (index, units) in enumerate(self._units.items()):
                if self._stop.requested:
                    break
                self._checkpoint(place, self._order.checkpoints[index], units)
        except _GiveUp:
            log.warning("stopping: %d passing faults in a row", self._faults_in_a_row)
        finally:
            self._publisher.close()
            self._stop.end()
            self._fetcher.close()
            if self._backend is not None:
                self._backend.close()
        return self._ending()

    def abandon(self) -> None:
        """Out of grace time: publishes what is scored, takes back the record of the try in progress (it was not the
        unit's fault), and leaves the rest to the next pod."""
        self._publisher.close()
        self._take_back_attempt()

    def _check_keys(self) -> None:
        for unit in self._work.units:
            checkpoint, task = self._order.checkpoints[unit.checkpoint], self._order.tasks[unit.task]
            if unit_key(key_inputs(self._order, checkpoint, task)) != unit.key:
                message = f"slice {self._work.index}: the key of {task.task} at {checkpoint.name} is not of its inputs"
                raise SpecError(f"{message}: planned by another version of Fineline; plan again")

    def _wanted(self, checkpoint: PlannedCheckpoint) -> bool:
        """Whether anything of the checkpoint is left to do, from a listing right now. Runs in the fetching thread."""
        folder = checkpoint_folder(self._order.run.name, checkpoint.branch, checkpoint.step)
        states = unit_states(self._results.list(folder))
        self._states.update(states)
        units = self._units[self._order.checkpoints.index(checkpoint)]
        return any(not states.get(self._order.address(unit), UnitState()).done for unit in units)

    def _checkpoint(self, place: int, checkpoint: PlannedCheckpoint, units: tuple[PlannedUnit, ...]) -> None:
        fetched = self._fetcher.take(place)
        if fetched is None:
            for unit in units:
                self._progress.unit("reused", checkpoint.name, self._task(unit).task)
            return
        try:
            backend = self._engine()
            loaded = self._loaded(fetched, backend)
        except FinelineError as error:
            self._checkpoint_failed(checkpoint, units, error)
        else:
            self._faults_in_a_row = 0
            for unit in units:
                if self._stop.requested:
                    break
                self._unit(unit, loaded, backend)
        finally:
            self._fetcher.release(fetched)

    def _engine(self) -> Backend:
        """The warm engine; opened for the first checkpoint, kept for all."""
        if self._backend is None:
            self._backend = open_backend(engine_settings(self._order.engine))
        return self._backend

    def _loaded(self, fetched: Fetched, backend: Backend) -> LoadedCheckpoint:
        if fetched.error is not None:
            raise fetched.error
        try:
            loaded = load_checkpoint(fetched, self._order, backend)
        except CheckpointError as error:
            message = f"{fetched.checkpoint.uri}: {error}"
            raise CheckpointError(message, reason=error.reason, permanent=error.permanent) from error
        self._progress.checkpoint(
            fetched.checkpoint.name,
            load=loaded.load.how,
            load_seconds=round(loaded.load.seconds, 3),
            fetch_seconds=round(fetched.seconds, 3),
            flags=list(loaded.sanity.flags),
        )
        return loaded

    def _unit(self, unit: PlannedUnit, loaded: LoadedCheckpoint, backend: Backend) -> None:
        address, task = self._order.address(unit), self._task(unit)
        try:
            if self._results.head(address.metrics) is not None:
                self._progress.unit("reused", loaded.planned.name, task.task)
                return
            attempts = self._states.get(address, UnitState()).attempts
            if attempts >= self._order.attempts:
                message = f"{task.task} at {loaded.planned.name}: its pod died {attempts} times in the middle of it"
                raise TaskError(message, reason="Crashed")
            compiled = self._compile(task, loaded)
            record_attempt(self._results, address, attempts + 1, pod_name())
            self._in_progress = (address, attempts + 1)
            self._publisher.put(self._score(unit, task, compiled, loaded, backend))
            self._in_progress = None
        except FinelineError as error:
            self._unit_failed(address, loaded.planned, error)
        else:
            self._faults_in_a_row = 0

    def _score(
        self, unit: PlannedUnit, task: PlannedTask, compiled: CompiledTask, loaded: LoadedCheckpoint, backend: Backend
    ) -> ScoredUnit:
        try:
            return score_unit(self._order, unit, task, compiled, loaded, backend)
        except FinelineError:
            raise
        except Exception as error:
            log.exception("scoring %s at %s", task.task, loaded.planned.name)
            raise EngineError(f"{task.task} at {loaded.planned.name}: {type(error).__name__}: {error}") from error

    def _compile(self, task: PlannedTask, loaded: LoadedCheckpoint) -> CompiledTask:
        """The task's requests, made once per tokenizer and window and kept for all checkpoints of the slice."""
        where = (task.task, tokenizer_digest(loaded.folder), loaded.window)
        if where not in self._compiled:
            try:
                self._compiled[where] = self._compile_now(task, loaded)
            except TaskError as error:
                self._compiled[where] = error
        compiled = self._compiled[where]
        if isinstance(compiled, TaskError):
            raise compiled
        return compiled

    def _compile_now(self, task: PlannedTask, loaded: LoadedCheckpoint) -> CompiledTask:
        if task_identity(self._suite, task.task) != task.identity:
            message = (
                f"{task.task}: its configuration here is not the planned one: another version of Fineline or lm-eval"
            )
            raise TaskError(message, reason="DataMismatch")
        library = self._tasks()
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

    def _tasks(self) -> TaskLibrary:
        if self._library is None:
            mirror = None
            if self._order.datasets_uri is not None:
                mirror = open_store(self._order.datasets_uri)
                self._check_data(mirror)
            custom = self._suite if isinstance(self._suite, CustomSuite) else None
            self._library = TaskLibrary(mirror, self._scratch / "requests", custom)
        return self._library

    def _check_data(self, mirror: Store) -> None:
        held = read_mirror(mirror)
        for task in self._order.tasks:
            if task_data_digest(self._suite, task.task, held) != task.data_digest:
                message = f"{task.task}: its data in {mirror.uri} changed since the plan was made; plan again"
                raise TaskError(message, reason="DataMismatch")

    def _published(self, outcome: Outcome) -> None:
        """Runs in the publishing thread."""
        address = outcome.unit.address
        name = f"step {address.step}" if address.branch == "main" else f"{address.branch}, step {address.step}"
        if outcome.error is not None:
            log.error("%s at %s: not published: %s", address.task, name, outcome.error)
            self._passing.append(outcome.error)
            return
        self._progress.unit(
            "published" if outcome.won else "reused", name, address.task, seconds=round(outcome.unit.seconds, 3)
        )

    def _checkpoint_failed(
        self, checkpoint: PlannedCheckpoint, units: tuple[PlannedUnit, ...], error: FinelineError
    ) -> None:
        log.error("%s: %s", checkpoint.name, error)
        if not error.permanent:
            self._passing_fault(error)
            return
        for unit in units:
            address = self._order.address(unit)
            if self._results.head(address.metrics) is not None:
                self._progress.unit("reused", checkpoint.name, self._task(unit).task)
                continue
            record_failure(self._results, address, error, "checkpoint", self._states.get(address, UnitState()).attempts)
            self._progress.unit(
                "failed", checkpoint.name, self._task(unit).task, reason=error.reason, message=str(error)
            )

    def _unit_failed(self, address: UnitAddress, checkpoint: PlannedCheckpoint, error: FinelineError) -> None:
        log.error("%s at %s: %s", address.task, checkpoint.name, error)
        if not error.permanent:
            self._in_progress = None  # the attempt's record stays: a unit that always fails is given up at last
            self._passing_fault(error)
            return
        self._take_back_attempt()
        record_failure(self._results, address, error, "task", self._states.get(address, UnitState()).attempts)
        self._progress.unit("failed", checkpoint.name, address.task, reason=error.reason, message=str(error))

    def _passing_fault(self, error: FinelineError) -> None:
        self._passing.append(error)
        self._faults_in_a_row += 1
        if self._faults_in_a_row >= PASSING_FAULTS_IN_A_ROW:
            raise _GiveUp

    def _take_back_attempt(self) -> None:
        if self._in_progress is not None:
            address, attempt = self._in_progress
            self._in_progress = None
            self._results.delete(address.attempt(attempt))

    def _task(self, unit: PlannedUnit) -> PlannedTask:
        return self._order.tasks[unit.task]

    def _ending(self) -> Ending:
        counts = self._progress.counts
        told = f"{counts.published} published, {counts.reused} already there, {counts.failed} failed"
        left = len(self._work.units) - counts.done
        if self._stop.requested and left:
            return Ending(EXIT_STOPPED, f"stopped in order: {told}, {left} left for the next pod")
        if self._passing:
            first = self._passing[0]
            wrong = isinstance(first, StoreDenied | StoreNotFound)
            code = EXIT_SPEC_WRONG if wrong else EXIT_TRY_AGAIN
            return Ending(code, f"{told}, {left} left: {first.reason}: {first}")
        if counts.failed:
            return Ending(EXIT_PERMANENT_FAILURES, f"{told}; the reasons stand in the units' failed.json")
        return Ending(EXIT_DONE, told)


def _suite(work: Slice) -> CustomSuite | Suite:
    files = work.order.suite_files
    return load(work.order.suite_name) if files is None else parse(files, work.order.suite_name)
