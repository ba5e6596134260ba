"""An upgrade from the chart before, a rollback to it and an uninstallation while evaluations run: none of them is
disturbed, nothing is lost, nothing is left but what is meant to stay, and a release that comes back evaluates nothing
again. Each test goes on where the one above it ends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chart.helm import CHART, NAMESPACE, PREVIOUS
from fineline.store import open_store
from support.installed import Installed
from support.slices import Site, upload
from support.stages import Stage
from support.tiny_run import EVALS, RUN, TASKS, checkpoints, source, step

pytestmark = pytest.mark.e2e

NAME = "upgraded"
KINDS = ("checkpointevals", "checkpointsources", "trajectoryanalyses")


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(f"s3://pretrain/{NAME}/", "s3://mirror/", "s3://evals/upgraded/")


@pytest.fixture(scope="module")
def previous(installed: Installed, undisturbed: Site, stage: Stage) -> Installed:
    """The release of the chart before."""
    with stage("uninstall, install the chart before"):
        installed.helm("uninstall", "--wait")
        installed.helm("install", PREVIOUS, "--wait", values=installed.values())
    return installed


def bring(training: Path, first: int, last: int) -> int:
    """Uploads some of the run's checkpoints; how many there are then."""
    for folder in checkpoints(training)[first:last]:
        upload(folder, f"s3://pretrain/{NAME}/{folder.name}/")
    return last


def undisturbed_by(now: datetime, installed: Installed, pod: str) -> None:
    """Waits for the pod's end, and looks that it is the one container that ran then, and that it has done its work."""
    installed.wait_until(
        lambda: pod in installed.pods(NAME, phase="Succeeded"), "the pod's success", namespace=EVALS, seconds=300
    )
    (container,) = installed.pods(NAME)[pod]["status"]["containerStatuses"]
    assert container["restartCount"] == 0
    ran = container["state"]["terminated"]
    assert datetime.fromisoformat(ran["startedAt"]) < now <= datetime.fromisoformat(ran["finishedAt"])


def results(*uris: str) -> dict[str, tuple[str, datetime]]:
    """All that lies there, by what changes when it is written again."""
    return {f"{uri}{entry.name}": (entry.etag, entry.modified) for uri in uris for entry in open_store(uri).list()}


def custom_resources(installed: Installed) -> set[str]:
    return {
        f"{kind}/{item['metadata']['name']} {item['metadata']['uid']}"
        for kind in KINDS
        for item in installed.node.items(f"{kind}.fineline.dev", EVALS)
    }


def test_an_evaluation_runs_on_while_the_release_is_upgraded(
    previous: Installed, undisturbed: Site, site: Site, training: Path, stage: Stage
) -> None:
    number = bring(training, 0, 2)
    previous.node.apply(source(NAME, site.results))
    with stage("a pod under the chart before"):
        pod = previous.wait_for_running(NAME)
    operators = previous.operators()

    with stage("upgrade"):
        previous.helm("upgrade", CHART, "--wait", values=previous.values(maxActive=5))
    now = datetime.now(UTC)

    # The settings have changed, so it is other pods that go on.
    assert not operators & previous.operators()
    with stage("its results under the chart of now"):
        previous.wait_for_evaluated(NAME, number)
    undisturbed_by(now, previous, pod)
    assert set(previous.pods(NAME)) == {pod}
    wanted = {step(checkpoint) for checkpoint in checkpoints(training)[:number]}
    assert site.contents() == {unit: found for unit, found in undisturbed.contents().items() if unit[0] in wanted}


def test_another_runs_on_while_it_is_rolled_back_and_uninstalled_which_leaves_what_is_meant_to_stay_and_nothing_else(
    previous: Installed, site: Site, training: Path, objects_before: frozenset[str], stage: Stage
) -> None:
    before = set(previous.pods(NAME))
    number = bring(training, 2, 3)
    previous.wait_until(
        lambda: set(previous.pods(NAME, phase="Running")) - before, "another pod", namespace=EVALS, seconds=180
    )
    (pod,) = set(previous.pods(NAME, phase="Running")) - before
    resources = custom_resources(previous)

    with stage("rollback"):
        previous.helm("rollback", "--wait")
    now = datetime.now(UTC)
    with stage("uninstall"):
        previous.helm("uninstall", "--wait")

    # The API server makes an APIService of the CRDs, and the operator its Lease; the chart knows neither.
    stays = {f"CustomResourceDefinition <none>/{kind}.fineline.dev" for kind in KINDS} | {
        "APIService <none>/v1alpha1.fineline.dev",
        f"Lease {NAMESPACE}/fineline-operator",
    }
    previous.wait_until(lambda: not previous.operators(ending=True), "no operator", namespace=EVALS, seconds=60)
    assert previous.objects() - objects_before == stays
    assert objects_before <= previous.objects()
    assert custom_resources(previous) == resources
    undisturbed_by(now, previous, pod)
    assert len(site.contents()) == number * TASKS


def test_a_release_that_comes_back_takes_what_is_there_and_evaluates_what_came_meanwhile(
    previous: Installed, undisturbed: Site, site: Site, training: Path, stage: Stage
) -> None:
    pods = {name: set(previous.pods(name)) for name in (NAME, RUN)}
    before = results(undisturbed.results, site.results)
    number = bring(training, 3, 4)

    with stage("reinstall, until what came meanwhile is evaluated"):
        previous.helm("install", CHART, "--wait", values=previous.values())
        previous.wait_for_evaluated(NAME, number)

    assert len(set(previous.pods(NAME)) - pods[NAME]) == 1
    assert set(previous.pods(RUN)) == pods[RUN]
    assert before.items() <= results(undisturbed.results, site.results).items()
    assert site.contents() == undisturbed.contents()
    assert site.failures() == {}
