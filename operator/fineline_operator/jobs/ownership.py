"""How what a CheckpointEval owns is marked: labels to find it by, an owner to be deleted with."""

from __future__ import annotations

from typing import Any

from fineline.resources.fields import GROUP, VERSION
from fineline_operator.evaluations.observed import EvaluationSeen

OWNER_LABEL = f"{GROUP}/checkpointeval"
"""The uid of the CheckpointEval, on its Job, pods and ConfigMaps."""

PLAN_ANNOTATION = f"{GROUP}/plan"
"""The plan's digest."""

MADE_FROM_ANNOTATION = f"{GROUP}/made-from"
"""The digest of what of the spec a Job was made from."""


def owned_labels(uid: str) -> dict[str, str]:
    """The labels of everything that the CheckpointEval with this uid owns."""
    return {
        OWNER_LABEL: uid,
        "app.kubernetes.io/managed-by": "fineline-operator",
        "app.kubernetes.io/part-of": "fineline",
    }


def object_metadata(
    evaluation: EvaluationSeen, name: str, *, plan_digest: str, made_from: str | None = None
) -> dict[str, Any]:
    """The metadata of an object that is deleted with the CheckpointEval; deleting the latter is never held up by it."""
    annotations = {PLAN_ANNOTATION: plan_digest}
    if made_from is not None:
        annotations[MADE_FROM_ANNOTATION] = made_from
    return {
        "name": name,
        "namespace": evaluation.namespace,
        "labels": owned_labels(evaluation.uid),
        "annotations": annotations,
        "ownerReferences": [
            {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "CheckpointEval",
                "name": evaluation.name,
                "uid": evaluation.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
