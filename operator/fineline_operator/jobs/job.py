"""The Job of a plan: an index for each slice. It is made once and never applied again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fineline.plan import PlanFacts
from fineline.resources import CheckpointEvalSpec
from fineline_operator.evaluations.observed import EvaluationSeen
from fineline_operator.jobs.contract import EVALUATOR
from fineline_operator.jobs.kueue import PRIORITY_LABEL, QUEUE_LABEL
from fineline_operator.jobs.names import job_name
from fineline_operator.jobs.ownership import MADE_FROM_ANNOTATION, PLAN_ANNOTATION, object_metadata
from fineline_operator.jobs.pod_template import pod_template
from fineline_operator.settings import OperatorSettings

TRIES_PER_ATTEMPT = 5
MOST_TRIES = 100
"""The store counts the tries of each unit, and a slice has many units: the Job's own count ends only what fails before
it gets to one."""

SHORTEST_TTL_SECONDS = 300
"""A Job that is gone at once is never seen to have ended."""

EXITS_FOR_GOOD = (3, 4)
"""The evaluator's: failures are recorded, or the spec is wrong. Another try would end the same."""

EXIT_STOPPED = 143
"""The evaluator's: stopped in order, which is nobody's failure."""


def job_body(
    evaluation: EvaluationSeen, facts: PlanFacts, settings: OperatorSettings, *, suspended: bool
) -> dict[str, Any]:
    """The Job as the API takes it. `SpecError` where a pod template can't be meant; needs a spec that could be read."""
    if evaluation.spec is None:
        raise ValueError(f"{evaluation.key}: a spec that can't be read makes no Job")
    spec = evaluation.spec
    name = job_name(evaluation.name, evaluation.uid, facts.retry, facts.digest, facts.slices)
    annotations = {PLAN_ANNOTATION: facts.digest, MADE_FROM_ANNOTATION: made_from(spec)}
    metadata = object_metadata(evaluation.subject, name, annotations)
    if spec.queue_name is not None:
        metadata["labels"][QUEUE_LABEL] = spec.queue_name
        if spec.priority_class_name is not None:
            metadata["labels"][PRIORITY_LABEL] = spec.priority_class_name
    job: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": facts.slices,
        "parallelism": parallelism(spec, facts.slices),
        # No maxFailedIndexes: a slice that fails would end all others.
        "backoffLimitPerIndex": min(spec.pods.attempts * TRIES_PER_ATTEMPT, MOST_TRIES),
        "podFailurePolicy": {"rules": _failure_rules()},
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": ttl_seconds(spec),
        "suspend": suspended,
        "template": pod_template(evaluation, spec, facts, settings),
    }
    if spec.pods.deadline_seconds is not None:
        job["activeDeadlineSeconds"] = spec.pods.deadline_seconds
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job}


def parallelism(spec: CheckpointEvalSpec, completions: int) -> int:
    """How many pods may work at once: never more than there are slices."""
    return min(spec.pods.parallelism, completions)


def ttl_seconds(spec: CheckpointEvalSpec) -> int:
    """How long the finished Job is kept."""
    return max(spec.ttl_seconds_after_finished, SHORTEST_TTL_SECONDS)


def made_from(spec: CheckpointEvalSpec) -> str:
    """A digest of what of the spec can only be applied by another Job: `pods` but for `parallelism`, and the queue.

    A field that is left out and one that is given its default are the same.
    """
    pods = spec.pods.model_dump(mode="json", by_alias=True, exclude={"parallelism"}, exclude_defaults=True)
    values = {"pods": pods, "queueName": spec.queue_name, "priorityClassName": spec.priority_class_name}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _failure_rules() -> list[dict[str, Any]]:
    def exits(action: str, *codes: int) -> dict[str, Any]:
        return {
            "action": action,
            "onExitCodes": {"containerName": EVALUATOR.container, "operator": "In", "values": sorted(codes)},
        }

    # The first rule that fits decides: a pod that is moved away counts for nothing, however it ended.
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        exits("FailIndex", *EXITS_FOR_GOOD),
        exits("Ignore", EXIT_STOPPED),
    ]
