"""Rights, kinds and namespaces are taken away under the operator, and come back: it says what it lacks, and goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.api_faults import ApiProxy, api_proxy
from support.control_plane import ControlPlane, wait_for
from support.lab import Lab
from support.lives import Crowd, is_idle, own_faults
from support.operator import install_operator, rbac_documents, start_operator

CRD = "checkpointevals.fineline.dev"


@pytest.fixture
def proxy(own_plane: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(own_plane) as running:
        yield running


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """What a person must mend is looked at again every 5 minutes, and with each resync; pods after a moment."""
    return settings | {"resyncSeconds": 3.0, "troubleSeconds": 2.0}


def without_jobs(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rules but for those about Jobs."""
    for document in documents:
        document["rules"] = [rule for rule in document.get("rules", ()) if rule["resources"] != ["jobs"]]
    return [document for document in documents if document["kind"] == "ClusterRole"]


def wait_until_gone(plane: ControlPlane, path: str) -> None:
    wait_for(lambda: plane.admin.find(path) is None, f"{path} to be gone", seconds=60)


def test_a_right_that_is_taken_away_is_told_and_its_return_ends_it(
    own_plane: ControlPlane, lab: Lab, home: str, kubeconfig: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    lab.add_checkpoints(1)
    with start_operator(tmp_path / "operator", kubeconfig, settings=settings) as operator:
        with own_plane.expecting_refusals():
            own_plane.apply(without_jobs(rbac_documents(home)))
            lab.apply()
            told = lab.wait("Stalled", "True", "JobRefused")
            assert 'cannot create resource "jobs"' in told["message"]
            own_plane.apply(rbac_documents(home))
        lab.work()
        lab.wait("Succeeded", "True")
        assert own_faults(operator) == []


def test_an_operator_without_any_right_goes_on_when_they_are_back(
    own_plane: ControlPlane,
    lab: Lab,
    home: str,
    kubeconfig: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    proxy: ApiProxy,
) -> None:
    lab.add_checkpoints(1)
    (binding,) = (item for item in rbac_documents(home) if item["kind"] == "ClusterRoleBinding")
    with start_operator(tmp_path / "operator", proxy.kubeconfig(kubeconfig), settings=settings) as operator:
        lab.apply("before")
        lab.wait_for_job("before")
        with own_plane.expecting_refusals():
            own_plane.admin.delete(
                f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{binding['metadata']['name']}"
            )
            proxy.cut()  # an open watch would go on until it is renewed
            lab.work("before")
            lab.add_checkpoints(2)
            lab.apply("after")
            wait_for(
                lambda: any(asked.watch and asked.status == 403 for asked in proxy.asked), "the watch to be refused"
            )
            own_plane.apply([binding])
        lab.work("after")
        for name in ("before", "after"):
            lab.wait("Succeeded", "True", name=name)
        assert own_faults(operator) == []


def test_kinds_that_are_taken_away_and_installed_again_are_watched_again(
    own_plane: ControlPlane, lab: Lab, kubeconfig: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    lab.add_checkpoints(1)
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}"
    with start_operator(tmp_path / "operator", kubeconfig, settings=settings) as operator:
        lab.apply()
        lab.wait_for_job()
        own_plane.admin.delete(path)
        wait_until_gone(own_plane, path)
        wait_for(lambda: operator.said("install Fineline's CRDs"), "it to say so")
        own_plane.install_crds()
        lab.apply("anew")
        lab.work("anew")
        lab.wait("Succeeded", "True", name="anew")
        assert operator.running
        assert own_faults(operator) == []


def test_a_namespace_that_is_deleted_amid_twenty_is_forgotten(
    own_plane: ControlPlane, crowd: Crowd, kubeconfig: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    namespace = crowd.lab.namespace
    with start_operator(tmp_path / "operator", kubeconfig, settings=settings) as operator:
        crowd.apply()
        crowd.wait_for_jobs(3)
        own_plane.delete_namespace(namespace)
        wait_until_gone(own_plane, f"/api/v1/namespaces/{namespace}")
        wait_for(lambda: operator.metric("fineline_objects") == 0, "it to know nothing of it any more")
        wait_for(lambda: is_idle(operator), "it to have nothing to do")
        wait_for(lambda: operator.metric("fineline_queue_delayed") == 0, "it to plan nothing")
        asked = requests_in(own_plane, namespace)
        time.sleep(1.5 * settings["resyncSeconds"])
        assert requests_in(own_plane, namespace) == asked
        assert own_faults(operator) == []


def test_one_of_its_namespaces_is_deleted_and_the_others_go_on(
    own_plane: ControlPlane, lab: Lab, home: str, settings: dict[str, Any], tmp_path: Path, proxy: ApiProxy
) -> None:
    """An operator that is told its namespaces has its rights in them: they go with the namespace."""
    lab.add_checkpoints(1)
    gone = Lab(own_plane, own_plane.make_namespace(), lab.uri, lab.folder)
    watched = [gone.namespace, lab.namespace]
    kubeconfig = proxy.kubeconfig(install_operator(own_plane, home, watched=watched))
    settings["namespaces"] = watched
    with (
        own_plane.expecting_refusals(),
        start_operator(tmp_path / "operator", kubeconfig, settings=settings, identity="one") as operator,
    ):
        for place in (gone, lab):
            place.apply()
            place.wait_for_job()
        own_plane.delete_namespace(gone.namespace)
        wait_until_gone(own_plane, f"/api/v1/namespaces/{gone.namespace}")
        proxy.cut()  # the open watch of what is no more would go on until it is renewed
        lab.work()
        lab.wait("Succeeded", "True")
        operator.kill()
        operator.start()
        lab.add_checkpoints(2)
        lab.apply("late")
        lab.work("late")
        lab.wait("Succeeded", "True", name="late")
        assert operator.said(f"the namespace {gone.namespace} is left out")
        assert own_faults(operator) == []


def requests_in(plane: ControlPlane, namespace: str) -> int:
    """How many requests operators have made in a namespace."""
    return sum(
        request["user"]["username"].endswith(":fineline-operator")
        and request.get("objectRef", {}).get("namespace") == namespace
        for request in plane.requests(about=namespace)
    )
