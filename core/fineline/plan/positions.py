"""Reads positions.yaml: where checkpoints stand whose names can't be read, for more of them than a resource may list.

    ckpt_358: {step: 358000, tokens: 1259000000000}
    ckpt_359: {step: 359000, branch: annealed}

Whoever may write a ConfigMap writes it, so it is read event by event: no alias is followed and nothing nests deeper
than an entry's fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    StreamEndEvent,
)

from fineline.checkpoints import Position
from fineline.errors import SpecError
from fineline.resources.checkpoint_eval import NamedPosition

POSITIONS_KEY = "positions.yaml"
"""The key of the ConfigMap that `spec.checkpoints.positionsFrom` names."""

MOST_CHARACTERS = 1 << 20
_LONGEST_NAME = 256

# A leading zero would mean octal to some readers of YAML.
_is_number = re.compile(r"0|[1-9][0-9_]*").fullmatch
# The C parser is twenty times as fast, and not there where PyYAML was built without it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_positions(text: str, origin: str) -> dict[str, Position]:
    """The positions by folder name. `SpecError` starts with `origin` and names the line."""
    if len(text) > MOST_CHARACTERS:
        raise SpecError(f"{origin}: longer than {MOST_CHARACTERS:,} characters, more than a ConfigMap holds")
    try:
        return _read(iter(yaml.parse(text, Loader=_LOADER)), origin)
    except UnicodeEncodeError:
        raise SpecError(f"{origin}: not YAML: it can't be written as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", "")
        raise SpecError(f"{origin}{line}: not YAML: {problem}") from None


def _read(events: Iterator[Event], origin: str) -> dict[str, Position]:
    next(events)
    if not isinstance(next(events), DocumentStartEvent):
        raise SpecError(f"{origin}: is empty; write a mapping of folder names to positions")
    if not isinstance(start := next(events), MappingStartEvent):
        _refuse(origin, start, "must be a mapping of folder names to positions")
    found: dict[str, Position] = {}
    for key, value in _entries(events, origin):
        if len(key.value) > _LONGEST_NAME:
            _refuse(origin, key, f"a name of more than {_LONGEST_NAME} characters")
        if not isinstance(value, MappingStartEvent):
            _refuse(origin, value, f"{key.value}: must be a mapping, such as {{step: 1000}}")
        fields = {field.value: _scalar(origin, field, given) for field, given in _entries(events, origin)}
        found[key.value] = _position(origin, key, fields)
    if not isinstance(next(events), DocumentEndEvent) or not isinstance(after := next(events), StreamEndEvent):
        _refuse(origin, after, "a second document; keep one")
    return found


def _entries(events: Iterator[Event], origin: str) -> Iterator[tuple[ScalarEvent, Event]]:
    """The keys of a mapping that was opened, each with the event that its value starts with."""
    seen: set[str] = set()
    while not isinstance(key := next(events), MappingEndEvent):
        if not isinstance(key, ScalarEvent):
            _refuse(origin, key, "keys must be plain names")
        if key.value in seen:
            _refuse(origin, key, f"{key.value} stands twice")
        seen.add(key.value)
        yield key, next(events)


def _scalar(origin: str, field: ScalarEvent, given: Event) -> Any:
    if not isinstance(given, ScalarEvent):
        _refuse(origin, given, f"{field.value}: must be a single value")
    plain = given.implicit[0]
    if plain and field.value == "tokens" and given.value in ("", "~", "null"):
        return None
    if plain and field.value in ("step", "tokens") and _is_number(given.value):
        return int(given.value.replace("_", ""))
    return given.value


def _position(origin: str, key: ScalarEvent, fields: dict[str, Any]) -> Position:
    try:
        given = NamedPosition.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join([key.value, *(str(part) for part in first["loc"])])
        _refuse(origin, key, f"{path}: {first['msg'][:1].lower()}{first['msg'][1:]}")
    return Position(given.branch, given.step, given.tokens)


def _refuse(origin: str, event: Event, what: str) -> NoReturn:
    mark = event.start_mark
    raise SpecError(f"{origin}{f', line {mark.line + 1}' if mark is not None else ''}: {what}")
