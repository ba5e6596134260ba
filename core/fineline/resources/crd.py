"""Makes CustomResourceDefinitions from the resource models.

A CRD's schema is structural: no references, no unions, `nullable` instead of a null type, maps by
`additionalProperties`, and free values marked `x-kubernetes-preserve-unknown-fields`.
"""

from __future__ import annotations

from typing import Any

from fineline.resources.fields import GROUP, VERSION
from fineline.resources.kinds import KINDS, Kind
from fineline.resources.schemas import structural_schema


def crd_documents() -> list[dict[str, Any]]:
    """Every CRD of Fineline as plain values, ready for YAML, in the order of `KINDS`."""
    return [crd_document(kind) for kind in KINDS]


def crd_document(kind: Kind) -> dict[str, Any]:
    """The CRD of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": ["fineline"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {
                            "name": column.name,
                            "type": column.type,
                            "jsonPath": column.path,
                            "priority": int(column.wide),
                        }
                        for column in kind.columns
                    ],
                    "schema": {"openAPIV3Schema": _root_schema(kind)},
                }
            ],
        },
    }


def _root_schema(kind: Kind) -> dict[str, Any]:
    return {
        "type": "object",
        "description": kind.model.__doc__ or "",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(kind.spec),
            # The operator writes the status whole: a default there would only hide what it did not say.
            "status": structural_schema(kind.status, defaults=False),
        },
    }
