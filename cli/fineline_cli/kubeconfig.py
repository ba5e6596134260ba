"""Which cluster and which namespace a command means, found as kubectl finds them. Connecting is cluster.py's.

In order: `--kubeconfig`, the files of KUBECONFIG, ~/.kube/config, the pod that the command runs in. Where several files
say the same, the first one counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fineline.errors import ClusterError, SpecError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_FILE = Path("~/.kube/config")


@dataclass(frozen=True)
class Target:
    """The cluster that is meant: a context of these files or, without any, the one that the command's own pod is in."""

    files: tuple[Path, ...]
    context: str | None
    namespace: str

    def __str__(self) -> str:
        return f"context {self.context}" if self.files else "this pod's cluster"


def find_target(
    kubeconfig: Path | None = None, context: str | None = None, environment: Mapping[str, str] = os.environ
) -> Target:
    """The target; `SpecError` where a flag says what can't be, `ClusterError` where there is none to be found."""
    files = _files(kubeconfig, environment)
    if not files:
        return _own_pod(context, environment)
    documents = [_read(file) for file in files]
    contexts = _contexts(documents)
    names = ", ".join(contexts) or "none at all"
    where = ", ".join(map(str, files))
    if context is None:
        context = next(filter(None, (document.get("current-context") for document in documents)), None)
        if context is None:
            raise SpecError(f"{where}: no context is the current one; name one with --context (known: {names})")
    if context not in contexts:
        raise SpecError(f"--context: {where}: no context {context!r} (known: {names})")
    return Target(files, context, str(contexts[context].get("namespace") or "default"))


def _files(kubeconfig: Path | None, environment: Mapping[str, str]) -> tuple[Path, ...]:
    if kubeconfig is not None:
        if not kubeconfig.expanduser().is_file():
            raise SpecError(f"--kubeconfig {kubeconfig}: no such file")
        return (kubeconfig.expanduser(),)
    named = [Path(name).expanduser() for name in environment.get("KUBECONFIG", "").split(os.pathsep) if name]
    return tuple(path for path in named or [DEFAULT_FILE.expanduser()] if path.is_file())


def _own_pod(context: str | None, environment: Mapping[str, str]) -> Target:
    if (
        context is not None
        or not environment.get("KUBERNETES_SERVICE_HOST")
        or not (SERVICE_ACCOUNT / "token").exists()
    ):
        looked = environment.get("KUBECONFIG") or DEFAULT_FILE
        raise ClusterError(
            f"no kubeconfig: {looked} is not there; name one with --kubeconfig or KUBECONFIG", reason="NoKubeconfig"
        )
    try:
        own = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        own = ""
    return Target((), None, environment.get("POD_NAMESPACE") or own or "default")


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ClusterError(f"{file}: the kubeconfig can't be read: {reason}", reason="KubeconfigInvalid") from None
    if document is not None and not isinstance(document, dict):
        raise ClusterError(f"{file}: is not a kubeconfig", reason="KubeconfigInvalid")
    return document or {}


def _contexts(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for document in documents:
        for entry in document.get("contexts") or ():
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                found.setdefault(entry["name"], entry.get("context") or {})
    return found
