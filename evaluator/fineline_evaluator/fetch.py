"""Brings checkpoints to the local disk, the next one while the one before is scored; at most two lie there.

A fetch that fails is the checkpoint's failure, told when the checkpoint is taken: the ones behind it still come.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fineline.errors import CheckpointError, FinelineError, ObjectChanged, ObjectNotFound
from fineline.plan import PlannedCheckpoint, PlannedFile
from fineline.store import Store, StoredObject

PARALLEL_FILES = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """A checkpoint on the local disk, or why it is not there. `seconds` it took."""

    checkpoint: PlannedCheckpoint
    folder: Path
    seconds: float
    error: FinelineError | None = None


class Fetcher:
    """Gives checkpoints in order. Each one must be given back with `release` before the one after the next is fetched.

    `wanted` is asked in the background right before a fetch: what another pod has done meanwhile is not fetched.
    """

    def __init__(
        self,
        checkpoints: Sequence[PlannedCheckpoint],
        scratch: Path,
        open_store: Callable[[str], Store],
        wanted: Callable[[PlannedCheckpoint], bool],
    ) -> None:
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

    def take(self, index: int) -> Fetched | None:
        """Waits for the checkpoint; None if nothing is left to do on it. A `StoreError` comes back in `error`."""
        return self._pending[index].result()

    def release(self, fetched: Fetched) -> None:
        """Removes the files, which makes room for the next."""
        shutil.rmtree(fetched.folder, ignore_errors=True)
        self._room.release()

    def close(self) -> None:
        """Ends the thread, without waiting for what was not asked for, and removes what lies on the disk."""
        self._stopping.set()
        for _ in self._checkpoints:
            self._room.release()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._files.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _fetch(self, index: int) -> Fetched | None:
        checkpoint = self._checkpoints[index]
        folder = self._scratch / f"{index:05d}"
        self._room.acquire()
        started = time.monotonic()
        try:
            if self._stopping.is_set() or not self._wanted(checkpoint):
                self._room.release()
                return None
            shutil.rmtree(folder, ignore_errors=True)
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
        target.parent.mkdir(parents=True, exist_ok=True)
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
