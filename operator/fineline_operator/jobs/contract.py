"""What a template may not take away from the pods of a Job: their program's way in, and how its end is understood."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fineline.errors import SpecError
from fineline_operator.jobs.merge import REASON

PLAN_VOLUME = "plan"
PLAN_FOLDER = "/plan"


@dataclass(frozen=True, slots=True)
class Contract:
    """What stays as the operator made it, by the words that refuse its change.

    `pod` and `own` are fields of the pod and of the program's container, `variables` those of its environment; `volume`
    holds what it works on and is mounted at `folder`, if it has one.
    """

    container: str
    pod: Mapping[str, str]
    own: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    volume: str = ""
    folder: str = ""


def _pod(deadline: str) -> dict[str, str]:
    return {
        "restartPolicy": "can't be set: it is Never, so that the Job sees how each pod ended. Remove it.",
        "activeDeadlineSeconds": f"can't be set: each try would end alike. {deadline}",
    }


def _own(program: str, told: str) -> dict[str, str]:
    return {
        "command": f"can't be set: the Job runs the {program}. Remove it; `image` may name another build of it.",
        "args": f"can't be set: the operator tells the {program} {told}. Remove it.",
        "restartPolicy": "can't be set: the Job must see how each try ended. Remove it.",
        "restartPolicyRules": "can't be set: the Job must see how each try ended. Remove it.",
        "terminationMessagePath": f"can't be set: the {program}'s last words are read from there. Remove it.",
    }


EVALUATOR = Contract(
    container="evaluator",
    pod=_pod("Use spec.pods.deadlineSeconds."),
    own=_own("evaluator", "where its plan is"),
    variables={"JOB_COMPLETION_INDEX": "can't be set: the Job tells each pod its slice. Remove it."},
    volume=PLAN_VOLUME,
    folder=PLAN_FOLDER,
)

ANALYSIS = Contract(
    container="analysis",
    pod=_pod("Remove it: the Job has a deadline."),
    own=_own("analysis", "what to analyse"),
)


def check(contract: Contract, template: Mapping[str, Any], base: Mapping[str, Any], path: str) -> None:
    """Compares a merged template with the operator's own. `SpecError`, reason TemplateInvalid, names the field below
    `path` that is to blame."""
    spec = template.get("spec") or {}
    for name, words in contract.pod.items():
        if spec.get(name) != base["spec"].get(name):
            raise _error(f"{path}.spec.{name}", words)
    container, original = _container(contract, spec), _container(contract, base["spec"])
    if container is None or original is None:
        raise _error(f"{path}.spec.containers", f"takes the container {contract.container} away, which does the work")
    here = f"{path}.spec.containers[{contract.container}]"
    for name, words in contract.own.items():
        if container.get(name) != original.get(name):
            raise _error(f"{here}.{name}", words)
    for name, words in contract.variables.items():
        if any(item["name"] == name for item in container.get("env") or ()):
            raise _error(f"{here}.env[{name}]", words)
    if contract.volume:
        _check_volume(contract, (spec, container), (base["spec"], original), path)


def container_of(contract: Contract, template: Mapping[str, Any]) -> dict[str, Any]:
    """The program's container in a template that was checked."""
    found = _container(contract, template["spec"])
    if found is None:
        raise KeyError(contract.container)
    return found


def _check_volume(
    contract: Contract,
    there: tuple[Mapping[str, Any], Mapping[str, Any]],
    base: tuple[Mapping[str, Any], Mapping[str, Any]],
    path: str,
) -> None:
    """Both are a pod's spec and the program's container in it."""
    name = contract.volume
    if _items(there[0], "volumes", "name", name) != _items(base[0], "volumes", "name", name):
        raise _error(f"{path}.spec.volumes[{name}]", f"can't be changed: it holds the {name}. Choose another name.")
    if _mounts(contract, there[1]) != _mounts(contract, base[1]):
        message = (
            f"can't be changed at {contract.folder} or below it: the {name} is mounted there. Choose another mountPath."
        )
        raise _error(f"{path}.spec.containers[{contract.container}].volumeMounts", message)


def _container(contract: Contract, spec: Mapping[str, Any]) -> dict[str, Any] | None:
    return next(iter(_items(spec, "containers", "name", contract.container)), None)


def _items(of: Mapping[str, Any], name: str, key: str, value: str) -> list[dict[str, Any]]:
    return [item for item in of.get(name) or () if item.get(key) == value]


def _mounts(contract: Contract, container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    def covers(mount: Mapping[str, Any]) -> bool:
        folder = posixpath.normpath("/" + str(mount["mountPath"]).lstrip("/"))
        return folder == contract.folder or folder.startswith(f"{contract.folder}/")

    return [mount for mount in container.get("volumeMounts") or () if covers(mount)]


def _error(path: str, what: str) -> SpecError:
    return SpecError(f"{path}: {what}", reason=REASON)
