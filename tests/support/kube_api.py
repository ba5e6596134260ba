"""The Kubernetes API as tests speak it: JSON in, JSON out, over pooled connections; no client library between."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

_CONTENT_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
_pools: dict[tuple[str, Path], urllib3.HTTPSConnectionPool] = {}
_pools_lock = threading.Lock()


class ApiError(Exception):
    """The API server said no. `reason` is the machine's word (`NotFound`), `message` the sentence for people."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message


@dataclass(frozen=True)
class KubeApi:
    """One user's way to one API server. Paths are those of the API: `/api/v1/namespaces/team/pods/worker`."""

    endpoint: str
    certificate: Path
    token: str

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self.request("GET", path, query=query)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All objects of a collection."""
        found: list[dict[str, Any]] = self.get(path, **query)["items"]
        return found

    def find(self, path: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        return self.request("POST", path, body, query=query)

    def replace(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        return self.request("PUT", path, body, query=query)

    def patch(self, path: str, body: Any, *, kind: str = "merge", **query: str) -> dict[str, Any]:
        """`kind` is merge, strategic, json or apply."""
        return self.request("PATCH", path, body, query=query, content_type=_CONTENT_TYPES[kind])

    def delete(self, path: str, **query: str) -> None:
        """Deletes what is there; nothing there is fine. `gracePeriodSeconds="0"` and the like go into the query."""
        try:
            self.request("DELETE", path, query=query)
        except ApiError as error:
            if error.status != 404:
                raise

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """The answer's JSON. Raises ApiError where it is no success, urllib3's errors where there is no server."""
        answer = self._pool().request(
            method,
            _with_query(path, query),
            body=None if body is None else json.dumps(body),
            headers=self._headers(content_type),
            retries=False,
            timeout=60,
        )
        if answer.status >= 400:
            raise _error(answer.status, answer.data)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    def watch(self, path: str, *, seconds: int = 300, **query: str) -> Iterator[dict[str, Any]]:
        """Events (`type`, `object`) of a collection until the server ends the watch, `seconds` later at the latest."""
        answer = self._pool().request(
            "GET",
            _with_query(path, {"watch": "true", "timeoutSeconds": str(seconds), **query}),
            headers=self._headers("application/json"),
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=10, read=seconds + 10),
        )
        try:
            if answer.status >= 400:
                raise _error(answer.status, answer.read())
            rest = b""
            for chunk in answer.stream(amt=None):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        finally:
            answer.close()

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": content_type, "User-Agent": "fineline-tests"}

    def _pool(self) -> urllib3.HTTPSConnectionPool:
        with _pools_lock:
            key = (self.endpoint, self.certificate)
            if key not in _pools:
                host, _, port = self.endpoint.removeprefix("https://").partition(":")
                _pools[key] = urllib3.HTTPSConnectionPool(
                    host, int(port), ca_certs=str(self.certificate), maxsize=16, block=False
                )
            return _pools[key]


def _with_query(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _error(status: int, data: bytes) -> ApiError:
    try:
        told = json.loads(data)
        return ApiError(status, told.get("reason", ""), told.get("message", ""))
    except ValueError:
        return ApiError(status, "", data.decode(errors="replace"))
