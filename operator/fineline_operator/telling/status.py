"""Writes a status: whole, by server-side apply."""

from __future__ import annotations

from typing import Any

from fineline.resources.status import StatusModel
from fineline_operator.api import Api, NotFound
from fineline_operator.paths import Resource, path_of
from fineline_operator.telling.subject import API_VERSION, Subject


def status_body(subject: Subject, status: StatusModel) -> dict[str, Any]:
    """The body of the server-side apply. The uid in it makes sure that it is not a namesake that is written to."""
    return {
        "apiVersion": API_VERSION,
        "kind": subject.kind,
        "metadata": {"name": subject.name, "namespace": subject.namespace, "uid": subject.uid},
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


async def apply_status(api: Api, resource: Resource, subject: Subject, status: StatusModel) -> bool:
    """Whether it was written: not where the resource is gone.

    `Conflict` where others wrote at the same moment, or a namesake stands there by now: to be looked at anew.
    """
    path = path_of(resource, subject.namespace, subject.name, "status")
    try:
        await api.apply(path, status_body(subject, status), metadata_only=True)
    except NotFound:
        return False
    return True
