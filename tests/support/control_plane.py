"""A real control plane for tests: etcd, kube-apiserver, kube-controller-manager, with a folder and ports of its own.

There is no scheduler and no kubelet: pods stay Pending until a test plays them (support/kubelet.py) or kwok does
(support/kwok.py). RBAC is enforced, Pod Security too, and the audit log names every request.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import urllib3
import yaml

from support import rights
from support.kube_api import ApiError, KubeApi
from support.processes import Server, lasting_port

REPOSITORY = Path(__file__).parents[2]
BINARIES = REPOSITORY / "hack" / "control-plane.sh"
CRDS = REPOSITORY / "charts" / "fineline" / "files" / "crds"

# What these do, and no more: others would want nodes, or delete the pods that tests play without one.
_CONTROLLERS = (
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "ttl-after-finished-controller",
)
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}],
}


@dataclass
class ControlPlane:
    """A running control plane. `admin` may do everything; `kubeconfig` is its file for other programs."""

    folder: Path
    binaries: Path
    endpoint: str
    token: str
    etcd: Server
    api_server: Server
    controller_manager: Server
    refusals_expected: list[tuple[datetime, datetime]] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def certificate(self) -> Path:
        """What a client trusts this API server by."""
        return self.folder / "pki" / "server.crt"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line: an answered request (`audit.k8s.io/v1` Event, level Metadata)."""
        return self.folder / "audit.log"

    @property
    def admin(self) -> KubeApi:
        return KubeApi(self.endpoint, self.certificate, self.token)

    def requests(self, user: str | None = None, *, about: str = "") -> list[dict[str, Any]]:
        """The audit log's events, of one user where it is named; service accounts are
        `system:serviceaccount:<namespace>:<name>`. `about` is a word that they must have somewhere, such as a
        namespace's name: reading all of a long log as JSON takes seconds. A request is there a moment after its
        answer."""
        *lines, _half = self.audit_log.read_text().split("\n")
        events: list[dict[str, Any]] = [json.loads(line) for line in lines if about in line]
        return [event for event in events if user is None or event["user"]["username"] == user]

    def kubectl(
        self, *arguments: str, given: str | None = None, kubeconfig: Path | None = None, check: bool = True
    ) -> str:
        """What `kubectl` prints. `given` is its standard input. Raises RuntimeError with what it said where it
        fails; with `check=False` returns that instead."""
        done = subprocess.run(
            [
                str(self.binaries / "kubectl"),
                f"--kubeconfig={kubeconfig or self.kubeconfig}",
                f"--cache-dir={self.folder / 'kubectl-cache'}",
                *arguments,
            ],
            input=given,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode and check:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout if not done.returncode else done.stdout + done.stderr

    def apply(self, documents: str | Mapping[str, Any] | Sequence[Mapping[str, Any]], *options: str) -> str:
        """Applies YAML text, an object or several (`kubectl apply --server-side`)."""
        if not isinstance(documents, str):
            several = [documents] if isinstance(documents, Mapping) else list(documents)
            documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": several})
        return self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=tests", "-f", "-", *options, given=documents
        )

    def install_crds(self, folder: Path = CRDS, *, seconds: float = 30) -> None:
        """Makes the folder's kinds known and returns when they can be used."""
        documents = [
            document
            for file in sorted(folder.glob("*.yaml"))
            for document in yaml.safe_load_all(file.read_text())
            if document and document["kind"] == "CustomResourceDefinition"
        ]
        # By the name under which a person's `kubectl apply --server-side` does it, who would meet a conflict else.
        self.apply(documents, "--field-manager=kubectl")
        self.wait_for_crds({document["metadata"]["name"] for document in documents}, seconds=seconds)

    def wait_for_crds(self, names: Collection[str], *, seconds: float = 30) -> None:
        """Returns when the CRDs of these names are established."""
        wait_for(lambda: set(names) <= self._established_crds(), f"{sorted(names)} to be established", seconds=seconds)

    def make_namespace(self, prefix: str = "test") -> str:
        """A fresh namespace in which pods can be made."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(lambda: self.admin.find(account) is not None, f"the service account of namespace {name}")
        return name

    def delete_namespace(self, name: str) -> None:
        """Deletes it without waiting for it; pods that no kubelet looks after are deleted by force."""
        for pod in self.admin.items(f"/api/v1/namespaces/{name}/pods"):
            self.admin.delete(f"/api/v1/namespaces/{name}/pods/{pod['metadata']['name']}", gracePeriodSeconds="0")
        self.admin.delete(f"/api/v1/namespaces/{name}")

    def token_for(self, namespace: str, service_account: str, *, seconds: int = 7200) -> str:
        """A token of the service account, which must exist (TokenRequest)."""
        answer = self.admin.create(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token",
            {"spec": {"expirationSeconds": seconds}},
        )
        token: str = answer["status"]["token"]
        return token

    def api_as(self, namespace: str, service_account: str) -> KubeApi:
        """The API with no more rights than this service account has."""
        return KubeApi(self.endpoint, self.certificate, self.token_for(namespace, service_account))

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig with which a program is this service account, and this namespace is its own."""
        file = self.folder / f"kubeconfig-{namespace}-{service_account}"
        _write_kubeconfig(
            file,
            self.endpoint,
            self.certificate,
            self.token_for(namespace, service_account),
            namespace,
            service_account,
        )
        return file

    def stop_api_server(self, *, at_once: bool = False) -> None:
        """Ends the API server, by SIGKILL where `at_once`; etcd keeps what it has."""
        # Asked to end, it would wait a minute for the watches of its clients.
        self.api_server.end(at_once=at_once, seconds=1)

    def start_api_server(self) -> None:
        """Starts it again at the same address and returns when it answers."""
        # Until it has read all roles, it refuses what they allow.
        with self.expecting_refusals():
            self.api_server.start()
            self.api_server.wait_until(lambda: _answers(self.admin, "/readyz"))

    @contextlib.contextmanager
    def expecting_refusals(self, *, seconds: float = 2) -> Iterator[None]:
        """For a test that takes an operator's rights away: what is refused within the block, or so soon after it, is
        no fault. Any other refusal fails the run (support/rights.py)."""
        begin = datetime.now(UTC)
        try:
            yield
        finally:
            self.refusals_expected.append((begin, datetime.now(UTC) + timedelta(seconds=seconds)))

    def restart_api_server(self, *, at_once: bool = False) -> None:
        self.stop_api_server(at_once=at_once)
        self.start_api_server()

    def restart_etcd(self) -> None:
        """Kills etcd and starts it again over its data; the API server finds it again by itself."""
        self.etcd.end(at_once=True)
        self.etcd.start()
        wait_for(lambda: _answers(self.admin, "/readyz"), "the API server to reach etcd again")

    def _established_crds(self) -> set[str]:
        return {
            crd["metadata"]["name"]
            for crd in self.admin.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
            if any(
                condition["type"] == "Established" and condition["status"] == "True"
                for condition in crd.get("status", {}).get("conditions") or []
            )
        }


