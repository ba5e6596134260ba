"""What is kept of a pod's body: a small value with at most one trouble in it, so that thousands fit in memory.

The events of a pod are not read (there is no right to), so what only they say, such as which volume can't be mounted,
is told from what the pod's status gives away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fineline.resources.reasons import Reason
from fineline_operator.evaluations.observed import PodTrouble
from fineline_operator.jobs.ownership import OWNER_LABEL
from fineline_operator.jobs.seen import moment

MAX_MESSAGE = 800

TOLD_AFTER = {
    # A pod that is still there so long after its grace time hangs.
    Reason.NODE_LOST.value: timedelta(seconds=30),
    # An evaluator's image has several GB, which may take so long to come.
    Reason.CONTAINER_CREATING.value: timedelta(minutes=5),
}
"""What only is a trouble when it lasts."""

EXIT_FAILURES_RECORDED = 3
"""The evaluator did all it could; failures of units are in the store."""

EXIT_STOPPED = 143
"""The evaluator stopped in order."""

EXIT_KILLED = 137
"""The kernel's word for a kill."""

_TOLD_AS_IT_IS = {
    Reason.INVALID_IMAGE_NAME, Reason.ERR_IMAGE_NEVER_PULL, Reason.CREATE_CONTAINER_CONFIG_ERROR,
    Reason.CREATE_CONTAINER_ERROR, Reason.RUN_CONTAINER_ERROR, Reason.IMAGE_PULL_BACK_OFF, Reason.ERR_IMAGE_PULL,
}  # fmt: skip

_CANNOT_START = {"StartError", "ContainerCannotRun"}
_STARTING = {"", "ContainerCreating", "PodInitializing"}

_INDEX = "batch.kubernetes.io/job-completion-index"
_RESTARTS = "batch.kubernetes.io/job-index-ignored-failure-count"
_JOB = "batch.kubernetes.io/job-name"

Conditions = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class PodProjection:
    """One pod. `trouble` counts from `told_from` on; `done`: its slice has ended; `failed`: it failed itself.

    `restarts` is how many pods of this slice were replaced before it without counting as failed. `deleted`: somebody
    asked for its end.
    """

    name: str
    owner: str
    job: str
    index: int
    created: datetime
    restarts: int
    done: bool
    failed: bool
    trouble: PodTrouble | None
    told_from: datetime
    deleted: bool = False


def pod_projection(body: Mapping[str, Any]) -> PodProjection:
    """What is kept of a pod as the API server gave it."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    created = moment(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC)
    trouble = _trouble(body, created)
    phase = status.get("phase")
    return PodProjection(
        name=metadata["name"],
        owner=labels.get(OWNER_LABEL, ""),
        job=labels.get(_JOB, ""),
        index=_number(annotations.get(_INDEX), -1),
        created=created,
        restarts=_number(annotations.get(_RESTARTS), 0),
        done=phase == "Succeeded" or (phase == "Failed" and _exit_code(status) == EXIT_FAILURES_RECORDED),
        failed=phase == "Failed",
        trouble=trouble,
        told_from=created if trouble is None else trouble.since + TOLD_AFTER.get(trouble.reason, timedelta()),
        deleted="deletionTimestamp" in metadata,
    )


def last_words(body: Mapping[str, Any]) -> str:
    """Why a pod failed, in its program's last line, else as Kubernetes says it; empty for one that did not fail."""
    trouble = pod_projection(body).trouble
    if trouble is None:
        return ""
    lines = str(_ended_container(body.get("status") or {})[1].get("message") or "").splitlines()
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return _bounded(said) if said and trouble.reason == Reason.POD_FAILED else trouble.message


def _trouble(body: Mapping[str, Any], created: datetime) -> PodTrouble | None:
    """At most one trouble of the pod."""
    metadata, status = body["metadata"], body.get("status") or {}
    conditions: Conditions = {item["type"]: item for item in status.get("conditions") or ()}
    match status.get("phase"):
        case "Succeeded":
            return None
        case "Failed":
            return _failure(body, conditions, created)
    pod = metadata["name"]
    # The time of a deletion has the grace time in it.
    lost = _lost_since(status, conditions, created) or moment(metadata.get("deletionTimestamp"))
    if lost is not None:
        return PodTrouble(pod, Reason.NODE_LOST.value, _lost(body), lost)
    return _not_starting(body, conditions, created)


def _not_starting(body: Mapping[str, Any], conditions: Conditions, created: datetime) -> PodTrouble | None:
    """What keeps a pod's containers from their start."""
    pod, status = body["metadata"]["name"], body.get("status") or {}
    since = _since(conditions, "PodScheduled", created)
    if (waiting := _waiting(status)) is not None:
        reason, message = waiting
        return PodTrouble(pod, reason.value, _bounded(message), since)
    if any("running" in (item.get("state") or {}) for item in _container_statuses(status)):
        return None
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") != "True":
        # Gates are somebody's purpose; without a word the scheduler has not looked yet.
        if scheduled.get("reason") != "Unschedulable":
            return None
        return PodTrouble(pod, Reason.UNSCHEDULABLE.value, _bounded(str(scheduled.get("message") or "")), since)
    if _is(conditions, "PodReadyToStartContainers", "False"):
        # The kubelet mounts volumes, then sets up the network, then says that containers can start.
        since = _since(conditions, "PodReadyToStartContainers", since)
        message = f"its volumes are not mounted, or its network is not ready{_volumes(body)}"
        return PodTrouble(pod, Reason.FAILED_MOUNT.value, _bounded(message), since)
    message = "its containers have not started for 5 min: most often a large image that comes slowly"
    return PodTrouble(pod, Reason.CONTAINER_CREATING.value, message, since)


