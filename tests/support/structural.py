"""Checks a value against a structural schema as an API server does with strict field validation, CEL rules left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
}


def violations(schema: Mapping[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """The paths of what the schema does not take."""
    if value is None and schema.get("nullable"):
        return
    kind = schema.get("type")
    if kind is None:
        return
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        yield f"{path}: not of type {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: not in the list"
    if isinstance(value, str):
        yield from _of_length(schema, value, path, "Length")
        if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
            yield f"{path}: pattern"
    elif isinstance(value, list):
        yield from _of_length(schema, value, path, "Items")
        for index, item in enumerate(value):
            yield from violations(schema["items"], item, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from _of_length(schema, value, path, "Properties")
        yield from _of_fields(schema, value, path)
    elif not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path}: out of bounds"


def _of_length(schema: Mapping[str, Any], value: Any, path: str, what: str) -> Iterator[str]:
    if not schema.get(f"min{what}", 0) <= len(value) <= schema.get(f"max{what}", len(value)):
        yield f"{path}: {what}"


def _of_fields(schema: Mapping[str, Any], value: dict[str, Any], path: str) -> Iterator[str]:
    declared = schema.get("properties", {})
    for name, item in value.items():
        child = declared.get(name, schema.get("additionalProperties"))
        if child is not None:
            # Null for a declared field that can't be null stands for its absence.
            if item is not None or child.get("nullable") or name not in declared:
                yield from violations(child, item, f"{path}.{name}")
        elif not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}: unknown"
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield f"{path}.{name}: required"