def find_binaries() -> tuple[Path | None, str]:
    """The folder of the control plane's programs, fetched or built if need be, or None and the reason."""
    found = subprocess.run([str(BINARIES)], check=False, capture_output=True, text=True)
    if found.returncode:
        return None, found.stderr.strip()[-2000:]
    return Path(found.stdout.strip()), ""


@contextlib.contextmanager
def start(
    binaries: Path,
    folder: Path,
    *,
    api_server_options: Sequence[str] = (),
    controller_options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[ControlPlane]:
    """A control plane in this folder until the end of the block; ready when the block begins.

    Options are added to the programs' own (a later one wins), for load tests and the like; all three have the
    variables of `environment`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plane = _assemble(binaries, folder, api_server_options, controller_options, environment or {})
    try:
        plane.etcd.start()
        plane.start_api_server()
        plane.controller_manager.start()
        default = "/api/v1/namespaces/default/serviceaccounts/default"
        plane.controller_manager.wait_until(lambda: plane.admin.find(default) is not None)
        yield plane
    finally:
        # Nothing of it is needed again, so nothing is asked to put its affairs in order.
        for server in (plane.controller_manager, plane.api_server, plane.etcd):
            server.end(at_once=True)
        shutil.rmtree(folder / "etcd", ignore_errors=True)
        rights.leave(plane.audit_log, plane.refusals_expected)


def wait_for(true: Callable[[], object], what: str, *, seconds: float = 30, every: float = 0.05) -> None:
    """Returns when `true` says so; raises TimeoutError with the words of `what` after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(every)


def _assemble(
    binaries: Path,
    folder: Path,
    api_server_options: Sequence[str],
    controller_options: Sequence[str],
    environment: Mapping[str, str],
) -> ControlPlane:
    pki = folder / "pki"
    _make_keys(pki)
    token = secrets.token_hex(20)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    (folder / "audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))
    etcd_port, peer_port, port = lasting_port(), lasting_port(), lasting_port()
    etcd_address, endpoint = f"http://127.0.0.1:{etcd_port}", f"https://127.0.0.1:{port}"
    _write_kubeconfig(folder / "kubeconfig", endpoint, pki / "server.crt", token, "default", "admin")

    etcd: list[str | Path] = [
        binaries / "etcd",
        f"--data-dir={folder / 'etcd'}",
        # A power cut may lose the data of a test; a killed process does not.
        "--unsafe-no-fsync",
        f"--listen-client-urls={etcd_address}",
        f"--advertise-client-urls={etcd_address}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        "--quota-backend-bytes=8589934592",
        "--log-level=warn",
    ]
    api_server: list[str | Path] = [
        binaries / "kube-apiserver",
        f"--etcd-servers={etcd_address}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        # The address of a service must not be a loopback one, and nothing here would use it.
        "--endpoint-reconciler-type=none",
        f"--cert-dir={folder / 'pki'}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'accounts.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--audit-policy-file={folder / 'audit-policy.json'}",
        f"--audit-log-path={folder / 'audit.log'}",
        "--audit-log-maxsize=100000",
        *api_server_options,
    ]
    controller_manager: list[str | Path] = [
        binaries / "kube-controller-manager",
        f"--kubeconfig={folder / 'kubeconfig'}",
        f"--controllers={','.join(_CONTROLLERS)}",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={pki / 'accounts.key'}",
        f"--root-ca-file={pki / 'server.crt'}",
        "--secure-port=0",
        # Its defaults (20 requests a second, 5 Jobs at once) would bound every test.
        "--kube-api-qps=2000",
        "--kube-api-burst=4000",
        "--concurrent-job-syncs=20",
        "--concurrent-gc-syncs=20",
        "--concurrent-ttl-after-finished-syncs=10",
        *controller_options,
    ]
    return ControlPlane(
        folder,
        binaries,
        endpoint,
        token,
        Server("etcd", etcd, folder / "etcd.log", environment),
        Server("kube-apiserver", api_server, folder / "kube-apiserver.log", environment),
        Server("kube-controller-manager", controller_manager, folder / "kube-controller-manager.log", environment),
    )


def _make_keys(pki: Path) -> None:
    pki.mkdir(mode=0o700)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    # One certificate is the server's and its own authority; OpenSSL's strict mode wants the key usage spelled out.
    extensions = [
        "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc",
        "keyUsage=critical,digitalSignature,keyCertSign",
    ]
    _openssl(
        pki, "req", "-x509", *curve, "-keyout", "server.key", "-out", "server.crt", "-days", "30", "-subj", "/CN=tests",
        *(part for extension in extensions for part in ("-addext", extension)),
    )  # fmt: skip
    _openssl(pki, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "accounts.key")
    _openssl(pki, "ec", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")


def _write_kubeconfig(file: Path, endpoint: str, certificate: Path, token: str, namespace: str, user: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": endpoint, "certificate-authority": str(certificate)}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user, "namespace": namespace}}],
        "current-context": "tests",
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config))


def _answers(api: KubeApi, path: str) -> bool:
    try:
        api.request("GET", path)
    except ApiError:
        return False
    except urllib3.exceptions.HTTPError:
        return False
    except ValueError:  # "ok" is no JSON
        return True
    return True
