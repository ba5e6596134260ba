"""The resources of one kind in one namespace of a real API server, as a client writes and reads them."""

from __future__ import annotations

from typing import Any

import pytest

from support.kube_api import ApiError, KubeApi
from support.resources import KIND

NOW = "2026-01-02T03:04:05Z"


class Place:
    """Where resources of a kind are created, changed and refused; the one that is changed is called tiny."""

    def __init__(self, api: KubeApi, namespace: str, kind: str = "CheckpointEval") -> None:
        self.api = api
        self.kind = kind
        self.path = f"/apis/fineline.dev/v1alpha1/namespaces/{namespace}/{KIND[kind].plural}"

    def create(self, values: dict[str, Any], **query: str) -> dict[str, Any]:
        return self.api.create(self.path, values, fieldValidation="Strict", **query)

    def refusal(self, values: dict[str, Any]) -> str:
        with pytest.raises(ApiError) as caught:
            self.create(values, dryRun="All")
        return caught.value.message

    def patch(self, spec: dict[str, Any], **query: str) -> dict[str, Any]:
        return self.api.patch(f"{self.path}/tiny", {"spec": spec}, fieldValidation="Strict", **query)

    def apply_status(self, status: dict[str, Any], writer: str, *, force: bool = False) -> dict[str, Any]:
        body = {"apiVersion": "fineline.dev/v1alpha1", "kind": self.kind, "metadata": {"name": "tiny"}}
        query = {"fieldManager": writer, "force": "true" if force else "false"}
        return self.api.patch(f"{self.path}/tiny/status", body | {"status": status}, kind="apply", **query)


def condition(kind: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": kind, "message": "", "lastTransitionTime": NOW} | more
