"""Makes CustomResourceDefinitions from the resource models.

A CRD's schema is structural: no references, no unions, `nullable` instead of a null type, maps by
`additionalProperties`, and free values marked `x-kubernetes-preserve-unknown-fields`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from fineline.resources.checkpoint_eval import CheckpointEvalSpec
from fineline.resources.fields import GROUP, VERSION

_KEPT = (
    "type", "description", "default", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems",
    "maxItems", "maxProperties", "minProperties", "required",
)  # fmt: skip

_IMMUTABLE = ("run", "checkpoints", "suite", "engine", "results")

_COLUMNS = [
    ("Run", "string", ".spec.run.name", 0),
    ("Checkpoints", "integer", ".status.plan.checkpoints", 0),
    ("Progress", "string", ".status.progress.text", 0),
    ("Succeeded", "string", '.status.conditions[?(@.type=="Succeeded")].status', 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Succeeded")].reason', 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Queue", "string", ".spec.queueName", 1),
    ("Suite", "string", ".spec.suite.name", 1),
    ("Results", "string", ".status.results", 1),
]


def crd_documents() -> list[dict[str, Any]]:
    """Every CRD of Fineline as plain values, ready for YAML."""
    return [_checkpoint_eval()]


def _checkpoint_eval() -> dict[str, Any]:
    spec = structural_schema(CheckpointEvalSpec)
    spec["x-kubernetes-validations"] = [_immutable(name) for name in _IMMUTABLE]
    checkpoints = spec["properties"]["checkpoints"]
    checkpoints["x-kubernetes-validations"] = [
        {"rule": "!(has(self.select) && has(self.pinned))", "message": "has select and pinned: choose one of them"}
    ]
    checkpoints["properties"]["select"]["x-kubernetes-validations"] = [
        {
            "rule": "[has(self.steps), has(self.every), has(self.last)].filter(x, x).size() <= 1",
            "message": "choose one of steps, every and last",
        },
        {
            "rule": "!(has(self.steps) && (has(self.from) || has(self.to)))",
            "message": "has steps and from/to: steps are exact, leave from and to out",
        },
        {"rule": "!(has(self.from) && has(self.to)) || self.from <= self.to", "message": "from is after to"},
    ]
    spec["properties"]["suite"]["x-kubernetes-validations"] = [
        {"rule": "!(has(self.name) && has(self.configMap))", "message": "has name and configMap: choose one of them"},
        {
            "rule": "has(self.name) || has(self.configMap) || has(self.tasks)",
            "message": "needs name, configMap or tasks",
        },
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"checkpointevals.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "CheckpointEval",
                "listKind": "CheckpointEvalList",
                "plural": "checkpointevals",
                "singular": "checkpointeval",
                "shortNames": ["ckeval"],
                "categories": ["fineline"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "priority": priority}
                        for name, kind, path, priority in _COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "Evaluate these checkpoints on this suite.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            },
                        }
                    },
                }
            ],
        },
    }


def _immutable(name: str) -> dict[str, str]:
    return {
        "rule": f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
        "message": f"{name} can't change: make a new CheckpointEval; results that still hold are reused",
    }


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema as a structural schema."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}))


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    node = _without_union(_resolved(node, definitions), definitions)
    result = {name: node[name] for name in _KEPT if name in node and node[name] is not None}
    if "const" in node:
        result["enum"] = [node["const"]]
    if "type" not in node:
        return {**result, "x-kubernetes-preserve-unknown-fields": True}
    if "properties" in node:
        result["properties"] = {name: _structural(child, definitions) for name, child in node["properties"].items()}
    elif node["type"] == "object":
        # Free values are a map of free values, not a free object: so CEL sees when a key was renamed.
        values = node.get("additionalProperties")
        result["additionalProperties"] = _structural(values if isinstance(values, dict) else {}, definitions)
    if node["type"] == "array":
        result["items"] = _structural(node["items"], definitions)
    if node["type"] == "integer":
        result["format"] = "int64"
    if isinstance(result.get("default"), dict | list):
        del result["default"]  # an empty default would make an absent block appear; absence means the same
    return result


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target = definitions[node["$ref"].rsplit("/", 1)[-1]]
    return {**target, **{name: value for name, value in node.items() if name != "$ref"}}


def _without_union(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" not in node:
        return node
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) != 1:
        raise ValueError(f"a CRD field can't be one of several types: {node}")
    outer = {
        name: value for name, value in node.items() if name != "anyOf" and not (name == "default" and value is None)
    }
    return {**_resolved(options[0], definitions), **outer}
