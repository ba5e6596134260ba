"""What a kubelet makes of a pod before its program starts: files of its volumes, environment, command line.

There is no mount namespace here, so a volume is a folder somewhere else, and the paths that a container mounts are put
in place of where they are named in its command, arguments and environment. Ports likewise: pods share this machine's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.control_plane import ControlPlane
from support.pods import program_of
from support.processes import lasting_port

_REFERENCE = re.compile(r"\$\((\w+)\)")
_BRACKETED = re.compile(r"^metadata\.(annotations|labels)\['([^']+)'\]$")
_UNWANTED_BEFORE = r"(?<![\w./-])"


class NotThereError(Exception):
    """Something that the pod names is missing. `reason` is what a kubelet would give for the waiting container."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class Prepared:
    """A program to start. `ports` are those that it listens on here, by those that the pod declares."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    termination_log: Path
    ports: dict[int, int]


def prepare(
    plane: ControlPlane, pod: Mapping[str, Any], folder: Path, entrypoint: Sequence[str], base: Mapping[str, str]
) -> Prepared:
    """Makes ready here the container that does the pod's work. Raises NotThereError while something is missing.

    `entrypoint` is the image's, used where the container has no command; `base` the image's environment.
    """
    container = program_of(pod)
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    folders: dict[str, Path] = {}
    for mount in container.get("volumeMounts", []):
        root = folder / "volumes" / mount["name"]
        if not root.exists():
            _fill(plane, pod, volumes[mount["name"]], root)
        folders[mount["mountPath"].rstrip("/")] = root / mount.get("subPath", "")
    ports = {port["containerPort"]: lasting_port() for port in container.get("ports", [])}

    given = _environment(plane, pod, container)
    environment = {**base, **{name: _moved(value, folders) for name, value in given.items()}}
    command = [*(container.get("command") or entrypoint), *container.get("args", [])]
    termination_log = folder / "termination-log"
    termination_log.touch()
    return Prepared(
        [_port_changed(_moved(_expanded(part, given), folders), ports) for part in command],
        environment,
        folder,
        termination_log,
        ports,
    )


def _fill(plane: ControlPlane, pod: Mapping[str, Any], volume: Mapping[str, Any], root: Path) -> None:
    files: dict[str, bytes] = {}
    sources = volume["projected"]["sources"] if "projected" in volume else [volume]
    for source in sources:
        if "emptyDir" in source:
            continue
        if "configMap" in source:
            told = source["configMap"]
            data, optional = _config_map(plane, pod, told["name"]), told.get("optional", False)
        elif "secret" in source:
            told = source["secret"]
            name = told.get("secretName") or told["name"]
            data, optional = _secret(plane, pod, name), told.get("optional", False)
        else:
            raise NotImplementedError(f"the kubelet stand-in knows no volume of the kind {sorted(source)}")
        if data is None:
            if optional:
                continue
            raise NotThereError("ContainerCreating", f"volume {volume['name']}: not found: {told}")
        items = {item["key"]: item["path"] for item in told.get("items", [])} or {key: key for key in data}
        files.update({path: data[key] for key, path in items.items()})
    root.mkdir(parents=True)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def _environment(plane: ControlPlane, pod: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, str]:
    found = {"HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"]}
    for source in container.get("envFrom", []):
        told = source.get("secretRef") or source["configMapRef"]
        data = (_secret if "secretRef" in source else _config_map)(plane, pod, told["name"])
        if data is None and not told.get("optional", False):
            kind = "secret" if "secretRef" in source else "configmap"
            raise NotThereError("CreateContainerConfigError", f'{kind} "{told["name"]}" not found')
        found.update({source.get("prefix", "") + key: value.decode() for key, value in (data or {}).items()})
    for variable in container.get("env", []):
        value = (
            _value_from(plane, pod, variable["valueFrom"])
            if "valueFrom" in variable
            else _expanded(variable.get("value", ""), found)
        )
        if value is not None:
            found[variable["name"]] = value
    return found


def _value_from(plane: ControlPlane, pod: Mapping[str, Any], source: Mapping[str, Any]) -> str | None:
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    if "secretKeyRef" in source:
        kind, told, data = "secret", source["secretKeyRef"], _secret(plane, pod, source["secretKeyRef"]["name"])
    elif "configMapKeyRef" in source:
        kind, told = "configmap", source["configMapKeyRef"]
        data = _config_map(plane, pod, told["name"])
    else:
        raise NotImplementedError(f"the kubelet stand-in knows no value from {sorted(source)}")
    value = (data or {}).get(told["key"])
    if value is None and not told.get("optional", False):
        missing = f'{kind} "{told["name"]}" not found' if data is None else f"couldn't find key {told['key']}"
        raise NotThereError("CreateContainerConfigError", missing)
    return None if value is None else value.decode()


def _field(pod: Mapping[str, Any], path: str) -> str:
    bracketed = _BRACKETED.match(path)
    if bracketed:
        return str(pod["metadata"].get(bracketed[1], {}).get(bracketed[2], ""))
    found: Any = {**pod, "status": {"podIP": "127.0.0.1", "hostIP": "127.0.0.1"}}
    for part in path.split("."):
        found = found[part]
    return str(found)


def _config_map(plane: ControlPlane, pod: Mapping[str, Any], name: str) -> dict[str, bytes] | None:
    found = plane.admin.find(f"/api/v1/namespaces/{pod['metadata']['namespace']}/configmaps/{name}")
    if found is None:
        return None
    binary = {key: base64.b64decode(value) for key, value in found.get("binaryData", {}).items()}
    return {**binary, **{key: value.encode() for key, value in found.get("data", {}).items()}}


def _secret(plane: ControlPlane, pod: Mapping[str, Any], name: str) -> dict[str, bytes] | None:
    found = plane.admin.find(f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{name}")
    return None if found is None else {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` is put in as Kubernetes does; one that is not known stays."""
    return _REFERENCE.sub(lambda found: environment.get(found[1], found[0]), text)


def _moved(text: str, folders: Mapping[str, Path]) -> str:
    """Mounted paths at the start of a path, replaced by where their folders are; longest first."""
    if not folders:
        return text
    paths = "|".join(re.escape(path) for path in sorted(folders, key=len, reverse=True))
    return re.sub(rf"{_UNWANTED_BEFORE}({paths})(?![\w.-])", lambda found: str(folders[found[1]]), text)


def _port_changed(text: str, ports: Mapping[int, int]) -> str:
    return re.sub(r"^(|.*[=:])(\d+)$", lambda found: found[1] + str(ports.get(int(found[2]), found[2])), text)
