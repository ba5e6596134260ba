"""The demo's training run on a cluster: its checkpoints, a source of them, an analysis of their results."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.control_plane import REPOSITORY

TRAINING = REPOSITORY / "examples" / "tiny-run"
STEPS = 100
"""Of the demo's training: four checkpoints of each of its two runs."""

RUN = "tiny-small"
TASKS = 8
EVALS = "evals"
"""The namespace of its evaluations."""


def trained() -> Path:
    """The folder of the demo's first checkpoints and its data sets, trained the first time (a minute)."""
    code = b"".join(path.read_bytes() for path in sorted(TRAINING.glob("*.py")))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fineline" / "tiny-run"
    folder = cache / f"{hashlib.sha256(code).hexdigest()[:16]}-{STEPS}"
    # What is there already is kept by the training itself, checkpoint by checkpoint.
    words = [sys.executable, str(TRAINING / "train.py"), "--output", str(folder), "--steps", str(STEPS)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return folder


def checkpoints(training: Path) -> list[Path]:
    """The run's checkpoints, the first one first."""
    return sorted((training / "checkpoints" / RUN).iterdir(), key=step)


def step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step"))


def source(name: str, results: str) -> dict[str, Any]:
    """Of `s3://pretrain/NAME/`: all checkpoints of the run there, each evaluated as it comes."""
    return {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": "CheckpointSource",
        "metadata": {"name": name, "namespace": EVALS},
        "spec": {
            "uri": f"s3://pretrain/{name}/",
            "pollSeconds": 10,
            "complete": {"settleSeconds": 1},
            "template": {
                "run": {"name": RUN, "family": "tiny", "tokensPerStep": 960},
                "suite": {"configMap": "tiny-world"},
                "engine": {"dtype": "float32", "maxModelLen": 128},
                "pods": {"secretName": "s3-credentials"},
                "results": results,
            },
        },
    }


def analysis(name: str, results: str) -> dict[str, Any]:
    return {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": "TrajectoryAnalysis",
        "metadata": {"name": name, "namespace": EVALS},
        "spec": {
            "runs": {"names": [RUN]},
            "results": results,
            "debounceSeconds": 10,
            "pods": {"secretName": "s3-credentials"},
        },
    }
