"""CheckpointEvals for tests, and folders that look like checkpoints to a listing."""

from __future__ import annotations

import copy
import json
import struct
from pathlib import Path
from typing import Any

from fineline.resources import CheckpointEval, validated

MINIMAL: dict[str, Any] = {
    "apiVersion": "fineline.dev/v1alpha1",
    "kind": "CheckpointEval",
    "metadata": {"name": "tiny"},
    "spec": {
        "run": {"name": "tiny", "tokensPerStep": 1000},
        "checkpoints": {"uri": "file:///checkpoints/"},
        "suite": {"tasks": [{"task": "piqa", "domain": "reasoning"}]},
    },
}


def evaluation_values(**spec: Any) -> dict[str, Any]:
    """The minimal resource as plain values, with these parts of its spec replaced; `a__b` replaces one field of a."""
    values = copy.deepcopy(MINIMAL)
    for path, value in spec.items():
        block = values["spec"]
        *above, last = path.split("__")
        for name in above:
            block = block.setdefault(name, {})
        block[last] = value
    return values


def evaluation(**spec: Any) -> CheckpointEval:
    return validated(CheckpointEval, evaluation_values(**spec), "test.yaml")


def listed_checkpoint(folder: Path, *, tokenizer: bool = True) -> Path:
    """A folder that a listing takes for a complete checkpoint: one tensor of four bytes, no model."""
    folder.mkdir(parents=True)
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    (folder / "config.json").write_text('{"vocab_size": 8}')
    if tokenizer:
        (folder / "tokenizer.json").write_text("{}")
    return folder
