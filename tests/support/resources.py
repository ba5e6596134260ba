"""Resources of every kind for tests, as plain values with what matters to a test put in."""

from __future__ import annotations

import copy
from typing import Any

from fineline.resources.kinds import KINDS, Kind
from support.evaluations import MINIMAL as EVALUATION

KIND: dict[str, Kind] = {kind.name: kind for kind in KINDS}
NAMES = tuple(KIND)

MINIMAL: dict[str, dict[str, Any]] = {
    "CheckpointEval": EVALUATION["spec"],
    "CheckpointSource": {
        "uri": "s3://pretrain/tiny/",
        "template": {
            "run": {"name": "tiny", "tokensPerStep": 1000},
            "suite": {"tasks": [{"task": "piqa", "domain": "reasoning"}]},
        },
    },
    "TrajectoryAnalysis": {"runs": {"names": ["tiny"]}},
}


def resource_values(kind: str, **spec: Any) -> dict[str, Any]:
    """The smallest resource of a kind, called tiny, with these parts of its spec replaced; `a__b` replaces one field of
    a."""
    values = {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "tiny"},
        "spec": copy.deepcopy(MINIMAL[kind]),
    }
    for path, value in spec.items():
        block = values["spec"]
        *above, last = path.split("__")
        for name in above:
            block = block.setdefault(name, {})
        block[last] = value
    return values


def _names(count: int, length: int) -> list[str]:
    return [f"{number:0{length}d}" for number in range(count)]


def largest_spec(kind: str) -> dict[str, Any]:
    """A spec in which every list and map is as long as its bound, and every name in them too."""
    labels = dict.fromkeys((f"a/{name}" for name in _names(64, 315)), "v" * 63)
    parts = [{"name": name} for name in _names(64, 63)]
    template = {
        "metadata": {"labels": labels, "annotations": dict.fromkeys(labels, "v" * 100)},
        "spec": {"nodeSelector": labels, "containers": parts[:16], "volumes": parts},
    }
    if kind == "TrajectoryAnalysis":
        return {
            "runs": {"names": _names(256, 128)},
            "horizon": dict.fromkeys(_names(256, 128), 10**18),
            "references": [f"s3://{name}/" for name in _names(16, 2000)],
            "pods": {"template": template},
        }
    evaluation = {
        "run": {"name": "r" * 128, "strategy": dict.fromkeys(_names(64, 256), "v" * 256)},
        "suite": {"tasks": [{"task": name, "domain": "d" * 64} for name in _names(256, 128)]},
        "engine": {"args": {"compilation_config": {name: [None, {"a": "b"}] for name in _names(64, 256)}}},
        "pods": {"template": template},
        "queueName": "q" * 63,
        "priorityClassName": "p" * 63,
    }
    positions = {name: {"branch": "b" * 256, "step": 1} for name in _names(512, 256)}
    if kind == "CheckpointSource":
        return {"uri": "s3://" + "b" * 2000, "template": evaluation, "checkpoints": {"positions": positions}}
    folder = "f/" * 127 + "f"
    pinned = [{"branch": "b" * 256, "step": step, "digest": "a" * 64, "folder": folder} for step in range(1024)]
    return evaluation | {"checkpoints": {"uri": "s3://b", "positions": positions, "pinned": pinned}}
