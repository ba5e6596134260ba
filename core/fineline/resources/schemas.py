"""Turns a model's JSON schema into the structural schema that an API server takes, rules included."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from fineline.resources.fields import IMMUTABLE_FIELDS, PATTERN_WORDS

_KEPT = (
    "type", "description", "default", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems",
    "maxItems", "maxProperties", "minProperties", "required", "nullable", "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
)  # fmt: skip
_FREE = "x-kubernetes-preserve-unknown-fields"


def structural_schema(model: type[BaseModel], *, defaults: bool = True) -> dict[str, Any]:
    """The model's JSON schema as a structural schema.

    `defaults`: plain ones are filled in by the API server, and descriptions end with them.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _Structural(schema.get("$defs", {}), defaults).of(schema)


@dataclass(frozen=True)
class _Structural:
    definitions: dict[str, Any]
    defaults: bool

    def of(self, node: dict[str, Any]) -> dict[str, Any]:
        node = self._without_union(self._resolved(node))
        result = {name: deepcopy(node[name]) for name in _KEPT if node.get(name) is not None}
        self._set_default(result)
        if "const" in node:
            result["enum"] = [node["const"]]
        if "type" not in node:
            return result | {_FREE: True}
        if "properties" in node:
            # What must be given comes first, for whoever reads the page.
            names = sorted(node["properties"], key=lambda name: name not in node.get("required", ()))
            result["properties"] = {name: self.of(node["properties"][name]) for name in names}
            for name in node.get(IMMUTABLE_FIELDS, ()):
                field = result["properties"][name]
                meaning, default, told = field["description"].partition(" Default: ")
                field["description"] = f"{meaning} Immutable.{default}{told}"
        elif node["type"] == "object":
            result |= self._map(node)
        if node["type"] == "array":
            result["items"] = self.of(node["items"])
        if node["type"] == "integer":
            result["format"] = "int64"
        if node.get("format") == "date-time":
            result["format"] = "date-time"
        return result

    def _map(self, node: dict[str, Any]) -> dict[str, Any]:
        # Names with a pattern: the values stand under it, and only one is ever given.
        pattern, values = next(
            iter(node.get("patternProperties", {}).items()), (None, node.get("additionalProperties", True))
        )
        if values is True and "maxProperties" not in node:
            return {_FREE: True}
        # Free values are a map of free values, not a free object: so CEL sees when a key was renamed. And null is a
        # value like any other there, which the API server would otherwise drop.
        free = values is True
        child = self.of({} if free else values)
        if free or any(option.get("type") == "null" for option in values.get("anyOf", ())):
            child["nullable"] = True
        keys = node.get("propertyNames", {})
        if free or "maxLength" not in keys:
            return {"additionalProperties": child}
        least, most = keys.get("minLength", 0), keys["maxLength"]
        rules = [
            {
                "rule": f"self.all(key, {least} <= size(key) && size(key) <= {most})",
                "message": f"names have {least} to {most} characters",
            }
        ]
        if pattern is not None:
            rules.append(
                {
                    "rule": f"self.all(key, key.matches('{pattern}'))",
                    "message": f"names {PATTERN_WORDS[pattern]}",
                }
            )
        return {"additionalProperties": child, "x-kubernetes-validations": rules}

    def _set_default(self, result: dict[str, Any]) -> None:
        default = result.pop("default", None)
        # An empty default would make an absent block appear; absence means the same.
        if self.defaults and default is not None and not isinstance(default, dict | list):
            shown = str(default).lower() if isinstance(default, bool) else f"{default}"
            result["default"] = default
            result["description"] = f"{result['description']} Default: {shown}."

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in node:
            return node
        target = self._resolved(self.definitions[node["$ref"].rsplit("/", 1)[-1]])
        return target | {name: value for name, value in node.items() if name != "$ref"}

    def _without_union(self, node: dict[str, Any]) -> dict[str, Any]:
        if "anyOf" not in node:
            return node
        options = [option for option in node["anyOf"] if option.get("type") != "null"]
        if len(options) != 1:
            raise ValueError(f"a CRD field can't be one of several types: {node}")
        return self._resolved(options[0]) | {name: value for name, value in node.items() if name != "anyOf"}
