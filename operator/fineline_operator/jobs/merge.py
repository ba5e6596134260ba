"""Merges partial PodTemplateSpecs: one goes over another, as `kubectl patch` does by default, without its directives.

Maps merge; null takes a field away; lists whose items have a name (containers, volumes, env, …) merge by it; all other
lists are replaced. A volume that is given another source, or a variable that is given another kind of value, loses the
one it had. Pure: nothing that is given is changed, and nothing of it is shared with the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fineline.errors import SpecError

REASON = "TemplateInvalid"


@dataclass(frozen=True)
class _Named:
    """A list whose items are told apart by the field `key`. `one_of`: an item's other fields are alternatives."""

    key: str
    item: _Fields = field(default_factory=dict)
    one_of: bool = False


_Fields: TypeAlias = Mapping[str, "_Named | _Fields"]
"""The fields of a map that need more than the rule for all: lists with names, and maps down to them."""

_MAP: _Fields = {}

_CONTAINER: _Fields = {
    "env": _Named("name", one_of=True),
    "volumeMounts": _Named("mountPath"),
    "ports": _Named("containerPort"),
    "resources": {"limits": _MAP, "requests": _MAP},
    "securityContext": _MAP,
}

_POD_TEMPLATE: _Fields = {
    "metadata": {"labels": _MAP, "annotations": _MAP},
    "spec": {
        "containers": _Named("name", _CONTAINER),
        "initContainers": _Named("name", _CONTAINER),
        "volumes": _Named("name", one_of=True),
        "imagePullSecrets": _Named("name"),
        "nodeSelector": _MAP,
        "affinity": _MAP,
        "securityContext": _MAP,
    },
}


def merged(base: Mapping[str, Any], patch: Mapping[str, Any], path: str) -> dict[str, Any]:
    """`patch` over `base`, both PodTemplateSpecs or parts of one; `path` is what the patch is called in messages.

    `SpecError` names the field where a patch has a value of a kind that can't stand there.
    """
    return _map(base, patch, _POD_TEMPLATE, path)


def _map(base: Mapping[str, Any], patch: Mapping[str, Any], fields: _Fields, path: str) -> dict[str, Any]:
    result = deepcopy(dict(base))
    for name, value in patch.items():
        where = f"{path}.{name}"
        if str(name).startswith("$"):
            raise _error(where, "directives are not known here; write null to take a field away")
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _value(result.get(name), value, fields.get(name), where)
    return result


def _value(base: Any, value: Any, shape: _Named | _Fields | None, path: str) -> Any:
    if isinstance(shape, _Named):
        return _named(base or [], _expected(value, list, path), shape, path)
    if shape is not None or isinstance(base, Mapping):
        return _map(base or {}, _expected(value, dict, path), shape or _MAP, path)
    if isinstance(base, list):
        return deepcopy(_expected(value, list, path))
    if isinstance(value, Mapping) and base is None:
        return _map({}, value, _MAP, path)  # its nulls say "not there", which it is
    if base is not None and isinstance(value, Mapping | list):
        raise _error(path, f"is {_kind(value)} where a plain value is expected")
    return deepcopy(value)


def _named(base: list[Any], patch: list[Any], shape: _Named, path: str) -> list[Any]:
    """The base's items in their order, each with its patch; then the patch's other items in theirs."""
    items = {item[shape.key]: item for item in base}
    seen: set[Any] = set()
    for number, item in enumerate(patch):
        where = f"{path}[{number}]"
        key = _expected(item, dict, where).get(shape.key)
        if not isinstance(key, str | int):
            raise _error(where, f"needs a {shape.key}: that is how it is told apart from the others")
        if key in seen:
            raise _error(where, f"{shape.key} {key} stands twice in the list")
        seen.add(key)
        before = items.get(key, {})
        if shape.one_of and any(name not in before and value is not None for name, value in item.items()):
            before = {name: value for name, value in before.items() if name in item}
        items[key] = _map(before, item, shape.item, where)
    return list(items.values())


def _expected(value: Any, kind: type, path: str) -> Any:
    if not isinstance(value, kind):
        raise _error(path, f"is {_kind(value)} where {'a map' if kind is dict else 'a list'} is expected")
    return value


def _kind(value: Any) -> str:
    match value:
        case Mapping():
            return "a map"
        case list():
            return "a list"
        case str():
            return "text"
        case _:
            return repr(value)


def _error(path: str, what: str) -> SpecError:
    return SpecError(f"{path}: {what}", reason=REASON)
