"""Kueue as it is installed in a cluster, on a control plane of tests: its own manifests, service account and webhooks.

The manager is a process of this machine. What a node would do for it is done here: the Service of its webhooks names
this machine (`ExternalName: localhost`), and the Secret with its certificate is written to a folder.
"""

from __future__ import annotations

import base64
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3
import yaml

from support.control_plane import ControlPlane, wait_for
from support.processes import Server, lasting_port

GROUP = "/apis/kueue.x-k8s.io/v1beta2"
SYSTEM = "kueue-system"
ACCOUNT = "kueue-controller-manager"
FLAVOR = "tests"

_CERTIFICATE = f"/api/v1/namespaces/{SYSTEM}/secrets/kueue-webhook-server-cert"
_KEPT = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Role",
    "RoleBinding",
    "Secret",
    "ServiceAccount",
    "ValidatingWebhookConfiguration",
}


@contextlib.contextmanager
def kueue(binary: Path, plane: ControlPlane, folder: Path) -> Iterator[Server]:
    """Kueue against a control plane, admitting Jobs, until the end of the block.

    Take a control plane of its own for it: without the manager, its webhooks refuse whatever they should look at.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, health_port = lasting_port(), lasting_port()
    certificates = folder / "certificates"
    certificates.mkdir()
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(_configuration(port, health_port, certificates)))
    _install(binary, plane, port)
    command: list[str | Path] = [binary, f"--config={config}", f"--kubeconfig={plane.kubeconfig_for(SYSTEM, ACCOUNT)}"]
    server = Server("kueue", command, folder / "kueue.log", environment={"TMPDIR": str(folder)})
    server.start()
    try:
        server.wait_until(lambda: _mount(plane, certificates) and _is_ready(health_port))
        flavor = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": FLAVOR}}
        plane.admin.create(f"{GROUP}/resourceflavors", flavor)
        yield server
    finally:
        server.end(at_once=True)


def make_queue(
    plane: ControlPlane,
    namespace: str,
    quota: Mapping[str, str | int],
    *,
    name: str = "evaluations",
    preemption: Mapping[str, Any] | None = None,
) -> str:
    """A LocalQueue with a ClusterQueue of its own behind it; gives its name when it admits.

    `quota` must have every resource that pods request, or none of them is admitted: `{"nvidia.com/gpu": 2}`; `pods`
    counts pods. `preemption` as in a ClusterQueue: `{"withinClusterQueue": "LowerPriority"}`.
    """
    cluster_queue = f"{namespace}-{name}"
    flavor = {
        "name": FLAVOR,
        "resources": [{"name": resource, "nominalQuota": str(amount)} for resource, amount in quota.items()],
    }
    spec: dict[str, Any] = {
        "namespaceSelector": {},
        "resourceGroups": [{"coveredResources": list(quota), "flavors": [flavor]}],
    }
    if preemption is not None:
        spec["preemption"] = dict(preemption)
    of_kueue = {"apiVersion": "kueue.x-k8s.io/v1beta2"}
    plane.admin.create(
        f"{GROUP}/clusterqueues",
        {**of_kueue, "kind": "ClusterQueue", "metadata": {"name": cluster_queue}, "spec": spec},
    )
    plane.admin.create(
        f"{GROUP}/namespaces/{namespace}/localqueues",
        {**of_kueue, "kind": "LocalQueue", "metadata": {"name": name}, "spec": {"clusterQueue": cluster_queue}},
    )
    local = f"{GROUP}/namespaces/{namespace}/localqueues/{name}"
    wait_for(lambda: condition_of(plane.admin.get(local), "Active") == "True", f"queue {name} to be active")
    return name


def make_priority(plane: ControlPlane, name: str, value: int) -> str:
    """A WorkloadPriorityClass, which a Job names by the label `kueue.x-k8s.io/priority-class`."""
    kind = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadPriorityClass"}
    body = {**kind, "metadata": {"name": name}, "value": value, "description": "for a test"}
    plane.admin.create(f"{GROUP}/workloadpriorityclasses", body)
    return name


def workload_of(plane: ControlPlane, job: Mapping[str, Any]) -> dict[str, Any] | None:
    """The Workload that Kueue made for this Job, if it has."""
    found = plane.admin.items(
        f"{GROUP}/namespaces/{job['metadata']['namespace']}/workloads",
        labelSelector=f"kueue.x-k8s.io/job-uid={job['metadata']['uid']}",
    )
    return found[0] if found else None


def condition_of(body: Mapping[str, Any] | None, kind: str) -> str | None:
    """The status of an object's condition, None where it has none such."""
    conditions = (body or {}).get("status", {}).get("conditions", [])
    return next((condition["status"] for condition in conditions if condition["type"] == kind), None)


def _configuration(port: int, health_port: int, certificates: Path) -> dict[str, Any]:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": SYSTEM,
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health_port}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "integrations": {"frameworks": ["batch/job"]},
        # A server of its own on a port of its own, for people who look at queues.
        "featureGates": {"VisibilityOnDemand": False},
    }


def _install(binary: Path, plane: ControlPlane, port: int) -> None:
    manifests = plane.kubectl("kustomize", str(binary.parent / "config" / "default"))
    documents = [document for document in yaml.load_all(manifests, _Loader) if document["kind"] in _KEPT]
    for document in documents:
        for client in _webhook_clients(document):
            client["service"]["port"] = port
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kueue-webhook-service", "namespace": SYSTEM},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    # A namespace comes before what lies in it.
    documents.sort(key=lambda document: document["kind"] != "Namespace")
    plane.apply([*documents, service])
    names = {found["metadata"]["name"] for found in documents if found["kind"] == "CustomResourceDefinition"}
    plane.wait_for_crds(names)


def _webhook_clients(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    if document["kind"] == "CustomResourceDefinition":
        conversion = document["spec"].get("conversion", {}).get("webhook")
        return [conversion["clientConfig"]] if conversion else []
    return [webhook["clientConfig"] for webhook in document.get("webhooks", [])]


def _mount(plane: ControlPlane, folder: Path) -> bool:
    """Writes the Secret's files, which Kueue fills once it runs, as a kubelet does: each file at once."""
    data = plane.admin.get(_CERTIFICATE).get("data", {})
    for name, value in data.items():
        content = base64.b64decode(value)
        file = folder / name
        if not file.exists() or file.read_bytes() != content:
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as written:
                written.write(content)
            Path(written.name).rename(file)
    return "tls.key" in data


def _is_ready(port: int) -> bool:
    try:
        answer = urllib3.request("GET", f"http://127.0.0.1:{port}/readyz", retries=False, timeout=5)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200


# Kueue's manifests are 1.7 MB, which takes pure Python ten seconds.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
