"""values.schema.json, by which Helm refuses values that can't be meant: the JSON schema of the values' model, with
references put in, titles in words, and `""` allowed wherever it stands for a text that is not given."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from chart.values import Values, defaults

_KEPT = (
    "type", "description", "default", "examples", "enum", "pattern", "minimum", "exclusiveMinimum", "maximum",
    "minLength", "maxLength", "minItems", "uniqueItems", "patternProperties", "required", "additionalProperties",
)  # fmt: skip
PART = "part"
"""In a property of the model: the heading of the part of values.yaml that begins with it. Not in the schema."""


class _AsDeclared(GenerateJsonSchema):
    """Without pydantic's sorting of defaults and examples by their names."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002
        return value


def values_schema() -> dict[str, Any]:
    """A JSON schema without references."""
    model = Values.model_json_schema(schema_generator=_AsDeclared)
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart fineline",
        **_inlined(model, model["$defs"]),
    }
    _with_defaults(schema, defaults())
    # Helm gives it to every chart that is part of another.
    schema["properties"]["global"] = {"type": "object", "description": "What a chart that this one is part of shares."}
    return schema


def schema_file() -> str:
    return json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n"


def parts() -> dict[str, str]:
    """Which heading stands above which value."""
    properties = Values.model_json_schema(schema_generator=_AsDeclared)["properties"]
    return {name: node[PART] for name, node in properties.items() if PART in node}


def _inlined(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        node = {**definitions[node["$ref"].rsplit("/", 1)[-1]], **node}
    found = {name: node[name] for name in _KEPT if name in node}
    if "properties" in node:
        found["properties"] = {
            name: {"title": _title(name), **_inlined(child, definitions)} for name, child in node["properties"].items()
        }
    if "items" in node:
        found["items"] = _inlined(node["items"], definitions)
    if found.get("default") == "":
        _allow_empty(found)
    return found


def _allow_empty(node: dict[str, Any]) -> None:
    """A text that may be left out."""
    node.pop("minLength", None)
    if "pattern" in node and not re.search(node["pattern"], ""):
        node["pattern"] = f"^({node['pattern'].removeprefix('^').removesuffix('$')})?$"


def _with_defaults(node: dict[str, Any], value: Any) -> None:
    """A property's default is what values.yaml says there, not what its type would have elsewhere. And null, which Helm
    takes for "remove it", is refused where something must be there."""
    for name, child in node.get("properties", {}).items():
        if "properties" in child:
            child.pop("default", None)
            _with_defaults(child, value[name])
        else:
            child["default"] = value[name]
    if "properties" in node:
        node["required"] = [
            name
            for name, child in node["properties"].items()
            if "properties" in child or (child["type"] not in ("object", "array") and child["default"] != "")
        ]


def _title(name: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return words[:1].upper() + words[1:]
