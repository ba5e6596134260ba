"""The suites that ship with Fineline, and their locks.

A lock is generated with lm-eval by `hack/make_suite_locks.py` and compared in CI; with it a plan can be made, and keys
computed, without lm-eval.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from fineline.errors import SpecError
from fineline.suites.definition import Suite, read_suite


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that a task reads: its path on the hub, its config (`default` where it has none) and the splits that
    are really read with the lock's shots. `revision` is the hub's commit, null where it was not pinned."""

    path: str
    config: str
    splits: tuple[str, ...]
    revision: str | None

    @property
    def name(self) -> str:
        """As a mirror's manifest names it: `<path>/<config>`."""
        return f"{self.path}/{self.config}"


@dataclass(frozen=True, slots=True)
class TaskLock:
    """What is known of a built-in task without running anything.

    `config_digest` is of the resolved configuration with its Python, of all subtasks. `output_type` is `mixed` where
    subtasks differ. `chance` is what guessing scores in the task's accuracy. `documents`, `requests` and `tokens` are
    of the whole task with the lock's shots, null where the data could not be had when the lock was made; `tokens` is an
    estimate of all prompts together at four bytes of UTF-8 a token, each shared context counted once.
    """

    task: str
    config_digest: str
    version: str
    output_type: str
    subtasks: tuple[str, ...]
    datasets: tuple[DataSet, ...]
    shots: int
    chance: float | None
    higher_is_better: Mapping[str, bool]
    documents: int | None
    requests: int | None
    tokens: int | None
    runs_code: bool

    def drawn(self, limit: int | None) -> int | None:
        """How many documents are scored under a limit, which is drawn from each subtask; None where nobody knows."""
        if self.documents is None or limit is None:
            return self.documents
        return min(limit * max(len(self.subtasks), 1), self.documents)

    def tokens_of(self, limit: int | None) -> int | None:
        """The tokens under a limit, documents taken to be alike; None where nobody knows."""
        drawn = self.drawn(limit)
        return round(self.tokens * drawn / self.documents) if self.tokens and drawn and self.documents else self.tokens


def names() -> list[str]:
    """The built-in suites, in alphabetical order."""
    return sorted(file.name.removesuffix(".yaml") for file in _folder().iterdir() if file.name.endswith(".yaml"))


@functools.cache
def load(name: str) -> Suite:
    """A built-in suite by name; SpecError lists the known ones."""
    if name not in names():
        raise SpecError(f"suite.name: no built-in suite {name!r}; known are {', '.join(names())}")
    content = yaml.safe_load((_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    return read_suite(name, content, f"{name}.yaml")


@functools.cache
def lock(name: str) -> Mapping[str, TaskLock]:
    """The locks of a built-in suite's tasks, by task."""
    load(name)
    content = json.loads((_folder() / f"{name}.lock.json").read_text(encoding="utf-8"))
    return MappingProxyType({task: _read_lock(task, values) for task, values in content["tasks"].items()})


@functools.lru_cache(maxsize=4096)  # by names that anyone may write
def find_lock(task: str, shots: int | None = None) -> TaskLock | None:
    """The lock of a task in whichever built-in suite has it, if possible in one with these shots. What depends on the
    shots may differ between suites; the digest does not."""
    found = [locked[task] for locked in map(lock, names()) if task in locked]
    return next((each for each in found if each.shots == shots), found[0] if found else None)


def _read_lock(task: str, values: dict[str, Any]) -> TaskLock:
    datasets = tuple(DataSet(**each | {"splits": tuple(each["splits"])}) for each in values.pop("datasets"))
    better = MappingProxyType(values.pop("higher_is_better"))
    subtasks = tuple(values.pop("subtasks"))
    return TaskLock(task=task, datasets=datasets, higher_is_better=better, subtasks=subtasks, **values)


def _folder() -> Any:
    return resources.files("fineline.suites")
