"""Every rule that a CheckpointEval must keep, each with a resource that breaks it, and the message that tells so.

The model (which the command uses) and the API server are both tested with this one table.
"""

from __future__ import annotations

from typing import Any

TASK = {"task": "piqa", "domain": "reasoning"}
LONG = "k" * 318

BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    # what is broken: (parts of the spec as `evaluation_values` takes them, the field pointed at, the message)
    "steps, every and last": (
        {"checkpoints__select": {"every": 2, "last": 3}},
        "spec.checkpoints.select",
        "choose one of steps, every and last",
    ),
    "steps are exact": (
        {"checkpoints__select": {"steps": [1], "from": 3}},
        "spec.checkpoints.select",
        "has steps and from/to: steps are exact, leave from and to out",
    ),
    "from before to": ({"checkpoints__select": {"from": 9, "to": 3}}, "spec.checkpoints.select", "from is after to"),
    "select or pinned": (
        {"checkpoints__select": {"every": 2}, "checkpoints__pinned": [{"step": 1}]},
        "spec.checkpoints",
        "has select and pinned: choose one of them",
    ),
    "positions or positionsFrom": (
        {"checkpoints__positions": {"a": {"step": 1}}, "checkpoints__positionsFrom": {"configMap": "b"}},
        "spec.checkpoints",
        "has positions and positionsFrom: choose one of them",
    ),
    "a position's name": (
        {"checkpoints__positions": {"x" * 257: {"step": 1}}},
        "spec.checkpoints.positions",
        "names have 1 to 256 characters",
    ),
    "one suite": (
        {"suite": {"name": "loss", "configMap": "mine"}},
        "spec.suite",
        "has name and configMap: choose one of them",
    ),
    "a suite at all": ({"suite": {}}, "spec.suite", "needs name, configMap or tasks"),
    "each task once": ({"suite__tasks": [TASK, TASK]}, "spec.suite.tasks", "tasks lists a task more than once"),
    "a strategy's name": ({"run__strategy": {"": "x"}}, "spec.run.strategy", "names have 1 to 256 characters"),
    "a priority needs a queue": (
        {"priorityClassName": "high"},
        "spec",
        "priorityClassName needs queueName: it orders the workloads of a Kueue queue",
    ),
    "no restartPolicy": (
        {"pods__template": {"spec": {"restartPolicy": "Never"}}},
        "spec.pods.template.spec.restartPolicy",
        "restartPolicy must be absent: the Job counts a unit's tries, so its pods never restart in place",
    ),
    "the operator's labels": (
        {"pods__template": {"metadata": {"labels": {"fineline.dev/checkpointeval": "x"}}}},
        "spec.pods.template.metadata.labels",
        "labels under fineline.dev/ are the operator's: leave them out",
    ),
    "a label's name": (
        {"pods__template": {"metadata": {"labels": {LONG: "x"}}}},
        "spec.pods.template.metadata.labels",
        "names have 1 to 317 characters",
    ),
    "an annotation's name": (
        {"pods__template": {"metadata": {"annotations": {LONG: "x"}}}},
        "spec.pods.template.metadata.annotations",
        "names have 1 to 317 characters",
    ),
    "a node label's name": (
        {"pods__template": {"spec": {"nodeSelector": {LONG: "x"}}}},
        "spec.pods.template.spec.nodeSelector",
        "names have 1 to 317 characters",
    ),
}
