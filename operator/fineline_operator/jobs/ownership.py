"""How what a resource owns is marked: labels to find it by, an owner to be deleted with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fineline.resources.fields import GROUP
from fineline_operator.telling.subject import API_VERSION, Subject

OWNER_LABEL = f"{GROUP}/checkpointeval"
"""The uid of the CheckpointEval, on its Job, pods and ConfigMaps."""

ANALYSIS_LABEL = f"{GROUP}/trajectoryanalysis"
"""The uid of the TrajectoryAnalysis, on its Jobs and pods."""

MANAGED_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "fineline-operator"
OURS = f"{MANAGED_LABEL}={MANAGER}"
"""Selects what the operator made, for whichever kind: a watch takes one selector, and foreign Jobs are kept out."""

PLAN_ANNOTATION = f"{GROUP}/plan"
"""The plan's digest."""

MADE_FROM_ANNOTATION = f"{GROUP}/made-from"
"""The digest of what of the spec a Job was made from."""

_LABELS = {"CheckpointEval": OWNER_LABEL, "TrajectoryAnalysis": ANALYSIS_LABEL}


def owned_labels(subject: Subject) -> dict[str, str]:
    """The labels of everything that this resource owns."""
    return {_LABELS[subject.kind]: subject.uid, MANAGED_LABEL: MANAGER, "app.kubernetes.io/part-of": "fineline"}


def object_metadata(subject: Subject, name: str, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of an object that is deleted with the resource; deleting the latter is never held up by it."""
    return {
        "name": name,
        "namespace": subject.namespace,
        "labels": owned_labels(subject),
        "annotations": dict(annotations),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": subject.kind,
                "name": subject.name,
                "uid": subject.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
