"""What a template may not take away from the evaluator's pods: its slice's way in, and how its end is understood."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from fineline.errors import SpecError
from fineline_operator.jobs.merge import REASON

CONTAINER = "evaluator"
PLAN_VOLUME = "plan"
PLAN_FOLDER = "/plan"

_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"

_DECIDED_ELSEWHERE = {
    "restartPolicy": "can't be set: it is Never, so that the Job sees how each pod ended. Remove it.",
    "activeDeadlineSeconds": "can't be set: each try would end alike. Use spec.pods.deadlineSeconds.",
}
_CONTAINERS_OWN = {
    "command": "can't be set: the Job runs the evaluator. Remove it; `image` may name another build of it.",
    "args": "can't be set: the operator tells the evaluator where its plan is. Remove it.",
    "restartPolicy": "can't be set: the Job must see how each try ended. Remove it.",
    "restartPolicyRules": "can't be set: the Job must see how each try ended. Remove it.",
    "terminationMessagePath": "can't be set: the evaluator's last words are read from there. Remove it.",
}


def check(template: Mapping[str, Any], base: Mapping[str, Any], path: str) -> None:
    """Compares a merged template with the operator's own. `SpecError`, reason TemplateInvalid, names the field below
    `path` that is to blame."""
    spec = template.get("spec") or {}
    for name, words in _DECIDED_ELSEWHERE.items():
        if spec.get(name) != base["spec"].get(name):
            raise _error(f"{path}.spec.{name}", words)
    evaluator, original = _container(spec), _container(base["spec"])
    if evaluator is None or original is None:
        raise _error(f"{path}.spec.containers", f"takes the container {CONTAINER} away, which does the work")
    here = f"{path}.spec.containers[{CONTAINER}]"
    for name, words in _CONTAINERS_OWN.items():
        if evaluator.get(name) != original.get(name):
            raise _error(f"{here}.{name}", words)
    if any(item["name"] == _INDEX_VARIABLE for item in evaluator.get("env") or ()):
        raise _error(f"{here}.env[{_INDEX_VARIABLE}]", "can't be set: the Job tells each pod its slice. Remove it.")
    if _items(spec, "volumes", "name", PLAN_VOLUME) != _items(base["spec"], "volumes", "name", PLAN_VOLUME):
        raise _error(f"{path}.spec.volumes[{PLAN_VOLUME}]", "can't be changed: it holds the plan. Choose another name.")
    if _plan_mounts(evaluator) != _plan_mounts(original):
        message = f"can't be changed at {PLAN_FOLDER} or below it: the plan is mounted there. Choose another mountPath."
        raise _error(f"{here}.volumeMounts", message)


def evaluator_of(template: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluator's container in a template that was checked."""
    found = _container(template["spec"])
    if found is None:
        raise KeyError(CONTAINER)
    return found


def _container(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    return next(iter(_items(spec, "containers", "name", CONTAINER)), None)


def _items(of: Mapping[str, Any], field: str, key: str, value: str) -> list[dict[str, Any]]:
    return [item for item in of.get(field) or () if item.get(key) == value]


def _plan_mounts(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    def covers(mount: Mapping[str, Any]) -> bool:
        folder = posixpath.normpath("/" + str(mount["mountPath"]).lstrip("/"))
        return folder == PLAN_FOLDER or folder.startswith(f"{PLAN_FOLDER}/")

    return [mount for mount in container.get("volumeMounts") or () if covers(mount)]


def _error(path: str, what: str) -> SpecError:
    return SpecError(f"{path}: {what}", reason=REASON)
