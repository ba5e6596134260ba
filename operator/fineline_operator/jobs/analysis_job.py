"""The Job of one analysis: one pod, made once and never applied again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fineline.resources import TrajectoryAnalysisSpec
from fineline.resources.fields import GROUP
from fineline_operator.jobs import pod_parts
from fineline_operator.jobs.contract import ANALYSIS
from fineline_operator.jobs.names import analysis_job_name
from fineline_operator.jobs.ownership import object_metadata
from fineline_operator.jobs.pod_parts import TEMPORARY_FOLDER
from fineline_operator.settings import AnalysisSettings, OperatorSettings
from fineline_operator.telling.subject import Subject

COMMITS_ANNOTATION = f"{GROUP}/commits"
COMMITS_DIGEST_ANNOTATION = f"{GROUP}/commits-digest"
SETTINGS_DIGEST_ANNOTATION = f"{GROUP}/settings-digest"
OCCASION_ANNOTATION = f"{GROUP}/occasion"
ATTEMPT_ANNOTATION = f"{GROUP}/attempt"

TRIES_AGAIN = 2
"""So often a pod that failed is replaced. One that is moved away counts for nothing."""

DEADLINE_SECONDS = 6 * 3600
"""An analysis of millions of results takes minutes: what takes longer hangs, or can't start."""

TTL_SECONDS = 7 * 86_400
"""A finished Job is kept so long; of each analysis `history` of them."""

EXIT_FOR_GOOD = 2
"""The program's: what it was told can't be meant. Another try would end the same."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an analysis is asked for, and the results that were there when it was. `commits` counts them.

    `occasion` names what was published before, so that results that return to an earlier set are analysed again.
    `attempt` is 1, and one more with each Job that directly follows one of the same results which did not publish them.
    """

    results_uri: str
    commits: int
    commits_digest: str
    settings_digest: str
    occasion: str = ""
    attempt: int = 1


def analysis_name(subject: Subject) -> str:
    """What the analysis is called among the results. Namespaces have no dots, so two analyses never share it."""
    return f"{subject.namespace}.{subject.name}"


def analysis_template(
    subject: Subject, spec: TrajectoryAnalysisSpec, results_uri: str, settings: OperatorSettings
) -> dict[str, Any]:
    """The PodTemplateSpec of its Jobs. `SpecError` where a pod template can't be meant; needs `settings.analysis`."""
    analysis = _set(settings)
    folder = {"name": "tmp", "mountPath": TEMPORARY_FOLDER}
    values = {
        **pod_parts.stores_told(subject.namespace, settings),
        "HOME": TEMPORARY_FOLDER,
        "TMPDIR": TEMPORARY_FOLDER,
        "USER": "fineline",
    }
    container = pod_parts.container(
        ANALYSIS,
        analysis,
        _arguments(subject, spec, results_uri),
        spec.pods.secret_name,
        env=pod_parts.variables(values),
        volumeMounts=[folder],
    )
    base = pod_parts.pod(
        subject,
        "fineline-analysis",
        container,
        spec.pods.service_account_name,
        volumes=[{"name": folder["name"], "emptyDir": {}}],
    )
    patches = (("settings: analysis.template", analysis.template), ("spec.pods.template", spec.pods.template))
    return pod_parts.with_templates(base, patches, ANALYSIS, subject)


def digest_of_template(template: Mapping[str, Any], generation: int) -> str:
    """Names how an analysis is made: another one is another try, where one failed."""
    text = json.dumps([template, generation], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def analysis_job_body(
    subject: Subject, inputs: Inputs, template: Mapping[str, Any], template_digest: str
) -> dict[str, Any]:
    """The Job as the API takes it: the same inputs, made in the same way, have the same name."""
    name = analysis_job_name(
        subject.name,
        subject.uid,
        inputs.commits_digest,
        inputs.settings_digest,
        template_digest,
        inputs.occasion,
    )
    annotations = {
        COMMITS_ANNOTATION: str(inputs.commits),
        COMMITS_DIGEST_ANNOTATION: inputs.commits_digest,
        SETTINGS_DIGEST_ANNOTATION: inputs.settings_digest,
        OCCASION_ANNOTATION: inputs.occasion,
        ATTEMPT_ANNOTATION: str(inputs.attempt),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": object_metadata(subject, name, annotations),
        "spec": {
            "backoffLimit": TRIES_AGAIN,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules()},
            "template": dict(template),
        },
    }


def _arguments(subject: Subject, spec: TrajectoryAnalysisSpec, results_uri: str) -> list[str]:
    said: list[tuple[str, str]] = [
        ("--results", results_uri),
        ("--output", results_uri),
        ("--name", analysis_name(subject)),
        *(("--run", run) for run in spec.runs.names or ()),
        *(("--family", family) for family in spec.runs.families or ()),
        *(("--horizon", f"{run}={tokens}") for run, tokens in sorted(spec.horizon.items())),
        *(("--reference", uri) for uri in spec.references),
    ]
    # Kubernetes puts variables in for $(NAME), and a URI may have that in it.
    return [part.replace("$", "$$") for option in said for part in option]


def _set(settings: OperatorSettings) -> AnalysisSettings:
    if settings.analysis is None:
        raise ValueError("settings without an image for analyses make no Job")
    return settings.analysis


def _failure_rules() -> list[dict[str, Any]]:
    exits = {"containerName": ANALYSIS.container, "operator": "In", "values": [EXIT_FOR_GOOD]}
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": exits},
    ]
