"""Makes CustomResourceDefinitions from the resource models.

A CRD's schema is structural: no references, no unions, `nullable` instead of a null type, maps by
`additionalProperties`, and free values marked `x-kubernetes-preserve-unknown-fields`.
"""

from __future__ import annotations

from typing import Any

from fineline.resources.checkpoint_eval import CheckpointEval, CheckpointEvalSpec
from fineline.resources.fields import GROUP, VERSION
from fineline.resources.schemas import structural_schema
from fineline.resources.status import CheckpointEvalStatus

_COLUMNS = [
    ("Run", "string", ".spec.run.name", 0),
    ("Checkpoints", "integer", ".status.plan.checkpoints", 0),
    ("Progress", "string", ".status.progress.text", 0),
    ("Succeeded", "string", '.status.conditions[?(@.type=="Succeeded")].status', 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Succeeded")].reason', 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Queue", "string", ".spec.queueName", 1),
    ("Suite", "string", ".spec.suite['name','configMap']", 1),
    ("Results", "string", ".status.results", 1),
]


def crd_documents() -> list[dict[str, Any]]:
    """Every CRD of Fineline as plain values, ready for YAML."""
    return [_checkpoint_eval()]


def _checkpoint_eval() -> dict[str, Any]:
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
                    "schema": {"openAPIV3Schema": _root_schema(CheckpointEval.__doc__ or "")},
                }
            ],
        },
    }


def _root_schema(description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(CheckpointEvalSpec),
            # The operator writes the status whole: a default there would only hide what it did not say.
            "status": structural_schema(CheckpointEvalStatus, defaults=False),
        },
    }
