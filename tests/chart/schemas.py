"""JSON schemas of Kubernetes' kinds and of Fineline's, for kubeconform: what a real API server publishes (/openapi/v3),
made strict. Kept under the user's cache, for each version of the API server and of the CRDs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from support.control_plane import CRDS, ControlPlane
from support.kube_api import ApiError, KubeApi

MONITORING_CRDS = Path(__file__).with_name("monitoring-crds.yaml")
LOCATION = "{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
"""A schema's file, as kubeconform asks for it."""

_GROUPS = (
    "api/v1",
    "apis/apps/v1",
    "apis/apiextensions.k8s.io/v1",
    "apis/networking.k8s.io/v1",
    "apis/policy/v1",
    "apis/rbac.authorization.k8s.io/v1",
    "apis/monitoring.coreos.com/v1",
    "apis/fineline.dev/v1alpha1",
)
_POINTER = "#/components/schemas/"


def schemas(binaries: Path, plane: Callable[[], ControlPlane]) -> Path:
    """The folder of the schemas. `plane` is asked for only where they are not kept yet; it must know the CRDs."""
    version = subprocess.run([binaries / "kube-apiserver", "--version"], check=True, capture_output=True, text=True)
    sources = [Path(__file__), MONITORING_CRDS, *sorted(CRDS.glob("*.yaml"))]
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fineline" / "schemas"
    folder = cache / f"{version.stdout.split()[-1]}-{digest}"
    if not folder.exists():
        _keep(folder, dict(_published(plane().admin)))
    return folder


def published(api: KubeApi) -> bool:
    """Whether the API server publishes the schemas of all CRDs' kinds, which it does a moment after it knows them."""
    crds = api.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    wanted = {f"{crd['spec']['group']}_{crd['spec']['names']['kind'].lower()}_" for crd in crds}
    found = {file.rpartition("_")[0] + "_" for file, _ in _published(api)}
    return wanted <= found


def _keep(folder: Path, files: dict[str, Any]) -> None:
    """The folder appears whole or not at all; two test processes may both make it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    for name, schema in files.items():
        (making / name).write_text(json.dumps(schema))
    try:
        making.rename(folder)
    except OSError:
        shutil.rmtree(making)


def _published(api: KubeApi) -> Iterator[tuple[str, dict[str, Any]]]:
    for group in _GROUPS:
        try:
            components = api.get(f"/openapi/v3/{group}")["components"]["schemas"]
        except ApiError:  # a group of CRDs that is not published yet
            continue
        for name, component in components.items():
            kinds = component.get("x-kubernetes-group-version-kind", ())
            # DeleteOptions and the like are of many groups, and no objects.
            if len(kinds) == 1:
                (kind,) = kinds
                # kubeconform calls the group without a name by its version.
                group_name = kind["group"] or kind["version"]
                yield f"{group_name}_{kind['kind'].lower()}_{kind['version']}.json", _whole(name, components)


def _whole(name: str, components: dict[str, Any]) -> dict[str, Any]:
    """A component with all that it refers to."""
    needed: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in needed:
            needed[current] = _strict(components[current])
            waiting += _references(components[current])
    return {"$ref": f"{_POINTER}{name}", "components": {"schemas": needed}}


def _references(node: Any) -> Iterator[str]:
    for value in _children(node):
        yield from _references(value)
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"].removeprefix(_POINTER)


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _strict(node: Any) -> Any:
    """Without room for fields that the kind does not have, and with null where OpenAPI says so in its own way."""
    if isinstance(node, list):
        return [_strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: _strict(value) for key, value in node.items() if key != "description" or not isinstance(value, str)}
    free = node.get("x-kubernetes-preserve-unknown-fields") or node.get("x-kubernetes-embedded-resource")
    if isinstance(node.get("properties"), dict) and node.get("type") == "object" and not free:
        found.setdefault("additionalProperties", False)
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        found["type"] = [node["type"], "null"]
    return found
