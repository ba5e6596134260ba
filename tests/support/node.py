"""The real node of hack/node.sh, for end-to-end tests: containers run, policies bite, a store is a network away."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.control_plane import REPOSITORY, wait_for

SCRIPT = REPOSITORY / "hack" / "node.sh"
BOX = "localhost/fineline-node/box:1"  # what hack/node/programs/box does, in a pod


@dataclass(frozen=True)
class Node:
    """A node that is up. `host` is this machine's address as pods see it."""

    kubeconfig: Path
    host: str

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """What `kubectl` prints. `given` is its standard input. Raises RuntimeError with what it said where it
        fails; with `check=False` returns that instead."""
        done = run_script("kubectl", *arguments, given=given)
        if done.returncode and check:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout if not done.returncode else done.stdout + done.stderr

    def apply(self, *documents: Mapping[str, Any]) -> str:
        """Applies the objects (`kubectl apply --server-side`)."""
        several = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        return self.kubectl("apply", "--server-side", "--field-manager=tests", "-f", "-", given=several)

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """The object, or an empty one where there is none."""
        found = self.kubectl("get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output=json")
        answer: dict[str, Any] = json.loads(found or "{}")
        return answer

    def items(self, kind: str, namespace: str, *, selector: str = "") -> list[dict[str, Any]]:
        found = self.kubectl("get", kind, "--namespace", namespace, f"--selector={selector}", "--output=json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items

    def load(self, *archives: Path) -> None:
        """Makes the images of these docker archives known to the node."""
        done = run_script("load", *map(str, archives))
        if done.returncode:
            raise RuntimeError(done.stderr.strip())

    def kill(self, part: str) -> None:
        """Ends one of the node's own parts by SIGKILL, such as `kubelet` or `kube-apiserver`; the node starts it again
        within seconds. Raises RuntimeError where there is no such process."""
        programs = {process: Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0] for process in processes()}
        ids = [process for process, program in programs.items() if Path(os.fsdecode(program)).name == part]
        if not ids:
            raise RuntimeError(f"the node has no {part}")
        for process in ids:
            os.kill(process, signal.SIGKILL)

    @contextlib.contextmanager
    def namespace(self, prefix: str = "e2e", *, pod_security: str = "restricted") -> Iterator[str]:
        """A fresh namespace that enforces a level of Pod Security, deleted afterwards."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        labels = {"pod-security.kubernetes.io/enforce": pod_security}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        wait_for(lambda: self.get("serviceaccount", "default", name), f"the service account of namespace {name}")
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def run(self, namespace: str, name: str, *words: str, seconds: float = 60, role: str = "") -> str:
        """What a pod of the box image prints that does this and ends; raises RuntimeError where it fails. `role` is a
        label of it."""
        self.apply(box_pod(namespace, name, *words, labels={"role": role}))
        wait_for(lambda: self.phase(namespace, name) in {"Succeeded", "Failed"}, f"pod {name} to end", seconds=seconds)
        printed = self.kubectl("logs", "--namespace", namespace, name)
        if self.phase(namespace, name) == "Failed":
            raise RuntimeError(printed.strip())
        return printed

    def phase(self, namespace: str, pod: str) -> str:
        return str(self.get("pod", pod, namespace).get("status", {}).get("phase", ""))

    def wait_until(self, true: Callable[[], object], what: str, *, seconds: float = 60) -> None:
        """Waits with a pause that leaves the node some of the processor."""
        wait_for(true, what, seconds=seconds, every=0.3)


def processes() -> list[int]:
    """The ids of all processes in the node's control group, its pods' included."""
    found: set[int] = set()
    for file in Path("/sys/fs/cgroup").rglob("fineline-node/**/cgroup.procs"):
        found |= {int(line) for line in file.read_text().split()}
    return sorted(found)


def box_container(*words: str, name: str = "box", **more: Any) -> dict[str, Any]:
    """A container that does what the words say, as `restricted` wants it."""
    return {
        "name": name,
        "image": BOX,
        "imagePullPolicy": "Never",
        "args": list(words),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **more,
    }


def box_pod(
    namespace: str, name: str, *words: str, labels: Mapping[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {})},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [box_container(*words)],
            **spec,
        },
    }


def run_script(
    *arguments: str, given: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`hack/node.sh ARGUMENTS`, with these variables beside one's own."""
    return subprocess.run(
        [str(SCRIPT), *arguments],
        input=given,
        env={**os.environ, **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=1800,
    )


def missing() -> str:
    """Why there can be no node here; empty where there can."""
    done = run_script("check")
    return done.stderr.strip() if done.returncode else ""


# Looked at while tests are still collected: what is up by then no test brought up.
UP_BEFORE = Path("/run/fineline-node").exists()


def kept() -> bool:
    """Whether the cluster outlives the tests: a cluster of somebody's, a node that was up before, or one that is to
    stay."""
    return bool(UP_BEFORE or os.environ.get("FINELINE_NODE_KEEP") == "1" or os.environ.get("FINELINE_E2E_KUBECONFIG"))


def bring_up() -> Node:
    """Finds the node up, or brings it up. Raises RuntimeError with the reason where it does not come up."""
    words: Sequence[str]
    answers = []
    for words in (("up",), ("host",)):
        done = run_script(*words)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        answers.append(done.stdout.strip())
    return Node(Path(answers[0]), answers[1])
