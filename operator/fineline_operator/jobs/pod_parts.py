"""What the pods of all of Fineline's Jobs have in common: a template of the operator's own, with others merged over it.

Made so that it passes Pod Security `restricted` as it is: no root, no privileges, no token, a root file system that
can't be written. What can be written are emptyDirs. No credentials but those of the namespace's own Secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fineline.store import StoreEntry, StoreTable
from fineline_operator.jobs.contract import Contract, check
from fineline_operator.jobs.merge import merged
from fineline_operator.jobs.ownership import owned_labels
from fineline_operator.settings import AnalysisSettings, EvaluatorSettings, OperatorSettings, allows
from fineline_operator.telling.subject import Subject

TEMPORARY_FOLDER = "/tmp"  # noqa: S108 - an emptyDir of the pod's own


def pod(
    subject: Subject, program: str, container: Mapping[str, Any], service_account: str | None, **further: Any
) -> dict[str, Any]:
    """A PodTemplateSpec with one container; `further` are fields of its spec."""
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        # A Service called "vllm" would set VLLM_PORT in every pod of its namespace, which vLLM takes for its own.
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        **further,
    }
    if service_account is not None:
        spec["serviceAccountName"] = service_account
    return {"metadata": {"labels": {"app.kubernetes.io/name": program, **owned_labels(subject)}}, "spec": spec}


def container(
    contract: Contract,
    program: EvaluatorSettings | AnalysisSettings,
    arguments: Sequence[str],
    secret: str | None,
    **further: Any,
) -> dict[str, Any]:
    """The container that does the work; a Secret's keys become its variables, and nobody else's."""
    found: dict[str, Any] = {
        "name": contract.container,
        "image": program.image,
        "imagePullPolicy": program.image_pull_policy,
        "command": list(program.command),
        "args": list(arguments),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # The program's own last line; the end of its log where it died before it could write one.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **further,
    }
    if secret is not None:
        found["envFrom"] = [{"secretRef": {"name": secret}}]
    return found


def variables(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """An environment as containers have it."""
    return [{"name": name, "value": value} for name, value in values.items()]


def stores_told(namespace: str, settings: OperatorSettings) -> dict[str, str]:
    """The variable that says how to reach the stores that the namespace may use: no credentials."""
    stores = StoreTable(
        tuple(
            StoreEntry(prefix=store.prefix, endpoint=store.endpoint, region=store.region)
            for store in settings.stores
            if allows(store.namespaces, namespace)
        )
    )
    return {"FINELINE_STORES": stores.to_json()}


def with_templates(
    base: Mapping[str, Any], patches: Iterable[tuple[str, Mapping[str, Any]]], contract: Contract, subject: Subject
) -> dict[str, Any]:
    """The operator's template with others (what each is called in messages, and its values) merged over it.

    `SpecError`, reason TemplateInvalid, names the field of a template that can't be merged, or that takes away what the
    program needs.
    """
    template = dict(base)
    for path, patch in patches:
        template = merged(template, patch, path)
        check(contract, template, base, path)
    template["metadata"] = template.get("metadata") or {}
    template["metadata"]["labels"] = {**(template["metadata"].get("labels") or {}), **owned_labels(subject)}
    return template
