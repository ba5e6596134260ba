"""One replica acts: the one that holds the Lease. Renewed in a thread of its own, whatever the loop is busy with.

Nothing fences a leader that was stopped for a while and goes on: every write of the operator is safe under two leaders.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import urllib3
from kubernetes import client
from kubernetes import config as kubernetes_config
from kubernetes.client.exceptions import ApiException
from kubernetes.leaderelection import electionconfig
from kubernetes.leaderelection.leaderelection import LeaderElection
from kubernetes.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from fineline.errors import SpecError
from fineline_operator import metrics

logger = logging.getLogger(__name__)

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def own_identity() -> str:
    """The pod's name, and something that a restarted container of the same pod has not."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}-{secrets.token_hex(4)}"


def own_namespace(kubeconfig: Path | None = None) -> str:
    """The pod's namespace; outside of a pod that of the kubeconfig."""
    if os.environ.get("POD_NAMESPACE"):
        return os.environ["POD_NAMESPACE"]
    if kubeconfig is None and not os.environ.get("KUBECONFIG") and _NAMESPACE_FILE.exists():
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    try:
        _, active = kubernetes_config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
            str(kubeconfig) if kubeconfig else None
        )
    except (kubernetes_config.ConfigException, OSError):
        return "default"
    return str(active["context"].get("namespace") or "default")


class Leadership:
    """Holds the Lease, or waits for it. `on_acquired` and `on_lost` are called from its thread, once each.

    A leader that can't renew for 70% of `seconds`, or finds another holder, has lost; another acts after `seconds`
    without a renewal, or at once where the Lease was released.
    """

    def __init__(
        self,
        *,
        name: str,
        namespace: str,
        identity: str,
        seconds: int,
        on_acquired: Callable[[], None],
        on_lost: Callable[[], None],
        kubeconfig: Path | None = None,
    ) -> None:
        pause, deadline = max(1.0, seconds / 5), seconds * 0.7
        # An API server that is slow with everything must have time to answer: else all tries end before their answers.
        timeout = deadline / 2
        self._lock = _Lock(
            _api_client(kubeconfig), name, namespace, identity, timeout=timeout, deadline=deadline, lost=self._lost
        )
        self._config = electionconfig.Config(  # type: ignore[no-untyped-call]
            self._lock,
            lease_duration=seconds,
            renew_deadline=deadline,
            retry_period=pause,
            onstarted_leading=self._acquired,
            onstopped_leading=self._lost,
        )
        self._on_acquired = on_acquired
        self._on_lost = on_lost
        self._once = threading.Lock()

    def start(self) -> None:
        threading.Thread(target=self._run, name="lease", daemon=True).start()

    @property
    def leading(self) -> bool:
        return self._lock.leading

    @property
    def beat(self) -> float:
        """When the thread last did something (`time.monotonic`)."""
        return self._lock.beat

    def release(self) -> None:
        """Give the Lease up, so that another acts without waiting for its end. Nothing is told as lost any more."""
        self._lock.release()

    def _run(self) -> None:
        try:
            LeaderElection(self._config).run()  # type: ignore[no-untyped-call]
        except Exception:
            logger.exception("the Lease's thread failed")
            self._lost()

    def _acquired(self) -> None:
        metrics.LEADER.set(1)
        logger.info("this replica acts: it holds the Lease %s as %s", self._lock.place, self._lock.identity)
        self._on_acquired()

    def _lost(self) -> None:
        if self._lock.released or not self._once.acquire(blocking=False):
            return
        metrics.LEADER.set(0)
        logger.error("the Lease %s is lost: another replica may act", self._lock.place)
        self._on_lost()


class _Lock:
    """The library's lock with what it lacks: time-outs, faults of the connection, a release, a holder that changed."""

    def __init__(
        self,
        api_client: client.ApiClient,
        name: str,
        namespace: str,
        identity: str,
        *,
        timeout: float,
        deadline: float,
        lost: Callable[[], None],
    ) -> None:
        self._lease = cast("Any", LeaseLock(name, namespace, identity))  # type: ignore[no-untyped-call]
        self._api = _Timed(client.CoordinationV1Api(api_client), timeout)
        self._lease.api_instance = self._api
        self.name, self.namespace, self.identity = name, namespace, identity
        self.leading = False
        self.released = False
        self.beat = time.monotonic()
        self._lost = lost
        self._deadline = deadline
        self._renewed = self.beat
        self._writing = threading.Lock()
        self._holder: str | None = None

    @property
    def place(self) -> str:
        return f"{self.namespace}/{self.name}"

    def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        self.beat = time.monotonic()
        self._lose_if_overdue()
        there, found = self._lease.get(name, namespace)
        self._lose_if_overdue()
        if not there:
            return there, found
        holder = found.holder_identity
        if self.leading and holder not in (None, self.identity):
            self._lost()
        elif holder != self._holder and holder not in (None, self.identity):
            logger.info("waiting: the Lease %s is held by %s", self.place, holder)
        self._holder = holder
        return there, found

    def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        with self._writing:
            return self._wrote(not self.released and self._lease.create(name, namespace, election_record))

    def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        with self._writing:
            return self._wrote(not self.released and self._lease.update(name, namespace, updated_record))

    def release(self) -> None:
        with self._writing:
            self.released = True
            if not self.leading:
                return
            self.leading = False
            try:
                lease = self._api.read_namespaced_lease(self.name, self.namespace)
                if lease.spec.holder_identity == self.identity:
                    lease.spec.holder_identity = None
                    self._api.replace_namespaced_lease(self.name, self.namespace, lease)
                    logger.info("the Lease %s is released", self.place)
            except ApiException as error:
                logger.warning("the Lease %s can't be released, and ends by itself: %s", self.place, error.reason)

    def _wrote(self, success: bool) -> bool:  # noqa: FBT001 - what the library's methods give
        if success:
            self.leading = True
            self._renewed = time.monotonic()
        return success

    def _lose_if_overdue(self) -> None:
        """The library counts from its next try on, and so ends later than the Lease does for the others."""
        if self.leading and time.monotonic() - self._renewed > self._deadline:
            self._lost()


class _Timed:
    """Requests for the Lease that end in time. What went wrong below HTTP becomes what the library catches."""

    def __init__(self, api: client.CoordinationV1Api, timeout: float) -> None:
        self._api = api
        self._timeout = timeout

    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        return self._call(self._api.read_namespaced_lease, name, namespace)

    def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        return self._call(self._api.create_namespaced_lease, namespace, body)

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        return self._call(self._api.replace_namespaced_lease, name, namespace, body)

    def _call(self, request: Callable[..., Any], *args: Any) -> Any:
        try:
            return request(*args, _request_timeout=self._timeout)
        except ApiException as error:
            if error.status not in (404, 409):  # not there yet, or another was quicker
                logger.warning("a request for the Lease failed: HTTP %s: %s", error.status, error.reason)
            raise
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            logger.warning("a request for the Lease had no answer: %s", error)
            raise ApiException(status=0, reason=f"{type(error).__name__}: {error}") from None


def _api_client(kubeconfig: Path | None) -> client.ApiClient:
    configuration = client.Configuration()
    chosen = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    try:
        if chosen or "KUBERNETES_SERVICE_HOST" not in os.environ:
            kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=chosen or None, client_configuration=configuration
            )
        else:
            kubernetes_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (kubernetes_config.ConfigException, OSError) as error:
        raise SpecError(f"the API server's address and credentials can't be read: {error}") from None
    configuration.retries = False  # a try has its own end; the next one comes soon
    return client.ApiClient(configuration)
