"""Fineline on a real node by its chart, with its own images, and buckets that its pods reach."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chart.helm import NAMESPACE, RELEASE, on
from support.control_plane import REPOSITORY
from support.node import Node
from support.tiny_run import EVALS
from support.versitygw import S3Server

IMAGES = {"operator": "operator", "evaluator": "evaluator-cpu", "analysis": "analysis"}
"""The chart's images by the Dockerfile's targets."""

BUCKETS = ("pretrain", "mirror", "evals")

_INSTANCE = r"app\.kubernetes\.io/instance"


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
            "stores": [{"prefix": f"s3://{bucket}/", **store} for bucket in BUCKETS],
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

    def wait_until_ready(self) -> None:
        """Until all replicas of the operator answer."""
        words = ("rollout", "status", f"deployment/{RELEASE}-operator", "-n", NAMESPACE, "--timeout=120s")
        assert "successfully" in self.node.kubectl(*words), self.told(NAMESPACE)

    def objects(self) -> frozenset[str]:
        """`kind namespace/name` of what may be the release's: all in its namespace, all that has its label or its name,
        wherever it is; but nothing of the evaluations' namespace, and no events."""
        listed = self.node.kubectl("api-resources", "--verbs=list", "--output=name").split()
        kinds = ",".join(kind for kind in listed if not kind.startswith("events"))
        columns = f"K:.kind,N:.metadata.namespace,M:.metadata.name,I:.metadata.labels.{_INSTANCE}"
        told = self.node.kubectl("get", kinds, "--all-namespaces", "--no-headers", f"--output=custom-columns={columns}")
        rows = [line.split() for line in told.splitlines()]
        return frozenset(
            f"{kind} {namespace}/{name}"
            for kind, namespace, name, instance in rows
            if namespace != EVALS and (namespace == NAMESPACE or RELEASE in name or instance == RELEASE)
        )

    def operators(self, *, ending: bool = False) -> set[str]:
        """The ids of the operator's pods that are to stay, and of those that are about to end where asked for."""
        pods = self.node.items("pods", NAMESPACE, selector=f"app.kubernetes.io/instance={RELEASE}")
        return {pod["metadata"]["uid"] for pod in pods if ending or "deletionTimestamp" not in pod["metadata"]}

    def pods(self, source: str, *, phase: str = "") -> dict[str, dict[str, Any]]:
        """The pods of a source's evaluations by their ids, or those of them in that phase."""
        return {
            pod["metadata"]["uid"]: pod
            for pod in self.node.items("pods", EVALS)
            if pod["metadata"]["name"].startswith(f"{source}-") and phase in ("", pod["status"]["phase"])
        }

    def wait_for_running(self, source: str, *, seconds: float = 180) -> str:
        """Waits for a pod of the source's evaluations that runs; its id."""
        what = f"a running pod of {source}"
        self.wait_until(lambda: self.pods(source, phase="Running"), what, namespace=EVALS, seconds=seconds)
        return next(iter(self.pods(source, phase="Running")))

    def counts(self, source: str) -> dict[str, int]:
        """How many of its checkpoints are how far."""
        found: dict[str, int] = self.node.get("cksrc", source, EVALS).get("status", {}).get("checkpoints", {})
        return found

    def wait_for_evaluated(self, source: str, number: int, *, seconds: float = 900) -> None:
        """Waits until so many checkpoints of a source have all of their results."""
        what = f"{number} evaluated checkpoints of {source}"
        self.wait_until(lambda: self.counts(source).get("evaluated") == number, what, namespace=EVALS, seconds=seconds)

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
