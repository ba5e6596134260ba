"""What a cluster says of a CheckpointEval, as plain values; read leniently, whichever operator wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fineline.resources.fields import GROUP
from fineline.resources.status import CheckpointEvalStatus, Condition
from fineline_cli.output import Row

RETRY_ANNOTATION = f"{GROUP}/retry"

MAX_ITEMS = 16
"""How many items are kept of a list that can't be read as it is."""

_TIME: TypeAdapter[datetime] = TypeAdapter(datetime)


@dataclass(frozen=True)
class Reported:
    """A CheckpointEval with its status. `retry` is the annotation's value, empty where it was never set."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    deleting: bool
    run: str
    suite: str
    queue: str
    suspended: bool
    retry: str
    status: CheckpointEvalStatus

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and name, to sort by."""
        return self.namespace, self.name

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def succeeded(self) -> str:
        """True, False or Unknown; empty where no operator has looked at it yet."""
        condition = self.status.condition("Succeeded")
        return "" if condition is None else condition.status

    @property
    def stalled(self) -> bool:
        """Whether a person must act before it goes on."""
        condition = self.status.condition("Stalled")
        return condition is not None and condition.status == "True"

    @property
    def told(self) -> Condition | None:
        """The condition whose reason and message say how it stands; None where no operator has looked at it yet."""
        return self.status.condition("Succeeded") or self.status.condition("Stalled")

    @property
    def to_mend(self) -> Condition | None:
        """The condition that says what a person must do; None where nobody must."""
        if self.retry_pending:
            return None
        if self.stalled:
            return self.status.condition("Stalled")
        return self.status.condition("Succeeded") if self.succeeded == "False" else None

    @property
    def retry_pending(self) -> bool:
        """Whether it ended, and a further try was asked for that the operator has not taken up yet."""
        return self.status.finished and bool(self.retry) and self.retry != (self.status.retry or "")

    @property
    def finished(self) -> bool:
        """Whether it ended, well or not, and no further try was asked for."""
        return self.status.finished and not self.retry_pending


def reported(body: dict[str, Any]) -> Reported:
    """The values of an object as the API server sends it."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    suite = spec.get("suite") or {}
    return Reported(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        created=_TIME.validate_python(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        run=str((spec.get("run") or {}).get("name", "")),
        suite=str(suite.get("name") or suite.get("configMap") or ""),
        queue=str(spec.get("queueName") or ""),
        suspended=bool(spec.get("suspend")),
        retry=str((metadata.get("annotations") or {}).get(RETRY_ANNOTATION, "")),
        status=lenient_status(body.get("status")),
    )


def lenient_status(values: object) -> CheckpointEvalStatus:
    """The status without what can't be read: an item of a list goes alone, any other field as a whole."""
    fields = values if isinstance(values, dict) else {}
    status = _read(fields)
    if status is not None:
        return status
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if _read({name: value}) is not None:
            kept[name] = value
        elif isinstance(value, list):
            kept[name] = [item for item in value if _read({name: [item]}) is not None][:MAX_ITEMS]
    return _read(kept) or CheckpointEvalStatus()


def _read(fields: dict[str, Any]) -> CheckpointEvalStatus | None:
    try:
        return CheckpointEvalStatus.model_validate(fields)
    except ValidationError:
        return None


def reported_row(evaluation: Reported) -> Row:
    """All of it under stable names, for JSON and CSV."""
    status = evaluation.status
    plan, progress, told = status.plan, status.progress, evaluation.told
    return {
        "namespace": evaluation.namespace,
        "name": evaluation.name,
        "run": evaluation.run,
        "suite": evaluation.suite,
        "queue": evaluation.queue or None,
        "suspended": evaluation.suspended,
        "checkpoints": plan.checkpoints if plan else None,
        "put_aside": plan.put_aside if plan else None,
        "units": plan.units if plan else None,
        "reused": plan.reused if plan else None,
        "slices": plan.slices if plan else None,
        "published": progress.published if progress else None,
        "failed": progress.failed if progress else None,
        "of": progress.of if progress else None,
        "progress": progress.text if progress else None,
        "succeeded": evaluation.succeeded or None,
        "reason": told.reason if told else None,
        "message": told.message if told else None,
        "stalled": evaluation.stalled,
        "finished": evaluation.finished,
        "retry_pending": evaluation.retry_pending,
        "deleting": evaluation.deleting,
        "created": _text(evaluation.created),
        "started": _text(status.start_time),
        "completed": _text(status.completion_time),
        "generation": evaluation.generation,
        "observed_generation": status.observed_generation,
        "job": status.job_name,
        "results": status.results,
        "conditions": [
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "since": _text(condition.last_transition_time),
            }
            for condition in status.conditions
        ],
        "failures": [failure.model_dump() for failure in status.failures],
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
