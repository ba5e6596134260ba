"""The evaluator's pods: the operator's template, with the settings' and the evaluation's own merged over it.

What can be written are emptyDirs, whose size follows from the plan's checkpoints. Memory and CPU are left to the
settings' template.
"""

from __future__ import annotations

import math
from typing import Any

from fineline.plan import PlanFacts
from fineline.resources import CheckpointEvalSpec
from fineline_operator.evaluations.observed import EvaluationSeen
from fineline_operator.jobs import pod_parts
from fineline_operator.jobs.contract import EVALUATOR, PLAN_FOLDER, PLAN_VOLUME, container_of
from fineline_operator.jobs.names import plan_names
from fineline_operator.jobs.pod_parts import TEMPORARY_FOLDER
from fineline_operator.settings import OperatorSettings

METRICS_PORT = 9090
SCRATCH_FOLDER = "/scratch"
HOME_FOLDER = "/home/fineline"
CACHE_FOLDER = f"{HOME_FOLDER}/.cache"

_GIB = 1 << 30

ROOM_BYTES = 2 * _GIB
"""Disk for all but checkpoints: compiled requests, kernels, results on their way, logs."""

HUB_BYTES = 8 * _GIB
"""Disk for data sets where they come from the hub: it keeps what it downloaded and what it made of it."""

SHORTEST_GRACE_SECONDS = 60
LONGEST_GRACE_SECONDS = 3600
"""What a pod may get to stop in. A node that is drained waits for it."""

ENDING_SECONDS = 15
"""Of these the last ones are for publishing and for the process's own end."""

KUBERNETES_GRACE_SECONDS = 30
"""What Kubernetes gives where a template says nothing."""


GPU_FLOPS = 5e13
CPU_FLOPS = 2e11
"""Floating-point operations a second that an older card, or a machine without one, gets out of scoring. They only say
how long a pod may take to stop, so they are low rather than high."""


def pod_template(
    evaluation: EvaluationSeen, spec: CheckpointEvalSpec, facts: PlanFacts, settings: OperatorSettings
) -> dict[str, Any]:
    """The PodTemplateSpec of an evaluation's Job.

    `SpecError`, reason TemplateInvalid, names the field of a template that can't be merged, or that takes away what the
    evaluator needs.
    """
    patches = (
        ("settings: evaluator.template", settings.evaluator.template),
        ("spec.pods.template", spec.pods.template),
    )
    base = _base(evaluation, spec, facts, settings)
    template = pod_parts.with_templates(base, patches, EVALUATOR, evaluation.subject)
    # Whoever changes the grace time in a template means the evaluator to use it.
    grace = template["spec"].get("terminationGracePeriodSeconds", KUBERNETES_GRACE_SECONDS)
    container_of(EVALUATOR, template)["args"] = _arguments(
        grace if isinstance(grace, int) else KUBERNETES_GRACE_SECONDS
    )
    return template


def _base(
    evaluation: EvaluationSeen, spec: CheckpointEvalSpec, facts: PlanFacts, settings: OperatorSettings
) -> dict[str, Any]:
    return pod_parts.pod(
        evaluation.subject,
        "fineline-evaluator",
        _container(evaluation.namespace, spec, facts, settings),
        spec.pods.service_account_name,
        terminationGracePeriodSeconds=_grace_seconds(facts, settings),
        volumes=_volumes(evaluation, spec, facts),
    )


def _container(
    namespace: str, spec: CheckpointEvalSpec, facts: PlanFacts, settings: OperatorSettings
) -> dict[str, Any]:
    evaluator = settings.evaluator
    disk = {"ephemeral-storage": _gib(facts.checkpoint_bytes + _room(spec, settings))}
    limits = dict(disk)
    if evaluator.gpu_resource:
        limits[evaluator.gpu_resource] = str(spec.engine.tensor_parallel_size)
    return pod_parts.container(
        EVALUATOR,
        evaluator,
        _arguments(_grace_seconds(facts, settings)),
        spec.pods.secret_name,
        env=_environment(namespace, settings),
        ports=[{"name": "metrics", "containerPort": METRICS_PORT}],
        resources={"requests": disk, "limits": limits},
        volumeMounts=_mounts(spec),
    )