def _lost_since(status: Mapping[str, Any], conditions: Conditions, created: datetime) -> datetime | None:
    """Since when a pod's node does not answer. Then its pods are marked as not ready, and nothing else changes."""
    containers = status.get("containerStatuses") or ()
    marked = _is(conditions, "Ready", "False") and _is(conditions, "ContainersReady", "True")
    gated = conditions.get("Ready", {}).get("reason") == "ReadinessGatesNotReady"
    if status.get("reason") == "NodeLost" or (
        marked and not gated and containers and all(item.get("ready") for item in containers)
    ):
        return _since(conditions, "Ready", created)
    return None


def _failure(body: Mapping[str, Any], conditions: Conditions, created: datetime) -> PodTrouble | None:
    """Why a pod failed; None where that is in order, or told as failures of units."""
    pod, status = body["metadata"]["name"], body.get("status") or {}
    name, ended = _ended_container(status)
    since = moment(ended.get("finishedAt")) or _since(conditions, "Ready", created)

    def trouble(reason: Reason, message: str) -> PodTrouble:
        return PodTrouble(pod, reason.value, _bounded(message), since)

    code = ended.get("exitCode")
    words = " ".join(str(ended.get("message") or "").split())
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(body, name)
        return trouble(Reason.OOM_KILLED, f"container {name} used more memory than {limit} and was killed")
    if _is(conditions, "DisruptionTarget", "True"):
        return None  # moved away on purpose: counted as a restart
    if status.get("reason"):
        reason = Reason.POD_EVICTED if status["reason"] == "Evicted" else Reason.POD_FAILED
        return trouble(reason, f"{status['reason']}: {status.get('message') or 'no message'}")
    if ended.get("reason") in _CANNOT_START:
        return trouble(Reason.RUN_CONTAINER_ERROR, f"container {name}: {words or ended['reason']}")
    if code in (EXIT_FAILURES_RECORDED, EXIT_STOPPED):
        return None
    if code == EXIT_KILLED and not words:
        words = "killed from outside, which is most often the node running out of memory"
    return trouble(Reason.POD_FAILED, f"container {name or '?'} ended with {code}: {words or 'it left no message'}")


def _waiting(status: Mapping[str, Any]) -> tuple[Reason, str] | None:
    """The reason and message of a container that waits for more than its start."""
    for container in _container_statuses(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        said = waiting.get("reason") or ""
        if said in _STARTING:
            continue
        message = f"container {container.get('name')}: {waiting.get('message') or said}"
        known = next((reason for reason in _TOLD_AS_IT_IS if reason == said), None)
        if known is not None:
            return known, message
        return Reason.POD_FAILED, message if said in message else f"{message} ({said})"
    return None


def _ended_container(status: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The container that failed the pod: one that was out of memory, else the first that ended badly, for what ends
    behind it was stopped."""
    ended = [
        (str(item.get("name")), terminated)
        for item in _container_statuses(status)
        if (terminated := _terminated(item)) is not None and terminated.get("exitCode") != 0
    ]
    for name, terminated in ended:
        if terminated.get("reason") == "OOMKilled":
            return name, terminated
    return min(ended, key=lambda item: str(item[1].get("finishedAt") or ""), default=("", {}))


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for state in ("state", "lastState"):
        terminated: Mapping[str, Any] | None = (container.get(state) or {}).get("terminated")
        if terminated is not None:
            return terminated
    return None


def _exit_code(status: Mapping[str, Any]) -> int | None:
    code: int | None = _ended_container(status)[1].get("exitCode")
    return code


def _container_statuses(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _lost(body: Mapping[str, Any]) -> str:
    node = (body.get("spec") or {}).get("nodeName")
    return f"the node {node} does not answer" if node else "its node does not answer"


def _volumes(body: Mapping[str, Any]) -> str:
    """What its volumes need to be there: what is missing is among them."""
    names: dict[str, list[str]] = {"ConfigMap": [], "Secret": [], "PersistentVolumeClaim": []}
    for volume in (body.get("spec") or {}).get("volumes") or ():
        sources: Sequence[Mapping[str, Any]] = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            for kind, field, key in (
                ("ConfigMap", "configMap", "name"),
                ("Secret", "secret", "secretName"),
                ("Secret", "secret", "name"),
                ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
            ):
                name = (source.get(field) or {}).get(key)
                if name and not (source.get(field) or {}).get("optional"):
                    names[kind].append(name)
    # Those that a person named come first: a plan's own ConfigMaps are many, and there.
    listed = [
        f"{kind} {name}"
        for kind in ("Secret", "PersistentVolumeClaim", "ConfigMap")
        for name in dict.fromkeys(names[kind])
    ]
    if not listed:
        return ""
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return f"; it needs {', '.join(listed[:8])}{more}"


def _memory_limit(body: Mapping[str, Any], container: str) -> str:
    spec = body.get("spec") or {}
    for item in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        limit = ((item.get("resources") or {}).get("limits") or {}).get("memory")
        if item.get("name") == container and limit is not None:
            return f"its limit of {limit}"
    return "there was"


def _is(conditions: Conditions, kind: str, status: str) -> bool:
    return conditions.get(kind, {}).get("status") == status


def _since(conditions: Conditions, kind: str, otherwise: datetime) -> datetime:
    return moment(conditions.get(kind, {}).get("lastTransitionTime")) or otherwise


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 9 else otherwise


def _bounded(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…"
