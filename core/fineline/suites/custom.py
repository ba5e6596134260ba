"""A suite of one's own, given as files: a ConfigMap's data, or a folder.

`suite.yaml` lists the tasks; every other file is a task or a group in lm-eval's YAML. Templates are jinja alone: Python
in any form is refused, for whoever may write a suite need not be someone who may run code in the evaluator's pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml

from fineline.errors import SpecError
from fineline.suites.definition import Suite, check_task_name, digest_of, read_suite

SUITE_FILE = "suite.yaml"

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\.ya?ml").fullmatch
_MOST_BYTES = 4 << 20
_MOST_VALUES = 100_000
# Each of these would run Python, or fetch something that runs it.
_REFUSED = {
    "class": "names a Python class",
    "custom_dataset": "names a Python function",
    "dataset_kwargs": "passes arguments to the data set's loader",
    "unsafe_code": "marks a task that runs generated programs",
    "use_prompt": "needs promptsource",
}


@dataclass(frozen=True, slots=True)
class CustomSuite:
    """A suite of one's own: its list, and the configuration of every task and group that its files define, with
    `include` already resolved. `digest` is of all its files; `files` are kept so that they can be handed on."""

    suite: Suite
    configs: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]
    digest: str

    @property
    def name(self) -> str:
        return self.suite.name

    @property
    def tasks(self) -> tuple[Any, ...]:
        return self.suite.tasks

    def reachable(self, task: str) -> dict[str, Mapping[str, Any]]:
        """The configurations that a task of this suite is made of: its own, and those of a group's members."""
        found: dict[str, Mapping[str, Any]] = {}
        waiting = [task]
        while waiting:
            name = waiting.pop()
            if name in self.configs and name not in found:
                found[name] = self.configs[name]
                waiting.extend(_members(self.configs[name]))
        return found


def parse(files: Mapping[str, str], name: str) -> CustomSuite:
    """The suite in these files (name to text). SpecError names the file and the field."""
    if SUITE_FILE not in files:
        raise SpecError(f"suite {name}: no {SUITE_FILE} among {', '.join(sorted(files)) or 'no files at all'}")
    if sum(len(text) for text in files.values()) > _MOST_BYTES:
        raise SpecError(f"suite {name}: more than {_MOST_BYTES >> 20} MiB of YAML")
    contents = {file: _read(file, text) for file, text in sorted(files.items())}
    suite = read_suite(name, contents.pop(SUITE_FILE), SUITE_FILE)
    configs: dict[str, Mapping[str, Any]] = {}
    for file in contents:
        config = _with_includes(file, contents, ())
        _check(config, file)
        if "task" not in config and "group" not in config:
            continue  # a template that others include
        own_name = check_task_name(config.get("group", config.get("task")), f"{file}: task")
        if own_name in configs:
            raise SpecError(f"{file}: task {own_name!r} is defined twice")
        configs[own_name] = MappingProxyType(config)
    digest = digest_of(dict(files))
    return CustomSuite(suite, MappingProxyType(configs), MappingProxyType(dict(files)), digest)


class _PlainLoader(yaml.SafeLoader):
    """YAML without tags of any kind: `!function` is refused by name, the others by SafeLoader."""


def _refuse_function(_: yaml.SafeLoader, node: yaml.Node) -> Any:
    raise SpecError(f"line {node.start_mark.line + 1}: `!function` names Python code; only jinja templates are taken")


_PlainLoader.add_constructor("!function", _refuse_function)


def _read(file: str, text: str) -> Any:
    if _FILE_NAME(file) is None:
        raise SpecError(f"{file}: only .yaml files are taken (no Python, no folders)")
    try:
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
    except SpecError as error:
        raise SpecError(f"{file}: {error}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(f"{file}: not plain YAML: {' '.join(str(error).split())}") from None
    for count, _ in enumerate(_values(content)):
        if count > _MOST_VALUES:
            raise SpecError(f"{file}: more than {_MOST_VALUES} values (are its anchors meant?)")
    return content


def _values(content: Any) -> Iterator[Any]:
    """Every value, each as often as it would be written out without anchors."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _with_includes(file: str, contents: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    """A file's mapping over those it includes, as lm-eval merges them."""
    if file in above:
        raise SpecError(f"{file}: include goes round in a circle: {' -> '.join((*above, file))}")
    content = contents.get(file)
    if not isinstance(content, Mapping):
        raise SpecError(f"{file}: must be a mapping of lm-eval's task fields")
    merged: dict[str, Any] = {}
    included = content.get("include", [])
    for other in included if isinstance(included, list) else [included]:
        if other not in contents:
            raise SpecError(f"{file}: include {other!r} is not among the suite's files")
        merged |= _with_includes(other, contents, (*above, file))
    return merged | {field: value for field, value in content.items() if field != "include"}


def _check(config: Mapping[str, Any], file: str) -> None:
    for field, why in _REFUSED.items():
        if config.get(field):
            raise SpecError(f"{file}: {field} {why}; only jinja templates are taken")
    metrics = config.get("metric_list") or []
    if any(isinstance(metric, Mapping) and metric.get("hf_evaluate") for metric in metrics):
        raise SpecError(f"{file}: metric_list: hf_evaluate fetches Python code; use lm-eval's own metrics")
    if "group" in config:
        for member in config.get("task") or []:
            if not isinstance(member, str):
                raise SpecError(f"{file}: task: members of a group must be names; give {member!r} a file of its own")


def _members(config: Mapping[str, Any]) -> list[str]:
    members = config.get("task") if "group" in config else None
    return list(members) if isinstance(members, list) else []
