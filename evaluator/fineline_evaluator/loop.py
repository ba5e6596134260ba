"""The work loop of one slice: fetch the next while this one is scored, publish in the background, skip what is done.

The listing is the truth: before each unit the store is asked whether it has a result. A unit's try is recorded before
it starts, so that one that kills its pod is given up after `attempts` tries, and the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fineline.errors import CheckpointError, EngineError, FinelineError, SpecError, StoreError, TaskError
from fineline.plan import PlannedCheckpoint, PlannedTask, PlannedUnit, Slice, key_inputs, unit_key
from fineline.results import UnitAddress, UnitState, check_writable, read_failures, record_failure, unit_states
from fineline.results.layout import checkpoint_folder
from fineline.store import open_store
from fineline.store.files import error_of
from fineline_evaluator.attempts import LOADING, PUBLISHING, SCORING, Attempts, crash_message, forget_earlier
from fineline_evaluator.backends import open_backend
from fineline_evaluator.checkpoint import LoadedCheckpoint, engine_settings, load_checkpoint
from fineline_evaluator.compiling import SliceTasks
from fineline_evaluator.endings import EXIT_DONE, EXIT_PERMANENT_FAILURES, EXIT_STOPPED, Ending, code_of
from fineline_evaluator.fetch import Fetched, Fetcher
from fineline_evaluator.progress import Progress
from fineline_evaluator.publisher import Outcome, Publisher
from fineline_evaluator.scoring import Backend
from fineline_evaluator.stopping import Stop
from fineline_evaluator.unit import score_unit

PASSING_FAULTS_IN_A_ROW = 2
"""After so many checkpoints or units in a row that failed for a passing reason, the pod ends and is tried again."""

log = logging.getLogger(__name__)


class _GiveUp(Exception):  # noqa: N818 - no error: it carries the loop out
    """Too many passing faults in a row: the surroundings are broken, not the inputs."""


class SliceWork:
    """The state of one slice's work: the warm engine, the compiled tasks, what was published."""

    def __init__(self, work: Slice, scratch: Path, progress: Progress, stop: Stop) -> None:
        self._work = work
        self._order = work.order
        self._scratch = scratch
        self._progress = progress
        self._stop = stop
        self._results = open_store(self._order.results_uri)
        self._tasks = SliceTasks(self._order, self._results, scratch)
        self._attempts = Attempts(self._results, self._order.attempts, self._order.retry)
        self._publisher = Publisher(self._results, self._published)
        self._backend: Backend | None = None
        self._states: dict[UnitAddress, UnitState] = {}
        self._passing: list[FinelineError] = []
        self._faults_in_a_row = 0
        self._units: dict[int, list[PlannedUnit]] = {}
        for unit in work.units:
            self._units.setdefault(unit.checkpoint, []).append(unit)

    def run(self) -> Ending:
        """Does the slice. Raises `SpecError` where the slice itself is wrong."""
        fetcher: Fetcher | None = None
        try:
            self._check_keys()
            check_writable(self._results)
            self._forget_earlier()
            fetcher = self._fetcher()
            self._checkpoints(fetcher)
        except _GiveUp:
            log.warning("stopping: the same passing faults would meet what is left")
        except SpecError:
            raise
        except FinelineError as error:
            self._passing.append(error)
        finally:
            self._publisher.close()
            if fetcher is not None:
                fetcher.close(wait=not self._stop.requested)
            if self._backend is not None:
                self._backend.close()
            self._stop.end()
        return self._ending()

    def abandon(self) -> None:
        """Out of grace time: publishes what is scored, takes back the records of tries in progress (it was not the
        units' fault), and leaves the rest to the next pod."""
        self._publisher.close()
        self._attempts.take_back_all()

    def _check_keys(self) -> None:
        for unit in self._work.units:
            checkpoint, task = self._order.checkpoints[unit.checkpoint], self._order.tasks[unit.task]
            if unit_key(key_inputs(self._order, checkpoint, task)) != unit.key:
                message = f"slice {self._work.index}: the key of {task.task} at {checkpoint.name} is not of its inputs"
                raise SpecError(f"{message}: planned by another version of Fineline; plan again")

    def _forget_earlier(self) -> None:
        """A retry asks for what failed before to be done again."""
        retry = self._order.retry
        if not retry:
            return
        units = [self._order.address(unit) for unit in self._work.units]
        try:
            forgotten = forget_earlier(self._results, units, retry)
        except StoreError as error:
            raise type(error)(f"what failed before this retry can't be forgotten: {error}") from None
        log.info("retry %s: %d units that failed before are done again", retry, forgotten)

    def _fetcher(self) -> Fetcher:
        return Fetcher(
            [self._order.checkpoints[index] for index in self._units],
            self._scratch / "checkpoints",
            lambda uri: open_store(uri, requester_pays=self._order.requester_pays),
            self._wanted,
        )

    def _wanted(self, place: int) -> bool:
        """Whether anything of a checkpoint is left to do, from a listing right now. Runs in the fetching thread."""
        index = list(self._units)[place]
        checkpoint = self._order.checkpoints[index]
        folder = checkpoint_folder(self._order.run.name, checkpoint.branch, checkpoint.step)
        self._states.update(unit_states(self._results.list(folder)))
        return any(not self._state(unit).done for unit in self._units[index])

    def _checkpoints(self, fetcher: Fetcher) -> None:
        for place, (index, units) in enumerate(self._units.items()):
            fetched = fetcher.take(place, lambda: self._stop.requested)
            if self._stop.requested:
                return
            checkpoint = self._order.checkpoints[index]
            todo = self._left_to_do(checkpoint, units)
            if fetched is None:
                continue
            try:
                if todo:
                    self._checkpoint(fetched, todo)
            finally:
                fetcher.release(fetched)

    def _left_to_do(self, checkpoint: PlannedCheckpoint, units: Sequence[PlannedUnit]) -> list[PlannedUnit]:
        """Tells of the units that the listing shows as done, and gives up those that used up their tries."""
        left: list[PlannedUnit] = []
        for unit in units:
            address, state = self._order.address(unit), self._state(unit)
            if state.committed:
                self._progress.unit("reused", checkpoint.name, address.task)
            elif state.failed:
                reason, message = next(
                    ((record.reason, record.message) for _, record in read_failures(self._results, [address])), ("", "")
                )
                self._progress.unit("failed", checkpoint.name, address.task, reason=reason, message=message)
            else:
                left.append(unit)
        if left and self._died_loading(left[0]):
            self._give_up(left[0], f"{checkpoint.uri}", "checkpoint", left)
            return []
        exhausted = [
            unit for unit in left if self._attempts.exhausted(self._order.address(unit), self._state(unit).attempts)
        ]
        for unit in exhausted:
            self._give_up(unit, f"{self._task(unit).task} at {checkpoint.name}", "task", [unit])
        return [unit for unit in left if unit not in exhausted]

    def _died_loading(self, first: PlannedUnit) -> bool:
        address, attempts = self._order.address(first), self._state(first).attempts
        return self._attempts.exhausted(address, attempts) and self._attempts.all_were(LOADING, address, attempts)

    def _give_up(self, tried: PlannedUnit, what: str, scope: str, units: Sequence[PlannedUnit]) -> None:
        attempts = self._state(tried).attempts
        last = self._attempts.last(self._order.address(tried), attempts)
        error = TaskError(crash_message(what, attempts, last), reason="Crashed")
        for unit in units:
            self._record_failure(unit, error, scope)

    def _checkpoint(self, fetched: Fetched, units: Sequence[PlannedUnit]) -> None:
        first = self._order.address(units[0])
        try:
            if fetched.error is not None:
                raise fetched.error
            self._attempts.begin(first, self._state(units[0]).attempts + 1, LOADING)
            backend = self._engine()
            loaded = self._loaded(fetched, backend)
        except SpecError:
            self._attempts.take_back(first)
            raise
        except FinelineError as error:
            self._checkpoint_failed(fetched.checkpoint, units, error)
            return
        self._faults_in_a_row = 0
        for unit in units:
            if self._stop.requested:
                self._attempts.take_back(first)  # nothing to take back but where not even the first was begun
                return
            self._unit(unit, loaded, backend)

    def _engine(self) -> Backend:
        """The warm engine; opened for the first checkpoint, kept for all."""
        if self._backend is None:
            self._backend = open_backend(engine_settings(self._order.engine))
        return self._backend

    def _loaded(self, fetched: Fetched, backend: Backend) -> LoadedCheckpoint:
        uri = fetched.checkpoint.uri
        try:
            with _told("it can't be loaded", lambda message: CheckpointError(message, reason="LoadFailed")):
                loaded = load_checkpoint(fetched, self._order, backend)
        except CheckpointError as error:
            message = _about(uri, fetched.folder, str(error))
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
        if self._publisher.error is not None:
            raise _GiveUp  # what is scored now could not be published
        try:
            if self._results.head(address.metrics) is not None:
                self._attempts.take_back(address)
                self._progress.unit("reused", loaded.planned.name, task.task)
                return
            attempt = self._state(unit).attempts + 1
            self._attempts.begin(address, attempt, SCORING)
            with _told(f"{task.task}: making its requests", TaskError):
                compiled = self._tasks.compile(task, loaded)
            with _told(f"{task.task} at {loaded.planned.name}", EngineError):
                scored = score_unit(self._order, unit, task, compiled, loaded, backend)
            self._attempts.begin(address, attempt, PUBLISHING)
            self._publisher.put(scored)
        except SpecError:
            raise
        except FinelineError as error:
            self._unit_failed(unit, loaded.planned, error)
        else:
            self._faults_in_a_row = 0

    def _published(self, outcome: Outcome) -> None:
        """Runs in the publishing thread."""
        address = outcome.unit.address
        name = address.checkpoint_name
        if outcome.error is not None:
            log.error("%s at %s: not published: %s", address.task, name, outcome.error)
            self._attempts.take_back(address)  # scored well: the store was at fault
            self._passing.append(outcome.error)
            return
        self._attempts.end(address)
        seconds = round(outcome.unit.seconds, 3)
        self._progress.unit("published" if outcome.won else "reused", name, address.task, seconds=seconds)

    def _checkpoint_failed(
        self, checkpoint: PlannedCheckpoint, units: Sequence[PlannedUnit], error: FinelineError
    ) -> None:
        log.error("%s: %s", checkpoint.name, error)
        first = self._order.address(units[0])
        if not error.permanent:
            self._passing_fault(first, LOADING, error)
            return
        self._attempts.take_back(first)
        for unit in units:
            self._record_failure(unit, error, "checkpoint")

    def _unit_failed(self, unit: PlannedUnit, checkpoint: PlannedCheckpoint, error: FinelineError) -> None:
        address = self._order.address(unit)
        log.error("%s at %s: %s", address.task, checkpoint.name, error)
        if not error.permanent:
            self._passing_fault(address, SCORING, error)
            return
        self._attempts.take_back(address)
        self._record_failure(unit, error, "task")

    def _passing_fault(self, address: UnitAddress, doing: str, error: FinelineError) -> None:
        if isinstance(error, EngineError):
            self._attempts.fail(address, doing, error)
        else:
            self._attempts.take_back(address)
        self._passing.append(error)
        self._faults_in_a_row += 1
        if self._faults_in_a_row >= PASSING_FAULTS_IN_A_ROW:
            raise _GiveUp

    def _record_failure(self, unit: PlannedUnit, error: FinelineError, scope: str) -> None:
        """Records a permanent failure, unless another pod has the result by now."""
        address, name = self._order.address(unit), self._order.checkpoints[unit.checkpoint].name
        if self._results.head(address.metrics) is not None:
            self._progress.unit("reused", name, address.task)
            return
        record_failure(self._results, address, error, scope, self._state(unit).attempts, self._order.retry)
        self._progress.unit("failed", name, address.task, reason=error.reason, message=str(error))

    def _state(self, unit: PlannedUnit) -> UnitState:
        return self._states.get(self._order.address(unit), UnitState())

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
            return Ending(code_of(first), f"{told}, {left} left: {first.reason}: {first}")
        if counts.failed:
            return Ending(EXIT_PERMANENT_FAILURES, f"{told}; the reasons stand in the units' failed.json")
        return Ending(EXIT_DONE, told)


def _about(uri: str, folder: Path, message: str) -> str:
    """A message about files in a local folder as one about the checkpoint: the folder means nothing to whoever reads
    it."""
    message = message.replace(f"file://{folder}", uri).replace(str(folder), uri)
    for prefix in (".: ", f"{folder.name}: "):
        message = message.removeprefix(prefix)
    return message if message.startswith(uri) else f"{uri}: {message}"


@contextmanager
def _told(doing: str, meaning: Callable[[str], FinelineError]) -> Iterator[None]:
    """What nobody foresaw fails one checkpoint or unit, not the slice; its traceback stands in the log."""
    try:
        yield
    except FinelineError:
        raise
    except OSError as error:
        raise error_of(error, doing) from error
    except MemoryError as error:
        raise EngineError(f"{doing}: out of memory", reason="OutOfMemory") from error
    except Exception as error:
        log.exception(doing)
        raise meaning(f"{doing}: {type(error).__name__}: {' '.join(str(error).split())[:500]}") from error
