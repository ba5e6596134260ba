"""Filling a mirror of data sets, from the hub or from another mirror.

    mirror(load("fine-line"), open_store("s3://mirror/"))

Only the splits that the suite's tasks read with its shots are taken. A data set that is there already stays, and
mirror.json is written last, so that a mirror that was cut off is filled up by the next run.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.datasets import DEFAULT_CONFIG, MANIFEST_NAME, Mirror, MirrorFile, read_mirror, write_manifest
from fineline.errors import TaskError
from fineline.store import Store
from fineline.suites import CustomSuite, Suite
from fineline_evaluator.tasks.harness import build, find
from fineline_evaluator.tasks.source import HubSource, MirrorSource, Splits

_READ_AT_ONCE = 4 << 20

Progress = Callable[[str], object]
"""Called with a line about what is being done."""


@dataclass(frozen=True, slots=True)
class MirrorReport:
    """What was done: files that were `copied`, those that were there (`kept`), and what could not be had, in words."""

    copied: tuple[str, ...]
    kept: tuple[str, ...]
    failed: tuple[str, ...]
    digests: dict[str, str]


def mirror(
    suite: Suite | CustomSuite,
    destination: Store,
    source: Store | None = None,
    progress: Progress | None = None,
) -> MirrorReport:
    """Fills `destination` with the data of a suite's tasks: from the hub, or from another mirror.

    A data set that can't be had is told in the report, and the others are mirrored all the same.
    """
    with tempfile.TemporaryDirectory(prefix="fineline-mirror-") as folder:
        origin = HubSource() if source is None else MirrorSource(source, Path(folder))
        wanted, failed = _wanted(suite, origin)
        held = _held(destination)
        copied: list[str] = []
        kept: list[str] = []
        for number, (name, read) in enumerate(sorted(wanted.items()), start=1):
            if progress is not None:
                progress(f"{number}/{len(wanted)} {name}")
            if name in held and destination.head(name) is not None:
                kept.append(name)
                continue
            try:
                held[name] = _store(destination, name, read(), Path(folder))
                copied.append(name)
            except TaskError as error:
                failed.append(str(error))
        digests = write_manifest(destination, held.values()).digests
    return MirrorReport(tuple(copied), tuple(kept), tuple(dict.fromkeys(failed)), dict(digests))


def _wanted(
    suite: Suite | CustomSuite, origin: HubSource | MirrorSource
) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """The files that the suite's tasks read, by name, and how to read each; and the tasks that can't be built."""
    recorder = _Recorder(origin)
    failed: list[str] = []
    custom = suite if isinstance(suite, CustomSuite) else None
    for task in suite.tasks:
        try:
            build(find(task.task, custom), task.shots, recorder)
        except TaskError as error:
            failed.append(str(error))
    return recorder.read, failed


class _Recorder:
    """A source that remembers which splits lm-eval read, and hands them out again."""

    def __init__(self, origin: HubSource | MirrorSource) -> None:
        self._origin = origin
        self.read: dict[str, Callable[[], Any]] = {}

    def splits(self, task: str, path: str, config: str | None) -> Splits:
        return _Remembered(self, self._origin.splits(task, path, config), f"{path}/{config or DEFAULT_CONFIG}")

    def digest(self, names: list[str]) -> str:
        return self._origin.digest(names)


class _Remembered:
    def __init__(self, recorder: _Recorder, splits: Splits, name: str) -> None:
        self._recorder, self._splits, self._name = recorder, splits, name

    def __getitem__(self, split: str) -> Any:
        found = self._splits[split]
        self._recorder.read[f"{self._name}/{split}.parquet"] = lambda: self._splits[split]
        return found


def _held(destination: Store) -> dict[str, MirrorFile]:
    """The files that the destination has, each with its SHA-256: the manifest's, else made from the bytes."""
    present: Mirror = read_mirror(destination)
    known = destination.head(MANIFEST_NAME) is not None
    return {
        file.name: file if known else MirrorFile(file.name, file.size, None, _sha256_of(destination, file))
        for file in present.files.values()
    }


def _sha256_of(store: Store, file: MirrorFile) -> str:
    digest = hashlib.sha256()
    for start in range(0, file.size, _READ_AT_ONCE):
        digest.update(store.get(file.name, start, _READ_AT_ONCE))
    return digest.hexdigest()


def _store(destination: Store, name: str, dataset: Any, folder: Path) -> MirrorFile:
    local = folder / "split.parquet"
    dataset.to_parquet(str(local))
    digest = hashlib.sha256()
    for block in _blocks(local):
        digest.update(block)
    destination.put(name, local)
    return MirrorFile(name, local.stat().st_size, None, digest.hexdigest())


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while block := opened.read(_READ_AT_ONCE):
            yield block
