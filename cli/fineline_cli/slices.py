"""Runs slices of a plan in child processes, each as the pod would run it, and follows their progress."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from fineline.plan import Slice

Event = dict[str, Any]

KILLED_IS_PASSING = (75, 143)


@dataclass(frozen=True)
class SliceEnding:
    """How a slice's process ended: its exit code, its last words, and the file with its log."""

    index: int
    code: int
    message: str
    log: Path

    @property
    def try_again(self) -> bool:
        """A passing fault, or a process that was killed: what is left may go well next time."""
        return self.code in KILLED_IS_PASSING or self.code < 0 or self.code == 1


class SliceProcesses:
    """The child processes of one round; `stop` ends them in order, as an eviction would."""

    def __init__(self, folder: Path, on_event: Callable[[Event], None], grace_seconds: float = 25.0) -> None:
        self._folder = folder
        self._on_event = on_event
        self._grace_seconds = grace_seconds
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.RLock()  # `stop` runs in a signal handler, which a second signal may interrupt
        self.stopped = False

    def run(self, slices: Sequence[Slice], at_once: int, devices: Sequence[str] = ()) -> list[SliceEnding]:
        """Runs all slices, `at_once` at a time. With `devices` each process sees one group of them."""
        free: SimpleQueue[str] = SimpleQueue()
        for place in range(at_once):
            free.put(devices[place] if devices else "")

        def one(work: Slice) -> SliceEnding:
            device = free.get()
            try:
                return self._run_one(work, device)
            finally:
                free.put(device)

        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(one, slices))

    def stop(self) -> None:
        """Asks every process to finish the unit in progress; a second call ends them at once."""
        with self._lock:
            signal_number = signal.SIGKILL if self.stopped else signal.SIGTERM
            self.stopped = True
            for process in self._processes:
                process.send_signal(signal_number)

    def _run_one(self, work: Slice, device: str) -> SliceEnding:
        slice_file = self._folder / f"slice-{work.index}.json"
        log_file = self._folder / f"slice-{work.index}.log"
        slice_file.write_bytes(work.to_json())
        last_words = self._folder / f"slice-{work.index}.message"
        last_words.unlink(missing_ok=True)  # of the round before
        command = [
            sys.executable, "-m", "fineline_evaluator.main",
            "--slice", str(slice_file),
            "--scratch", str(self._folder / f"scratch-{work.index}"),
            "--grace-seconds", str(self._grace_seconds),
            "--termination-message", str(last_words),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if device:
            environment["CUDA_VISIBLE_DEVICES"] = device
        with log_file.open("a", encoding="utf-8") as log:
            # A process group of its own: Ctrl-C at the terminal reaches this process, which then stops it in order.
            with self._lock:
                if self.stopped:
                    return SliceEnding(work.index, 143, "not started", log_file)
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, start_new_session=True
                )
                self._processes.add(process)
            try:
                self._follow(process)
                code = process.wait()
            finally:
                with self._lock:
                    self._processes.discard(process)
        return SliceEnding(work.index, code, _last_words(last_words, log_file, code), log_file)

    def _follow(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # libraries print to standard output as well
            if isinstance(event, dict) and "event" in event:
                self._on_event(event)


def gpu_groups(tensor_parallel_size: int) -> list[str]:
    """The GPUs of this machine in groups that hold one model each; empty where there is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = [name for name in visible.split(",") if name] if visible is not None else _nvidia_devices()
    groups = [devices[i : i + tensor_parallel_size] for i in range(0, len(devices), tensor_parallel_size)]
    return [",".join(group) for group in groups if len(group) == tensor_parallel_size]


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder for slices, logs and checkpoints (TMPDIR says where)."""
    return tempfile.TemporaryDirectory(prefix="fineline-run-", ignore_cleanup_errors=True)


def _nvidia_devices() -> list[str]:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(index) for index, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def _last_words(path: Path, log_file: Path, code: int) -> str:
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    ended = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
    lines = [line for line in log_file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{ended}: {lines[-1]}" if lines else ended
