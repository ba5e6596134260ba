"""Asks the API server, and nobody else does but the watcher and the Lease. This module alone knows kubernetes' client.

Bodies are plain dicts, read and written by pydantic's JSON: the client's typed models cost more time and memory than
all the rest of a reconcile.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from pydantic_core import from_json, to_json

from fineline import __version__
from fineline.errors import SpecError
from fineline_operator import metrics
from fineline_operator.api_errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
    Unavailable,
    api_error,
)
from fineline_operator.paths import path_of, resource_of

USER_AGENT = f"fineline-operator/{__version__}"
FIELD_MANAGER = "fineline-operator"

IN_FLIGHT = 32
TIMEOUT_SECONDS = 30.0
CONNECT_SECONDS = 5.0
RETRY_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
RETRY_WITHIN_SECONDS = 20.0
RIGHTS_WITHIN_SECONDS = 4.0
RIGHTS_PAUSE_SECONDS = 0.8
"""An API server that has just started may answer before it knows the RBAC rules: so long after a first refusal, and so
often, a right is asked for."""

_JSON = "application/json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LIST_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Body = dict[str, Any]


async def load_configuration(kubeconfig: Path | None = None) -> Configuration:
    """Where the API server is and who asks: a kubeconfig, else that of KUBECONFIG, else the pod's service account.

    Tokens in files and of plug-ins are read anew when they are due. `SpecError` where there is neither.
    """
    configuration = Configuration()
    chosen = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    try:
        if chosen or "KUBERNETES_SERVICE_HOST" not in os.environ:
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=chosen or None, client_configuration=configuration, persist_config=False
            )
        else:
            kubernetes_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (kubernetes_config.ConfigException, OSError, ValueError, KeyError) as error:
        where = chosen or "no --kubeconfig, no KUBECONFIG, and not in a pod"
        raise SpecError(f"the API server's address and credentials can't be read ({where}): {error}") from None
    return configuration


async def authorization(configuration: Configuration) -> dict[str, str]:
    """The header that says who asks; none where a client certificate does."""
    token = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    return {"Authorization": token} if token else {}


def open_session(
    configuration: Configuration, middlewares: Iterable[aiohttp.ClientMiddlewareType] = ()
) -> aiohttp.ClientSession:
    """A session that signs by itself, which the watcher needs: the same certificates, and the token of the moment."""

    async def sign(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers.update(await authorization(configuration))
        return await handler(request)

    return _session(configuration, (sign, *middlewares))


def _session(
    configuration: Configuration, middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = ()
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=RESTClientObject(configuration).ssl_context),
        headers={"User-Agent": USER_AGENT},
        middlewares=middlewares,
        read_bufsize=2**18,
    )


class Api:
    """The API server. Every method raises `ApiError` kinds only; passing faults were tried again for a while before.

    A create is tried again too: where only the first answer was lost, `AlreadyExists` says so, and the caller decides
    whether what is there is its own.
    """

    def __init__(self, configuration: Configuration, *, in_flight: int = IN_FLIGHT) -> None:
        self.host = configuration.host
        self._configuration = configuration
        self._session = _session(configuration)
        self._slots = asyncio.Semaphore(in_flight)
        self._timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, sock_connect=CONNECT_SECONDS)

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, *, metadata_only: bool = False) -> Body:
        """The object. `NotFound` where it, or its whole kind, is not there."""
        return await self._ask("get", "GET", path, accept=_METADATA_ONLY if metadata_only else _JSON)

    async def list(
        self, path: str, *, label_selector: str = "", limit: int = 500, metadata_only: bool = False
    ) -> AsyncIterator[Body]:
        """The items of a collection, read in chunks, so that only one chunk lies in memory.

        Where a chunk's snapshot has expired, the list goes on with what is there now: an item that was made or deleted
        meanwhile may or may not come, and where the API server can only start anew, items may come twice.
        """
        query = {"limit": str(limit)}
        if label_selector:
            query["labelSelector"] = label_selector
        accept = _LIST_METADATA_ONLY if metadata_only else _JSON
        expired = 0
        while True:
            try:
                page = await self._ask("list", "GET", path, query=query, accept=accept)
            except Expired as error:
                expired += 1
                if expired > len(RETRY_PAUSES):
                    raise
                query["continue"] = error.continuation
            else:
                for item in page.get("items") or ():
                    yield item
                query["continue"] = str(page.get("metadata", {}).get("continue") or "")
                if not query["continue"]:
                    return
            if not query["continue"]:
                del query["continue"]

    async def create(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        patience: float = RETRY_WITHIN_SECONDS,
        metadata_only: bool = False,
        strict: bool = True,
    ) -> Body:
        """Make it in the collection `path`; passing faults are tried again for `patience` seconds. `AlreadyExists`
        where the name is taken. `metadata_only` spares the way back of what is known already.

        A field that the API does not know is `Invalid`: by default it would be dropped, and a mistyped word of a pod
        template with it. Not so where it is not `strict`.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict" if strict else "Ignore"}
        accept = _METADATA_ONLY if metadata_only else _JSON
        return await self._ask("create", "POST", path, query=query, body=body, accept=accept, patience=patience)

    async def delete(
        self, path: str, *, uid: str | None = None, propagation: Literal["Background", "Foreground"] = "Background"
    ) -> Body:
        """Delete it; with `uid` only if it is the one that was meant (else `Conflict`). `NotFound` where it is gone."""
        options: Body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        return await self._ask("delete", "DELETE", path, body=options)

    async def merge_patch(self, path: str, body: Mapping[str, Any]) -> Body:
        return await self._ask(
            "patch", "PATCH", path, query={"fieldManager": FIELD_MANAGER}, body=body,
            content_type="application/merge-patch+json",
        )  # fmt: skip

    async def apply(
        self, path: str, body: Mapping[str, Any], *, field_manager: str = FIELD_MANAGER, metadata_only: bool = False
    ) -> Body:
        """Server-side apply, by force: what the operator says of its own fields holds."""
        return await self._ask(
            "patch", "PATCH", path, query={"fieldManager": field_manager, "force": "true"}, body=body,
            content_type="application/apply-patch+yaml", accept=_METADATA_ONLY if metadata_only else _JSON,
        )  # fmt: skip

    async def _ask(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = _JSON,
        accept: str = _JSON,
        patience: float = RETRY_WITHIN_SECONDS,
    ) -> Body:
        """One request with its retries: all of them are idempotent, but for creates (see `Api`)."""
        url = f"{self.host}{path}?{urlencode(query)}" if query else f"{self.host}{path}"
        loop = asyncio.get_running_loop()
        until, rights_until = loop.time() + patience, None
        pauses = iter(RETRY_PAUSES)
        resource = resource_of(path)
        data = to_json(body) if body is not None else None
        while True:
            headers = {"Accept": accept, "Content-Type": content_type}
            code = "none"
            try:
                async with self._slots:
                    status, answer, retry_after = await self._send(method, url, headers, data)
                code = str(status)
                if 200 <= status <= 299:
                    return answer
                raise api_error(f"{verb} {path}", status, answer, retry_after)
            except (TooMany, Unavailable) as error:
                pause = next(pauses, None)
                wait = max(pause or 0.0, error.retry_after or 0.0) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
                if pause is None or error.status == 401 or loop.time() + wait > until:
                    raise
            except Forbidden as error:
                wait = RIGHTS_PAUSE_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
                rights_until = rights_until or loop.time() + RIGHTS_WITHIN_SECONDS
                if not error.by_rights or loop.time() + wait > rights_until:
                    raise
            finally:
                metrics.API_REQUESTS.labels(verb, resource, code).inc()
            await asyncio.sleep(wait)

    async def _send(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None
    ) -> tuple[int, Body, str | None]:
        where = self._configuration
        try:
            headers.update(await authorization(where))
            async with self._session.request(
                method, url, headers=headers, data=data, timeout=self._timeout,
                proxy=where.proxy, proxy_headers=where.proxy_headers, server_hostname=where.tls_server_name,
            ) as response:  # fmt: skip
                said = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError, kubernetes_config.ConfigException) as error:
            words = str(error) or type(error).__name__
            raise Unavailable(f"{method} {url}: no answer: {words}") from None
        try:
            answer = from_json(said, cache_strings="keys") if said else {}
        except ValueError:  # a proxy's page
            answer = {}
        return response.status, answer if isinstance(answer, dict) else {}, response.headers.get("Retry-After")


__all__ = [
    "AlreadyExists",
    "Api",
    "ApiError",
    "Body",
    "Configuration",
    "Conflict",
    "Expired",
    "Forbidden",
    "Invalid",
    "NotFound",
    "TooMany",
    "Unavailable",
    "load_configuration",
    "open_session",
    "path_of",
]