def _arguments(grace_seconds: int) -> list[str]:
    own = max(grace_seconds - ENDING_SECONDS, grace_seconds // 2)
    return [
        "--plan", PLAN_FOLDER, "--scratch", SCRATCH_FOLDER, "--grace-seconds", str(own),
        "--metrics-port", str(METRICS_PORT),
    ]  # fmt: skip


def _environment(namespace: str, settings: OperatorSettings) -> list[dict[str, Any]]:
    """Where to write, who one is, and how to reach the stores that the namespace may use: no credentials."""
    values = {
        **pod_parts.stores_told(namespace, settings),
        "HOME": HOME_FOLDER,
        "TMPDIR": TEMPORARY_FOLDER,
        # The image's user may be any number, of which /etc/passwd knows no name; torch asks for one.
        "USER": "fineline",
        "XDG_CACHE_HOME": CACHE_FOLDER,
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE_FOLDER}/torchinductor",
        "TRITON_CACHE_DIR": f"{CACHE_FOLDER}/triton",
    }
    # An Indexed Job's pods of one index share their host name: the records of tries name the pod itself.
    pod_name = {"name": "HOSTNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return [pod_name, *pod_parts.variables(values)]


def _volumes(evaluation: EvaluationSeen, spec: CheckpointEvalSpec, facts: PlanFacts) -> list[dict[str, Any]]:
    scratch = {"sizeLimit": _gib(facts.checkpoint_bytes + ROOM_BYTES)}
    plan = plan_names(evaluation.name, evaluation.uid, facts.retry, facts.digest, facts.chunks)
    volumes: list[dict[str, Any]] = [
        {"name": PLAN_VOLUME, "projected": {"sources": [{"configMap": {"name": name}} for name in plan]}},
        {"name": "scratch", "emptyDir": scratch},
        {"name": "home", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if _shares_memory(spec):
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
    return volumes


def _mounts(spec: CheckpointEvalSpec) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": PLAN_VOLUME, "mountPath": PLAN_FOLDER, "readOnly": True},
        {"name": "scratch", "mountPath": SCRATCH_FOLDER},
        {"name": "home", "mountPath": HOME_FOLDER},
        {"name": "tmp", "mountPath": TEMPORARY_FOLDER},
    ]
    if _shares_memory(spec):
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - likewise
    return mounts


def _shares_memory(spec: CheckpointEvalSpec) -> bool:
    """Whether several processes share one model, through more memory than a container's 64 MiB of /dev/shm."""
    return spec.engine.tensor_parallel_size > 1


def _room(spec: CheckpointEvalSpec, settings: OperatorSettings) -> int:
    mirrored = spec.suite.datasets is not None or settings.datasets is not None
    return ROOM_BYTES if mirrored else ROOM_BYTES + HUB_BYTES


def _grace_seconds(facts: PlanFacts, settings: OperatorSettings) -> int:
    """The longest unit's time, from its tokens and the model's size: a forward pass takes two operations for each
    parameter and token, and a parameter has two bytes, or more."""
    largest = facts.checkpoint_bytes / min(max(facts.checkpoints, 1), 2)
    speed = GPU_FLOPS * facts.tensor_parallel_size if settings.evaluator.gpu_resource else CPU_FLOPS
    wanted = math.ceil(facts.longest_unit_tokens * largest / speed) + ENDING_SECONDS
    return min(max(wanted, SHORTEST_GRACE_SECONDS), LONGEST_GRACE_SECONDS)


def _gib(size: int) -> str:
    return f"{max(math.ceil(size / _GIB), 1)}Gi"
