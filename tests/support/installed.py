"""Fineline on a real node by its chart, with its own images, a bucket that its pods reach, and a run that trains."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chart.helm import CHART, NAMESPACE, RELEASE, on
from support.control_plane import REPOSITORY
from support.node import Node
from support.versitygw import S3Server

IMAGES = {"operator": "operator", "evaluator": "evaluator-cpu", "analysis": "analysis"}
"""The chart's images by the Dockerfile's targets."""

TRAINING = REPOSITORY / "examples" / "tiny-run"
STEPS = 100
"""Of the demo's training: four checkpoints of each of its two runs."""


@dataclass(frozen=True)
class Installed:
    """A node, the server that has the buckets `pretrain`, `mirror` and `evals`, and the release `fineline`."""

    node: Node
    server: S3Server

    def values(self, **more: Any) -> dict[str, Any]:
        """The chart's values: images that are on the node, the three stores, pods that fit it."""
        image = {"tag": "dev", "pullPolicy": "Never"}
        store = {"endpoint": self.server.endpoint, "region": "us-east-1", "secretName": "fineline-stores"}
        pod = {"resources": {"requests": {"cpu": "100m", "memory": "512Mi"}}}
        return {
            "images": {
                name: {"repository": f"localhost/fineline/{target}", **image} for name, target in IMAGES.items()
            },
            "stores": [{"prefix": f"s3://{bucket}/", **store} for bucket in ("pretrain", "mirror", "evals")],
            "results": "s3://evals/results/",
            "datasets": "s3://mirror/",
            "evaluator": {
                "gpuResource": "",
                "template": {"spec": {"containers": [{"name": "evaluator", **pod}]}},
            },
            "analysis": {"template": {"spec": {"containers": [{"name": "analysis", **pod}]}}},
            "progressSeconds": 5,
            "troubleSeconds": 10,
            **more,
        }

    def helm(self, verb: str, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """`helm VERB fineline …` in its namespace; raises RuntimeError with what it says where it fails."""
        if values is None:
            return on(self.node.kubeconfig, verb, RELEASE, *arguments)
        return on(self.node.kubeconfig, verb, RELEASE, *arguments, "--values", "-", given=json.dumps(values))

    def install(self) -> None:
        self.helm("install", CHART, values=self.values())

    def add_namespace(self, name: str) -> None:
        """One that enforces the Pod Security level `restricted`."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})

    def add_credentials(self, namespace: str, name: str) -> None:
        """The server's keys as a Secret."""
        keys = {"AWS_ACCESS_KEY_ID": self.server.access_key, "AWS_SECRET_ACCESS_KEY": self.server.secret_key}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
        self.node.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data}
        )

    def wait_until(self, true: Callable[[], object], what: str, *, namespace: str, seconds: float) -> None:
        """Waits; raises TimeoutError with what a person would look at first."""
        try:
            self.node.wait_until(true, what, seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.told(namespace)}") from None

    def told(self, namespace: str) -> str:
        """What a person would look at first."""
        return "\n".join(
            self.node.kubectl(*words, check=False)
            for words in (
                ("get", "cksrc,ckeval,traj,jobs,pods", "--namespace", namespace, "--output=wide"),
                ("get", "events", "--namespace", namespace, "--sort-by=.lastTimestamp"),
                ("logs", "--namespace", namespace, "--selector=fineline.dev/owner", "--tail=20", "--prefix"),
                ("get", "pods", "--namespace", NAMESPACE, "--output=wide"),
                ("logs", "--namespace", NAMESPACE, f"deployment/{RELEASE}-operator", "--tail=40"),
            )
        )


def built_images() -> list[Path]:
    """The archives of the images, built where they are not there yet. Raises RuntimeError with what it says."""
    done = subprocess.run(
        [str(REPOSITORY / "hack" / "images.sh"), "build", *IMAGES.values()],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-4000:])
    return [Path(line.split(maxsplit=1)[1]) for line in done.stdout.splitlines()]


def trained() -> Path:
    """The folder of the demo's first checkpoints and its data sets, trained the first time (a minute)."""
    code = b"".join(path.read_bytes() for path in sorted(TRAINING.glob("*.py")))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fineline" / "tiny-run"
    folder = cache / f"{hashlib.sha256(code).hexdigest()[:16]}-{STEPS}"
    # What is there already is kept by the training itself, checkpoint by checkpoint.
    words = [sys.executable, str(TRAINING / "train.py"), "--output", str(folder), "--steps", str(STEPS)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return folder
