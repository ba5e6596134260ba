"""Every rule that a resource must keep, each with a resource that breaks it, and the message that tells so.

The models (which the command uses) and the API server are both tested with these tables, one a kind.
"""

from __future__ import annotations

from typing import Any

Broken = dict[str, tuple[dict[str, Any], str, str]]
"""What is broken: (parts of the spec as `resource_values` takes them, the field pointed at, the message)."""

LONG = "k" * 318

KEYS = "names "
"""So begins the message of a map's rule on its names."""


def _under(path: str, broken: Broken) -> Broken:
    """The same rules where their object lies under `path` in the spec."""
    above = path.replace(".", "__") + "__"
    return {
        name: ({f"{above}{field}": value for field, value in parts.items()}, f"spec.{path}{place[4:]}", message)
        for name, (parts, place, message) in broken.items()
    }


_CHECKPOINT_FILES: Broken = {
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
}

_POD_TEMPLATE: Broken = {
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

_TEMPLATE: Broken = {
    "one suite": (
        {"suite": {"name": "loss", "configMap": "mine"}},
        "spec.suite",
        "has name and configMap: choose one of them",
    ),
    "a suite at all": ({"suite": {}}, "spec.suite", "needs name, configMap or tasks"),
    "a strategy's name": ({"run__strategy": {"": "x"}}, "spec.run.strategy", "names have 1 to 256 characters"),
    "a priority needs a queue": (
        {"priorityClassName": "high"},
        "spec",
        "priorityClassName needs queueName: it orders the workloads of a Kueue queue",
    ),
    **_POD_TEMPLATE,
}

BROKEN: dict[str, Broken] = {
    "CheckpointEval": {
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
        "from before to": (
            {"checkpoints__select": {"from": 9, "to": 3}},
            "spec.checkpoints.select",
            "from is after to",
        ),
        "select or pinned": (
            {"checkpoints__select": {"every": 2}, "checkpoints__pinned": [{"step": 1}]},
            "spec.checkpoints",
            "has select and pinned: choose one of them",
        ),
        **_CHECKPOINT_FILES,
        **_TEMPLATE,
    },
    "CheckpointSource": {
        "from before to": ({"select": {"from": 9, "to": 3}}, "spec.select", "from is after to"),
        **_CHECKPOINT_FILES,
        **_under("template", _TEMPLATE),
    },
    "TrajectoryAnalysis": {
        "one way to name the runs": (
            {"runs": {"names": ["a"], "families": ["b"]}},
            "spec.runs",
            "needs one of names, families and all",
        ),
        "runs at all": ({"runs": {}}, "spec.runs", "needs one of names, families and all"),
        "all or some": ({"runs": {"names": ["a"], "all": True}}, "spec.runs", "needs one of names, families and all"),
        "all is all": ({"runs": {"all": False}}, "spec.runs", "all must be true, or left out"),
        "the longest wait": (
            {"debounceSeconds": 60, "maxWaitSeconds": 59},
            "spec",
            "maxWaitSeconds is shorter than debounceSeconds",
        ),
        "a run's name": (
            {"horizon": {"r" * 129: 10**9}},
            "spec.horizon",
            "names have 1 to 128 characters",
        ),
        "what a run's name is made of": (
            {"horizon": {"../a": 10**9}},
            "spec.horizon",
            "names must be letters, digits, `.`, `_` and `-`, a letter or digit first",
        ),
        **_POD_TEMPLATE,
    },
}
"""By kind."""

CASES = [(kind, name) for kind, broken in BROKEN.items() for name in broken]
