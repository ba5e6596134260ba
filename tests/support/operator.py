"""The operator as a real process, as its own service account, with no more rights than its rbac.yaml gives."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.control_plane import ControlPlane, wait_for
from support.processes import Server, lasting_port
from support.rights import ACCOUNT, RBAC

IMAGE = "registry.example/fineline-evaluator:test"


def rbac_documents(namespace: str, *, watched: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """rbac.yaml for an operator that lives in `namespace` and watches some namespaces (all where None)."""
    documents: list[dict[str, Any]] = []
    for document in yaml.safe_load_all(RBAC.read_text()):
        metadata = document["metadata"]
        if "namespace" in metadata:
            metadata["namespace"] = namespace
        for subject in document.get("subjects", ()):
            subject["namespace"] = namespace
        if not document["kind"].startswith("ClusterRole"):
            documents.append(document)
        elif watched is None:
            # Several operators of tests may share a cluster: each has cluster-wide names of its own.
            metadata["name"] = f"{ACCOUNT}-{namespace}"
            if "roleRef" in document:
                document["roleRef"]["name"] = metadata["name"]
            documents.append(document)
        else:
            documents += [_in_namespace(document, name) for name in watched]
    return documents


def install_operator(plane: ControlPlane, namespace: str, *, watched: Sequence[str] | None = None) -> Path:
    """Makes the operator's service account in `namespace` with its rights; the kubeconfig with which it is it."""
    plane.apply(rbac_documents(namespace, watched=watched))
    return plane.kubeconfig_for(namespace, ACCOUNT)


@dataclass
class Operator:
    """A process of the operator: started, ended, killed and started again by tests."""

    server: Server
    port: int
    settings: Path

    @property
    def pid(self) -> int:
        return self.server.pid

    @property
    def running(self) -> bool:
        return self.server.running

    def start(self) -> None:
        self.server.start()

    def stop(self, *, seconds: float = 30) -> int:
        """Asks it to end (SIGTERM); its exit code."""
        process = self.server.process
        if process is None:
            raise RuntimeError("the operator is not running")
        process.terminate()
        code = process.wait(seconds)
        self.server.process = None
        return code

    def kill(self) -> None:
        """Ends it as a lost node would: SIGKILL."""
        self.server.end(at_once=True)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It sees and does nothing meanwhile (SIGSTOP), as on a node without a free processor. Shorter than its Lease
        lasts, or it ends afterwards."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def lines(self) -> list[dict[str, Any]]:
        """Its log, of all its starts: a dict per line."""
        text = self.server.log.read_text() if self.server.log.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def said(self, words: str) -> bool:
        """Whether a line's message has these words."""
        return any(words in line["message"] for line in self.lines())

    def get(self, path: str) -> tuple[int, str]:
        """Its own answer at /healthz or /metrics."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over these labels; 0 where there is none, or nobody answers yet."""
        try:
            text = self.get("/metrics")[1]
        except OSError:
            return 0.0
        total = 0.0
        for line in text.splitlines():
            found = re.fullmatch(rf"{re.escape(name)}(?:\{{(.*)\}})? (\S+)", line)
            if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
                total += float(found[2])
        return total

    def requests(self) -> Counter[str]:
        """`verb resource` of what it asked for, by its own metrics: each try, but neither watches nor the Lease."""
        found: Counter[str] = Counter()
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith("fineline_api_requests_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                found[f"{labels['verb']} {labels['resource']}"] += round(float(line.rpartition(" ")[2]))
        return found

    def _acts(self) -> bool:
        messages = [line["message"] for line in self.lines()]
        begun = max((number for number, message in enumerate(messages) if " starts as " in message), default=0)
        return any("watching " in message for message in messages[begun:])

    def wait_until_acting(self, *, seconds: float = 60) -> None:
        """Returns when it holds the Lease and knows all that exists, after each of its starts."""
        wait_for(
            lambda: self.running and self._acts(),
            f"the operator to watch ({self.server.log})",
            seconds=seconds,
        )


@contextlib.contextmanager
def start_operator(
    folder: Path,
    kubeconfig: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    identity: str | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    constants: Mapping[str, float] | None = None,
    wait: bool = True,
) -> Iterator[Operator]:
    """A running operator, ended with the block. `settings` go over those without which none would start; `constants`
    replace some of its modules', such as `{"watching.WATCH_SECONDS": 6}`: as in production, but sooner."""
    folder.mkdir(parents=True, exist_ok=True)
    port = lasting_port()
    file = folder / "operator.yaml"
    file.write_text(yaml.safe_dump({"healthPort": port, "evaluator": {"image": IMAGE}, **(settings or {})}))
    command = [sys.executable, *_program(constants or {}), f"--settings={file}", f"--kubeconfig={kubeconfig}"]
    if identity is not None:
        command.append(f"--identity={identity}")
    operator = Operator(
        Server("operator", [*command, *arguments], folder / "operator.log", environment or {}), port, file
    )
    operator.start()
    try:
        if wait:
            operator.wait_until_acting()
        yield operator
    finally:
        operator.kill()


def _program(constants: Mapping[str, float]) -> list[str]:
    """What Python is to run."""
    if not constants:
        return ["-m", "fineline_operator.main"]
    lines = []
    for place, value in constants.items():
        module, _, name = place.rpartition(".")
        lines.append(f"import fineline_operator.{module} as module; module.{name}; module.{name} = {value!r}")
    return ["-c", "\n".join([*lines, "from fineline_operator.main import main", "main()"])]


def _in_namespace(document: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """A ClusterRole's rules, or its binding, for one namespace alone."""
    found = json.loads(json.dumps(document))
    found["kind"] = found["kind"].removeprefix("Cluster")
    # Not the Lease's Role, which has the plain name.
    found["metadata"] = {"name": f"{ACCOUNT}-evaluations", "namespace": namespace}
    if "roleRef" in found:
        found["roleRef"] |= {"kind": "Role", "name": f"{ACCOUNT}-evaluations"}
    return dict(found)
