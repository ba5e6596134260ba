"""Brings checkpoints to the local disk, the next one while the one before is scored; at most two lie there.

A fetch that fails is the checkpoint's failure, told when the checkpoint is taken: the ones behind it still come.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fineline.errors import CheckpointError, FinelineError, ObjectChanged, ObjectNotFound
from fineline.plan import PlannedCheckpoint, PlannedFile
from fineline.store import Store, StoredObject
from fineline.store.files import file_errors

PARALLEL_FILES = 4
LOOK_UP_SECONDS = 0.2
"""How often whoever waits for a checkpoint looks whether to stop."""


@dataclass(frozen=True)
class Fetched:
    """A checkpoint on the local disk, or why it is not there. `seconds` it took."""

    checkpoint: PlannedCheckpoint
    folder: Path
    seconds: float
    error: FinelineError | None = None


class Fetcher:
    """Gives checkpoints in order. Each one must be given back with `release` before the one after the next is fetched.

    `wanted` is asked in the background right before a fetch, with the checkpoint's place: what another pod has done
    meanwhile is not fetched.
    """

    def __init__(
        self,
        checkpoints: Sequence[PlannedCheckpoint],
        scratch: Path,
        open_store: Callable[[str], Store],
        wanted: Callable[[int], bool],
    ) -> None:
        shutil.rmtree(scratch, ignore_errors=True)  # what a process that was killed left behind
        self._checkpoints = checkpoints
        self._scratch = scratch
        self._open_store = open_store
        self._wanted = wanted
        self._room = threading.Semaphore(2)
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._files = ThreadPoolExecutor(PARALLEL_FILES, thread_name_prefix="fetch-file")
        self._pending: list[Future[Fetched | None]] = [
            self._thread.submit(self._fetch, index) for index in range(len(checkpoints))
        ]

    def take(self, index: int, stopping: Callable[[], bool]) -> Fetched | None:
        """Waits for the checkpoint; None if nothing is left to do on it, or if `stopping` says not to wait any more.
        A `StoreError` comes back in `error`."""
        pending = self._pending[index]
        while not stopping():
            if wait([pending], timeout=LOOK_UP_SECONDS).done:
                return pending.result()
        return None

    def release(self, fetched: Fetched) -> None:
        """Removes the files, which makes room for the next."""
        shutil.rmtree(fetched.folder, ignore_errors=True)
        self._room.release()

    def close(self, *, wait: bool = True) -> None:
        """Ends the threads and removes what lies on the disk. A download can't be cut short: without `wait` it is left
        to the end of the process."""
        self._stopping.set()
        for _ in self._checkpoints:
            self._room.release()
        self._thread.shutdown(wait=wait, cancel_futures=True)
        self._files.shutdown(wait=wait, cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _fetch(self, index: int) -> Fetched | None:
        checkpoint = self._checkpoints[index]
        folder = self._scratch / f"{index:05d}"
        self._room.acquire()
        started = time.monotonic()
        try:
            if self._stopping.is_set() or not self._wanted(index):
                self._room.release()
                return None
            with file_errors(str(folder)):
                folder.mkdir(parents=True)
                self._download(checkpoint, folder)
        except FinelineError as error:
            return Fetched(checkpoint, folder, time.monotonic() - started, _as_checkpoint_error(checkpoint, error))
        return Fetched(checkpoint, folder, time.monotonic() - started)

    def _download(self, checkpoint: PlannedCheckpoint, folder: Path) -> None:
        downloads = [self._files.submit(self._download_file, file, folder) for file in checkpoint.files]
        errors = [error for error in (download.exception() for download in downloads) if error is not None]
        if errors:
            raise errors[0]

    def _download_file(self, file: PlannedFile, folder: Path) -> None:
        if self._stopping.is_set():
            return
        target = folder / file.local_name
        item = StoredObject(file.name, file.size, file.etag, datetime.fromtimestamp(0, UTC))
        self._open_store(file.folder_uri).download(item, target)


def _as_checkpoint_error(checkpoint: PlannedCheckpoint, error: FinelineError) -> FinelineError:
    """What a store says of one file, as what it means for the checkpoint; passing faults stay what they are."""
    if isinstance(error, ObjectNotFound):
        return CheckpointError(f"{checkpoint.uri}: gone since it was listed: {error}", reason="CheckpointVanished")
    if isinstance(error, ObjectChanged):
        message = (
            f"{checkpoint.uri}: overwritten since it was listed: {error}; plan again to evaluate what is there now"
        )
        return CheckpointError(message, reason="CheckpointChanged")
    return error
