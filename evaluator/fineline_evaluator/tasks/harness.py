"""lm-eval's insides: finding a task's YAML, resolving its whole configuration, building its Task objects.

Only the folders that a task needs are indexed (all of lm-eval's take more than ten seconds). The configuration is
resolved first and changed afterwards: lm-eval's own overrides would lose what the registered YAML says.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lm_eval
from lm_eval.api.group import Group
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._factory import TaskFactory
from lm_eval.tasks._index import Entry, Kind, TaskIndex

from fineline.errors import FinelineError, TaskError
from fineline.suites import LM_EVAL_VERSION, CustomSuite, config_digest, find_lock, task_identity
from fineline_evaluator.tasks import quiet
from fineline_evaluator.tasks.source import Source, Splits

quiet.hush_lm_eval()

OWN_FOLDER = Path(str(resources.files("fineline_evaluator.tasks"))) / "yaml"

_LIBRARY_FOLDER = Path(lm_eval.__file__).parent / "tasks"
_NAME_LINE = re.compile(rb"""^["']?(?:task|group)["']?:[ \t]*["']?([^"'\s#\[{]+)["']?[ \t]*(?:#.*)?$""", re.MULTILINE)
# Fields of a resolved configuration that say where it was found, not what it is.
_NOT_CONTENT = ("config_source",)
_GROUP_SEPARATOR = "::"


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A task or group found by name, with the configurations around it, not yet built."""

    name: str
    entry: Entry
    registry: Mapping[str, Entry]
    custom: CustomSuite | None


@dataclass(frozen=True, slots=True)
class BuiltTask:
    """lm-eval's objects of one task: its leaves in order, and the group where it is one.

    `config_digest` is what a key holds of the configuration (`fineline.suites.task_identity`), here made of what was
    really loaded: of a task with a lock, all leaves' resolved configurations and their Python, without the shots.
    `datasets` are the names (`<path>/<config>`) of the data sets they read.
    """

    name: str
    group: Group | None
    leaves: tuple[ConfigurableTask, ...]
    config_digest: str
    datasets: tuple[str, ...]


def find(name: str, custom: CustomSuite | None) -> Blueprint:
    """Finds a task among a custom suite's, Fineline's own and lm-eval's, in this order. TaskError (TaskUnknown)."""
    registry: dict[str, Entry] = {}
    waiting, seen = [name], set()
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        if custom is not None and wanted in custom.configs:
            registry[wanted] = _inline_entry(wanted, custom.configs[wanted])
        elif wanted not in registry:
            for found, entry in _folder_entries(wanted).items():
                registry.setdefault(found, entry)
        entry = registry.get(wanted)
        if entry is not None and entry.kind is Kind.GROUP:
            waiting.extend(_members(entry.cfg or {}))
        elif entry is not None and entry.kind is Kind.TAG:
            waiting.extend(sorted(entry.tags))
    entry = registry.get(name)
    if entry is None or entry.kind is Kind.TAG:
        close = get_close_matches(name, [*_library_names(), *_own_names(), *(custom.configs if custom else ())], n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise TaskError(f"{name}: lm-eval {LM_EVAL_VERSION} has no such task or group{hint}", reason="TaskUnknown")
    return Blueprint(name, entry, registry, custom)


def build(blueprint: Blueprint, shots: int | None, source: Source) -> BuiltTask:
    """Builds the Task objects over a source's data. TaskError names what is missing."""
    configs: dict[str, Any] = {}
    datasets: set[str] = set()

    def prepare(config: dict[str, Any]) -> dict[str, Any]:
        configs[config["task"]] = _content(config)
        datasets.add("/".join(dataset_of(config)))
        return _prepared(config, shots, source)

    built = _run(_Factory(prepare), blueprint)
    leaves = _leaves(built)
    if not leaves:
        raise TaskError(f"{blueprint.name}: the group has no tasks", reason="TaskUnknown")
    return BuiltTask(
        name=blueprint.name,
        group=built if isinstance(built, Group) else None,
        leaves=leaves,
        config_digest=_identity(blueprint, _digest(configs, built)),
        datasets=tuple(sorted(datasets)),
    )


@dataclass(frozen=True, slots=True)
class Outline:
    """What a task's configuration says, without its data: the resolved configuration of each leaf, in order."""

    configs: tuple[Mapping[str, Any], ...]
    group: Group | None
    config_digest: str


def outline(blueprint: Blueprint, shots: int | None) -> Outline:
    """Resolves a task's configurations. `num_fewshot` in them is what lm-eval would use when asked for `shots`."""
    contents: dict[str, Any] = {}
    configs: list[dict[str, Any]] = []

    def prepare(config: dict[str, Any]) -> dict[str, Any]:
        contents[config["task"]] = _content(config)
        configs.append(config | {"num_fewshot": _shots(config.get("num_fewshot"), shots)})
        return config

    built = _run(_Outliner(prepare), blueprint)
    return Outline(tuple(configs), built if isinstance(built, Group) else None, _digest(contents, built))


def dataset_of(config: Mapping[str, Any]) -> tuple[str, str]:
    """The hub data set and config that a task reads; one that names none is named like its task."""
    return str(config.get("dataset_path") or config["task"]), str(config.get("dataset_name") or "default")


def _run(factory: TaskFactory, blueprint: Blueprint) -> Any:
    try:
        return factory.build(blueprint.entry, registry=dict(blueprint.registry))
    except FinelineError:
        raise
    except Exception as error:
        raise TaskError(f"{blueprint.name}: lm-eval can't build it: {type(error).__name__}: {error}") from error


def _digest(configs: Mapping[str, Any], built: Any) -> str:
    groups = [built, *built.get_all_groups()] if isinstance(built, Group) else []
    return config_digest({**configs, **{f"group {group.name}": _aggregation(group) for group in groups}})


def _identity(blueprint: Blueprint, loaded: str) -> str:
    custom = blueprint.custom
    if custom is not None and blueprint.name in custom.configs:
        return task_identity(custom, blueprint.name)
    # What no lock fixes, lm-eval's version fixes, as the key says.
    return loaded if find_lock(blueprint.name) is not None else config_digest({blueprint.name: None})


class _Factory(TaskFactory):  # type: ignore[misc]
    """lm-eval's factory, with each leaf's resolved configuration passed through `prepare` before it is built."""

    def __init__(self, prepare: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        super().__init__()
        self._prepare = prepare

    def _load_full_config(self, entry: Entry, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
        config: dict[str, Any] = super()._load_full_config(entry, overrides)
        return config if entry.kind is Kind.GROUP else self._prepare(config)


class _Outliner(_Factory):
    """Resolves configurations without building a Task, which would need the data."""

    def _build_task(self, entry: Entry, overrides: dict[str, Any] | None) -> Any:
        return SimpleNamespace(task_name=self._load_full_config(entry, overrides)["task"])


def _prepared(config: dict[str, Any], shots: int | None, source: Source) -> dict[str, Any]:
    name = config["task"]
    if "class" in config or config.get("custom_dataset") is not None:
        raise TaskError(f"{name}: it makes its own data by Python code, which no digest can hold; use another task")
    dataset = source.splits(name, dataset_of(config)[0], config.get("dataset_name"))

    def provide(**_: Any) -> Splits:
        return dataset

    number = _shots(config.get("num_fewshot"), shots)
    changed = config | {"num_fewshot": number, "custom_dataset": provide, "dataset_kwargs": None}
    if number == 0:
        # Without shots lm-eval reads the split they would come from all the same.
        changed |= {"training_split": None, "fewshot_split": None, "fewshot_config": {"samples": []}}
    return changed


def _shots(own: int | None, asked: int | None) -> int:
    """lm-eval's rule: what is asked for, but a task that says 0 itself is never given any."""
    if asked is None or own == 0:
        return own or 0
    return asked


def _leaves(built: Any) -> tuple[ConfigurableTask, ...]:
    return tuple(built.get_all_tasks()) if isinstance(built, Group) else (built,)


def _aggregation(group: Group) -> Any:
    return [
        [metric.metric, metric.filter_list, metric.weight_by_size] for metric in group.aggregate_metric_list or []
    ] + group.child_names


def _content(value: Any) -> Any:
    """A configuration as plain values, with the source of each function's whole file in place of the function."""
    if isinstance(value, Mapping):
        return {str(key): _content(item) for key, item in value.items() if key not in _NOT_CONTENT}
    if isinstance(value, list | tuple):
        return [_content(item) for item in value]
    if callable(value):
        file = inspect.getsourcefile(value)
        code = Path(file).read_bytes() if file else b""
        return f"{getattr(value, '__name__', '')}@{hashlib.sha256(code).hexdigest()}"
    return value


def _inline_entry(name: str, config: Mapping[str, Any]) -> Entry:
    kind = Kind.GROUP if "group" in config else Kind.TASK
    return Entry(name=name, kind=kind, yaml_path=None, cfg=dict(config))


def _members(config: Mapping[str, Any]) -> Iterator[str]:
    members = config.get("task")
    for member in members if isinstance(members, list) else []:
        if isinstance(member, str):
            yield member
        elif "group" in member and isinstance(member.get("task"), list):
            yield from _members(member)
        else:
            yield member.get("group") or member["task"]


def _folder_entries(name: str) -> dict[str, Entry]:
    """The entries of the folder that defines `name`; nothing where none does."""
    if name in _own_names():
        return _index(OWN_FOLDER)
    folder = _library_names().get(name)
    return {} if folder is None else _index(folder)


@functools.cache
def _index(folder: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = TaskIndex.build([folder])
    return found


@functools.cache
def _own_names() -> dict[str, Path]:
    return _names_in(OWN_FOLDER)


@functools.cache
def _library_names() -> dict[str, Path]:
    return _names_in(_LIBRARY_FOLDER)


def _names_in(root: Path) -> dict[str, Path]:
    """The folder of each task and group, by its name, read off the lines that say `task:` or `group:`."""
    found: dict[str, Path] = {}
    for file in sorted(root.glob("**/*.yaml")):
        match = _NAME_LINE.search(file.read_bytes())
        if match is not None:
            found.setdefault(match.group(1).decode(), file.parent)
    return found


def runs_code(task: ConfigurableTask) -> bool:
    """Whether the task runs programs that the model wrote."""
    return bool(getattr(task, "UNSAFE_CODE", False))


def leaf_name(task: ConfigurableTask) -> str:
    name: str = task.task_name
    return name.rpartition(_GROUP_SEPARATOR)[2]
