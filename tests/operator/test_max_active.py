"""The operator's `maxActive`: so many evaluations run at once, the oldest first. An operator of the tests' own, which
watches one namespace with rights in that one alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.control_plane import ControlPlane, wait_for
from support.lab import BUCKET, Lab, operator_settings
from support.operator import install_operator, start_operator
from support.versitygw import S3Server


@pytest.fixture
def lab(own_plane: ControlPlane, versitygw: S3Server, s3_prefix: str, tmp_path: Path) -> Iterator[Lab]:
    """A namespace in which one evaluation may run at once."""
    home, namespace = own_plane.make_namespace(), own_plane.make_namespace()
    kubeconfig = install_operator(own_plane, home, watched=[namespace])
    settings = operator_settings(versitygw, f"s3://{BUCKET}/", tmp_path, maxActive=1, namespaces=[namespace])
    with start_operator(tmp_path / "operator", kubeconfig, settings=settings):
        yield Lab(own_plane, namespace, s3_prefix, tmp_path / "lab")
    own_plane.delete_namespace(namespace)


def applied(lab: Lab, *names: str, seconds: float = 0) -> None:
    """One after the other, each with checkpoints of its own; told to wait or started before the next one comes."""
    for name in names:
        lab.add_checkpoints(1, run=name)
        lab.apply(name, name)
        wait_for(lambda n=name: lab.condition("Admitted", n)["reason"] in ("Admitted", "Waiting"), f"a word on {name}")  # type: ignore[misc]
        time.sleep(seconds)


def with_jobs(lab: Lab, *names: str) -> list[str]:
    return [name for name in names if lab.jobs(name)]


def test_evaluations_run_one_after_another_the_oldest_first(lab: Lab) -> None:
    applied(lab, "c", "b", "a", seconds=1.1)  # ages are told in whole seconds
    for name in ("b", "a"):
        told = lab.wait("Admitted", "False", "Waiting", name=name)
        assert "maxActive" in told["message"]
        assert lab.condition("Planned", name)["status"] == "True"
        assert lab.condition("Reconciling", name)["status"] == "True"
    for name, younger in (("c", ["b", "a"]), ("b", ["a"]), ("a", [])):
        lab.wait_for_job(name)
        assert with_jobs(lab, *younger) == []
        lab.work(name)
        lab.wait("Succeeded", "True", name=name)


def test_what_is_suspended_takes_no_place_and_waits_for_one_when_it_goes_on(lab: Lab) -> None:
    applied(lab, "a", "b")
    job = lab.job_path(lab.wait_for_job("a")["metadata"]["name"])
    lab.wait("Admitted", "False", "Waiting", name="b")
    lab.edit("a", suspend=True)
    lab.wait_for_job("b")
    lab.edit("a", suspend=False)
    lab.wait("Admitted", "False", "Waiting", name="a")
    assert lab.api.get(job)["spec"]["suspend"]
    lab.work("b")
    wait_for(lambda: not lab.api.get(job)["spec"]["suspend"], "the Job of a to go on")
    lab.work("a")
    lab.wait("Succeeded", "True", name="a")


def test_what_needs_no_job_does_not_wait(lab: Lab) -> None:
    applied(lab, "a")
    lab.work("a")
    lab.wait("Succeeded", "True", name="a")
    applied(lab, "b")
    lab.wait_for_job("b")
    lab.apply("again", "a")
    lab.wait("Succeeded", "True", "AllReused", name="again")
