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
