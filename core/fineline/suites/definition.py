"""What a suite is: a list of tasks, each with its shots, its limit and the domain it stands for."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fineline.errors import SpecError

LM_EVAL_VERSION = "0.4.13"
"""The task library's version. A task's name and this version together fix its prompts and metrics."""

# Names become folders of the results (`task=<name>`), and lm-eval joins inline groups with `::`.
_TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,127}").fullmatch
_SUITE_FIELDS = {"description", "version", "tasks"}
_TASK_FIELDS = {"task", "shots", "limit", "domain"}
_MOST_TASKS = 512


@dataclass(frozen=True, slots=True)
class SuiteTask:
    """One task of a suite.

    `shots` None means the task's own number; `limit` is the number of documents (of each subtask, where the task is a
    group), a fixed random subset of them, None for all.
    """

    task: str
    shots: int | None
    limit: int | None
    domain: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of tasks. `digest` is of its content, so that two versions of one name can be told apart."""

    name: str
    description: str
    version: int
    tasks: tuple[SuiteTask, ...]
    digest: str

    def task(self, name: str) -> SuiteTask:
        """The entry of one task; SpecError where the suite has none of that name."""
        for entry in self.tasks:
            if entry.task == name:
                return entry
        raise SpecError(
            f"suite.tasks: {self.name} has no task {name!r}; it has {', '.join(t.task for t in self.tasks)}"
        )


def digest_of(value: object) -> str:
    """SHA-256, in hex, of a value's canonical JSON."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_suite(name: str, content: Any, where: str) -> Suite:
    """A suite from its parsed YAML. `where` is the file's name, for messages. SpecError names the field."""
    if not isinstance(content, Mapping):
        raise SpecError(f"{where}: must be a mapping with `tasks`, not {_kind(content)}")
    _refuse_unknown(content, _SUITE_FIELDS, where)
    entries = content.get("tasks")
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_TASKS:
        raise SpecError(f"{where}: tasks must be a list of 1 to {_MOST_TASKS} tasks")
    tasks = tuple(_read_task(entry, f"{where}: tasks[{index}]") for index, entry in enumerate(entries))
    seen: set[str] = set()
    for task in tasks:
        if task.task in seen:
            raise SpecError(f"{where}: tasks names {task.task!r} twice; results are told apart by the task's name")
        seen.add(task.task)
    version = content.get("version", 1)
    if not _is_count(version):
        raise SpecError(f"{where}: version must be a whole number, not {version!r}")
    return Suite(name, str(content.get("description", "")).strip(), version, tasks, digest_of(content))


def check_task_name(name: object, where: str) -> str:
    """The name, if it can be a task's; SpecError otherwise."""
    if not isinstance(name, str) or _TASK_NAME(name) is None:
        raise SpecError(f"{where} must be a task's name (letters, digits, `_ . : + -`, at most 128), not {name!r}")
    return name


def _read_task(entry: Any, where: str) -> SuiteTask:
    if not isinstance(entry, Mapping):
        raise SpecError(f"{where} must be a mapping with `task` and `domain`, not {_kind(entry)}")
    _refuse_unknown(entry, _TASK_FIELDS, where)
    name = check_task_name(entry.get("task"), f"{where}.task")
    domain = entry.get("domain")
    if not isinstance(domain, str) or not domain.strip():
        raise SpecError(f"{where}.domain must name the ability that the task stands for, such as reasoning")
    shots, limit = entry.get("shots"), entry.get("limit")
    if shots is not None and not _is_count(shots):
        raise SpecError(f"{where}.shots must be a whole number from 0, or null for the task's own, not {shots!r}")
    if limit is not None and (not _is_count(limit) or limit == 0):
        raise SpecError(f"{where}.limit must be a whole number from 1, or null for all documents, not {limit!r}")
    return SuiteTask(name, shots, limit, domain.strip())


def _refuse_unknown(content: Mapping[Any, Any], known: set[str], where: str) -> None:
    unknown = sorted(str(field) for field in content if field not in known)
    if unknown:
        raise SpecError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
