"""The one module of the command that knows the Kubernetes client: CheckpointEvals read, watched and annotated.

Every request has a time-out, and every failure is a `ClusterError` that says in one line what to do.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from fineline.errors import ClusterError
from fineline.resources.fields import GROUP, VERSION
from fineline_cli.kubeconfig import Target, find_target

PLURAL = "checkpointevals"
RESOURCE = f"{PLURAL}.{GROUP}"
INSTALL = "fineline crds | kubectl apply --server-side -f -"

CHUNK = 250
"""Objects per request of a listing."""

SUGGESTED = 5
"""How many names are told to a person whose own is not there."""

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
BUSY_TRIES = 3
WATCH_SECONDS = 30
"""A watch is ended by the server after so long, so that one which was cut without a word is noticed soon after."""

Body = dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """All objects at one version of the store, from which a watch can go on."""

    bodies: tuple[Body, ...]
    version: str


@dataclass(frozen=True)
class Change:
    """What a watch tells. A BOOKMARK carries nothing but a version to go on from."""

    kind: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    body: Body

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
    """The cluster that is meant, as kubectl would find it. Nothing is asked of it yet."""
    return Cluster(find_target(kubeconfig, context))


class Cluster:
    """A cluster's CheckpointEvals. `namespace=None` means all namespaces."""

    def __init__(self, target: Target) -> None:
        self.target = target
        settings = _settings(target)
        self._where = f"{target} ({settings.host})"
        self._api = client.ApiClient(settings)
        self._objects = client.CustomObjectsApi(self._api)

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""
        return self.target.namespace

    def evaluations(self, namespace: str | None, name: str | None = None) -> Listing:
        """All of them, or the one of that name if it is there; read in chunks."""
        bodies: list[Body] = []
        token: str | None = None
        while True:
            with self._told("list", namespace):
                page = self._ask_for(
                    namespace,
                    limit=CHUNK,
                    _continue=token,
                    field_selector=f"metadata.name={name}" if name else None,
                    _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                )
            bodies += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return Listing(tuple(bodies), str(page["metadata"]["resourceVersion"]))

    def evaluation(self, namespace: str, name: str) -> Body:
        """That one. Reason NotFound where it or its namespace is not there; the message names what is."""
        try:
            with self._told("get", namespace, name):
                found = self._objects.get_namespaced_custom_object(
                    GROUP, VERSION, namespace, PLURAL, name, _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS)
                )
        except ClusterError as error:
            if error.reason != "NotFound":
                raise
            self.check_namespace(namespace)
            raise ClusterError(f"{error}; {self._others(namespace, name)}", reason="NotFound") from None
        return cast("Body", found)

    def _others(self, namespace: str, name: str) -> str:
        """What there is instead of `name`, in words."""
        try:
            names = [body["metadata"]["name"] for body in self.evaluations(namespace).bodies]
        except ClusterError:
            return "look for it in all namespaces with: fineline status -A"
        close = difflib.get_close_matches(name, names, n=1)
        if close:
            return f"did you mean {close[0]}?"
        if not names:
            return "there is none at all; look in all namespaces with: fineline status -A"
        return f"there are {', '.join(names[:SUGGESTED])}{' and more' if len(names) > SUGGESTED else ''}"

    def watch(self, namespace: str | None, name: str | None, version: str) -> Iterator[Change]:
        """Changes after that version, until the server ends the watch, which it does after WATCH_SECONDS. A cut
        connection and a version that is too old are errors that pass: list again."""
        with self._told("watch", namespace, name):
            stream = self._ask_for(
                namespace,
                watch=True,
                allow_watch_bookmarks=True,
                resource_version=version,
                timeout_seconds=WATCH_SECONDS,
                field_selector=f"metadata.name={name}" if name else None,
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS, WATCH_SECONDS + ANSWER_SECONDS / 2),
            )
            try:
                for line in stream:
                    if line.strip():
                        yield self._change(json.loads(line))
            finally:
                stream.close()

    def annotate(self, body: Body, name: str, value: str) -> Body:
        """Sets one annotation on the object as it was read; reason Conflict where it has changed since."""
        metadata = body["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "annotations": {name: value}}}
        with self._told("patch", metadata["namespace"], metadata["name"]):
            changed = self._objects.patch_namespaced_custom_object(
                GROUP,
                VERSION,
                metadata["namespace"],
                PLURAL,
                metadata["name"],
                patch,
                field_manager="fineline",
                _content_type="application/merge-patch+json",
                _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            )
        return cast("Body", changed)

    def check_namespace(self, namespace: str) -> None:
        """Reason NotFound where it is not there; silent where that can't be seen."""
        try:
            client.CoreV1Api(self._api).read_namespace(namespace, _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
        except ApiException as error:
            if error.status == 404:
                message = f"{self.target}: no namespace {namespace}; name another with -n, or look in all with -A"
                raise ClusterError(message, reason="NotFound") from None
        except urllib3.exceptions.HTTPError:
            return

    def _ask_for(self, namespace: str | None, **options: Any) -> Any:
        if namespace is None:
            return self._objects.list_cluster_custom_object(GROUP, VERSION, PLURAL, **options)
        return self._objects.list_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, **options)

    def _change(self, event: Body) -> Change:
        if event["type"] == "ERROR":
            status = event["object"]
            passing = status.get("code") == 410 or status.get("code", 500) >= 429
            raise ClusterError(
                f"{self._where}: the watch ended: {status.get('message')}", reason="Expired", permanent=not passing
            )
        return Change(event["type"], event["object"])

    @contextmanager
    def _told(self, verb: str, namespace: str | None, name: str | None = None) -> Iterator[None]:
        """Turns what the client raises into one line."""
        try:
            yield
        except ApiException as error:
            raise self._refused(error, verb, namespace, name) from None
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from None
        except (json.JSONDecodeError, KeyError, OSError) as error:
            message = f"{self._where}: does not answer as a Kubernetes API does: {type(error).__name__}"
            raise ClusterError(message, reason="Unreachable", permanent=False) from None

    def _refused(self, error: ApiException, verb: str, namespace: str | None, name: str | None) -> ClusterError:
        status, code = _status(error), error.status or 0
        told = " ".join(str(status.get("message") or error.reason or "").split())
        place = f"namespace {namespace}" if namespace else "all namespaces"
        passing = code in (409, 410, 429) or code >= 500
        match code:
            case 0:
                return self._unreachable(error.reason)
            case 401:
                reason = "Unauthorized"
                message = f"{self._where}: the credentials are missing or no longer valid; log in again ({told})"
            case 403:
                reason = "Forbidden"
                hint = "" if namespace else "name a namespace with -n, or "
                message = f"{self.target}: {hint}ask for the right to {verb} {RESOURCE} in {place}: {told}"
            case 404 if name is not None and (status.get("details") or {}).get("name") == name:
                reason = "NotFound"
                message = f"{self.target}: no CheckpointEval {name} in {place}"
            case 404:
                reason = "NotInstalled"
                message = f"{self.target}: {RESOURCE} is not installed; install it with: {INSTALL}"
            case 409 | 410:
                reason = "Conflict" if code == 409 else "Expired"
                message = f"{self.target}: {told}"
            case _:
                reason = "Unreachable" if passing else "Refused"
                message = f"{self._where}: could not {verb} {RESOURCE} in {place}: {code}: {told}"
        return ClusterError(message, reason=reason, permanent=not passing)

    def _unreachable(self, error: object) -> ClusterError:
        cause = getattr(error, "reason", None) or error
        text = re.sub(r"^\w+\(.*?\): (Failed to establish a new connection: )?", "", " ".join(str(cause).split()))
        if "CERTIFICATE" in text or "certificate" in text:
            message = f"{self._where}: its certificate is not one that the kubeconfig trusts: {text}"
            return ClusterError(message, reason="Unreachable")
        message = f"{self._where}: can't be reached: {text}; is it running, and is the context the right one?"
        return ClusterError(message, reason="Unreachable", permanent=False)


def _settings(target: Target) -> client.Configuration:
    """How to reach the target, as its kubeconfig or its pod says."""
    settings = client.Configuration()
    try:
        with _complaints() as complaints:
            if target.files:
                files = os.pathsep.join(map(str, target.files))
                config.load_kube_config(files, target.context, settings)  # type: ignore[no-untyped-call]
            else:
                config.load_incluster_config(settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, ApiException, OSError, ValueError, TypeError, KeyError) as error:
        raise _invalid(target, str(error)) from None
    if complaints:
        raise _invalid(target, complaints[0])
    # What can't be connected to is told at once. A busy server is asked again, but not after an hour if it says so.
    settings.retries = urllib3.Retry(
        total=BUSY_TRIES,
        connect=0,
        read=0,
        redirect=0,
        other=0,
        status=BUSY_TRIES,
        status_forcelist=(429, 503),
        backoff_factor=0.5,
        respect_retry_after_header=False,
        raise_on_status=False,
    )
    settings.keep_alive = True
    if not settings.verify_ssl:  # the kubeconfig says so, and whoever wrote it knows
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return settings


def _invalid(target: Target, text: str) -> ClusterError:
    where = ", ".join(map(str, target.files)) or str(target)
    return ClusterError(f"{where}: {target}: {' '.join(text.split())}", reason="KubeconfigInvalid")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the client writes to the root log where it should raise: a credentials plugin that fails."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear(logging.ERROR)
    logging.getLogger().addHandler(ear)
    try:
        yield heard
    finally:
        logging.getLogger().removeHandler(ear)


def _status(error: ApiException) -> Body:
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}
