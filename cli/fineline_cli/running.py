"""`fineline run`: plans, evaluates in a child process per slice, and publishes, on this machine."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fineline.errors import StoreError
from fineline.plan import Plan, make_plan
from fineline.results import FailureRecord, UnitAddress, UnitState, check_writable, read_failures, run_states
from fineline.store import Store, open_store
from fineline_cli.evaluations import Evaluation
from fineline_cli.slices import Event, SliceEnding, SliceProcesses, gpu_groups, scratch_folder

PAUSE_SECONDS = 5.0
"""Before the second round; each further one waits as much longer."""


@dataclass(frozen=True)
class RunOutcome:
    """What became of an evaluation's units. `error` is why units are left, in one line; `logs` where to read more."""

    plan: Plan
    published: int
    reused: int
    failures: tuple[tuple[UnitAddress, FailureRecord], ...]
    left: int
    stopped: bool
    error: str | None
    logs: Path | None

    @property
    def succeeded(self) -> bool:
        """Every unit has a result, and nothing was put aside for good."""
        return not self.left and not self.failures and all(item.passing for item in self.plan.put_aside)


def plan_evaluation(evaluation: Evaluation) -> Plan:
    """What is left to do of an evaluation."""
    return make_plan(evaluation.resource, results_uri=evaluation.results_uri, suite_files=evaluation.suite_files)


def run_evaluation(
    evaluation: Evaluation,
    *,
    slices: int = 1,
    on_plan: Callable[[Plan], None] = lambda _: None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> RunOutcome:
    """Does what is left of an evaluation and says what became of it.

    What failed for a passing reason, or was killed, is tried again as often as `spec.pods.attempts` says. On a machine
    with several GPUs slices run at once, one on each group of them; else one after the other, so that all have the same
    numerics fingerprint.
    """
    store = open_store(evaluation.results_uri)
    check_writable(store)
    plan = plan_evaluation(evaluation)
    on_plan(plan)
    endings: list[SliceEnding] = []
    stopped = False
    logs: Path | None = None
    if plan.todo:
        with scratch_folder() as folder:
            processes = SliceProcesses(Path(folder), on_event)
            with _stop_on_signal(processes):
                endings = _rounds(evaluation, plan, slices, processes)
            stopped = processes.stopped
            logs = _keep_logs(Path(folder), evaluation.name, endings)
    states = _states(store, evaluation.resource.spec.run.name, logs)
    return _outcome(evaluation, plan, states, endings, stopped=stopped, logs=logs)


def _rounds(evaluation: Evaluation, plan: Plan, slices: int, processes: SliceProcesses) -> list[SliceEnding]:
    devices = gpu_groups(evaluation.resource.spec.engine.tensor_parallel_size)
    endings: list[SliceEnding] = []
    todo = plan
    for attempt in range(evaluation.resource.spec.pods.attempts):
        if attempt:
            if not _waited(PAUSE_SECONDS * attempt, processes):
                break
            try:
                todo = plan_evaluation(evaluation)
            except StoreError:
                break  # the store is still gone: the slices' own words say more, and their logs are kept
        if not todo.todo:
            break
        cut = todo.slices(slices)
        endings = processes.run(cut, at_once=max(1, min(len(cut), len(devices))), devices=devices)
        if processes.stopped or not any(ending.try_again for ending in endings):
            break
    return endings


def _waited(seconds: float, processes: SliceProcesses) -> bool:
    """Waits before a further round: what passes takes a moment to pass. False if a stop ended the wait."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if processes.stopped:
            return False
        time.sleep(0.1)
    return True


def _states(store: Store, run: str, logs: Path | None) -> Mapping[UnitAddress, UnitState]:
    try:
        return run_states(store, run)
    except StoreError as error:
        raise type(error)(f"{error}{f' (logs of the work: {logs})' if logs is not None else ''}") from None


def _outcome(
    evaluation: Evaluation,
    plan: Plan,
    states: Mapping[UnitAddress, UnitState],
    endings: list[SliceEnding],
    *,
    stopped: bool,
    logs: Path | None,
) -> RunOutcome:
    planned = [plan.order.address(unit) for unit in plan.todo]
    published = sum(states.get(address, UnitState()).committed for address in planned)
    failed = [a for a in plan.addresses if (s := states.get(a, UnitState())).failed and not s.committed]
    left = sum(not states.get(address, UnitState()).done for address in planned)
    unfinished = [ending for ending in endings if ending.code not in (0, 3)]
    return RunOutcome(
        plan=plan,
        published=published,
        reused=len(plan.reused),
        failures=tuple(read_failures(open_store(evaluation.results_uri), failed)),
        left=left,
        stopped=stopped,
        error=unfinished[0].message if unfinished and left else None,
        logs=logs,
    )


def _keep_logs(folder: Path, name: str, endings: list[SliceEnding]) -> Path | None:
    """Moves the logs of slices that did not end well to a place that stays."""
    if all(ending.code == 0 for ending in endings):
        return None
    kept = Path(tempfile.mkdtemp(prefix=f"fineline-logs-{name}-", dir=folder.parent))
    for ending in endings:
        shutil.copyfile(ending.log, kept / ending.log.name)
    return kept


@contextmanager
def _stop_on_signal(processes: SliceProcesses) -> Iterator[None]:
    """While it holds, Ctrl-C and SIGTERM stop the slices in order instead of ending this process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals come to the main thread alone
        return
    before = {number: signal.signal(number, lambda *_: processes.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
