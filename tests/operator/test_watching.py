"""Watching a real API server by kopf: everything is known, whatever befalls the watch, and nothing is written."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fineline_operator.api import Api, load_configuration, path_of
from fineline_operator.lists import Lists
from fineline_operator.metrics import exposition
from fineline_operator.queue import Key
from fineline_operator.watching import Watching
from fineline_operator.world import ANALYSIS, EVALUATION, SOURCE, World
from support.api_faults import ApiProxy, api_proxy
from support.control_plane import ControlPlane


@pytest.fixture
def cluster(own_plane: ControlPlane) -> ControlPlane:
    """Where no operator writes to what these tests make."""
    return own_plane


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(cluster) as running:
        yield running


@pytest.fixture
def kubeconfig(cluster: ControlPlane, proxy: ApiProxy) -> Path:
    return proxy.kubeconfig(cluster.kubeconfig)


class Seen:
    """A watched world and who was woken."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.woken: list[Key] = []
        self.ready = asyncio.Event()
        self.world = World(lambda key, _: self.woken.append(key))

    def key(self, name: str, kind: str = EVALUATION) -> Key:
        return Key(kind, self.namespace, name)

    async def until(self, true: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        for _ in range(int(seconds / 0.05)):
            if true():
                return
            await asyncio.sleep(0.05)
        raise TimeoutError(f"waited {seconds:g} s for {what}")


@contextlib.asynccontextmanager
async def watched(kubeconfig: Path, namespace: str, *, check_seconds: float = 300.0) -> AsyncIterator[Seen]:
    """The namespace, being watched; all that exists is known when the block begins."""
    configuration = await load_configuration(kubeconfig)
    api, seen = Api(configuration), Seen(namespace)
    watching = Watching(configuration, api, seen.world, namespaces=[namespace], check_seconds=check_seconds)
    task = asyncio.create_task(watching.run(seen.ready))
    try:
        await asyncio.wait_for(seen.ready.wait(), 30)
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()


def evaluation(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": "CheckpointEval",
        "metadata": {"name": name},
        "spec": {
            "run": {"name": "amber"},
            "checkpoints": {"uri": "s3://pretrain/amber/"},
            "suite": {"name": "fine-line"},
            "results": "s3://evals/results/",
        },
    }


def job_of(owner: dict[str, Any], name: str) -> dict[str, Any]:
    """A suspended Job as the operator would make it."""
    metadata = owner["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "fineline-operator"},
            "ownerReferences": [
                {
                    "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"],
                    "uid": metadata["uid"], "controller": True,
                }
            ],
        },
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "evaluator", "image": "none"}]}},
        },
    }  # fmt: skip


def source(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": SOURCE,
        "metadata": {"name": name},
        "spec": {
            "uri": "s3://pretrain/amber/",
            "template": {"run": {"name": "amber"}, "suite": {"name": "fine-line"}, "results": "s3://evals/results/"},
        },
    }


def analysis(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": ANALYSIS,
        "metadata": {"name": name},
        "spec": {"runs": {"all": True}, "results": "s3://evals/results/"},
    }


async def asked(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """A request of the test itself, without holding the watch up."""
    return await asyncio.to_thread(function, *arguments, **options)


def test_what_exists_before_and_what_comes_after_is_known(
    cluster: ControlPlane, kubeconfig: Path, namespace: str
) -> None:
    async def run() -> None:
        admin, path = cluster.admin, path_of("checkpointevals", namespace)
        first = await asked(admin.create, path, evaluation("first"))
        await asked(admin.create, path_of("jobs", namespace), job_of(first, "first-job"))
        async with watched(kubeconfig, namespace) as seen:
            assert seen.woken == [seen.key("first"), seen.key("first")]
            assert [job.suspended for job in seen.world.jobs_of(first["metadata"]["uid"])] == [True]
            await asked(admin.create, path, evaluation("second"))
            await seen.until(lambda: seen.world.evaluation(seen.key("second")), "the second to be known")
            await asked(admin.delete, path_of("jobs", namespace, "first-job"))
            await seen.until(lambda: not seen.world.jobs_of(first["metadata"]["uid"]), "the Job to be known as gone")
            await asked(admin.delete, f"{path}/second")
            await seen.until(lambda: not seen.world.evaluation(seen.key("second")), "the second to be known as gone")

    asyncio.run(run())


def test_sources_and_analyses_and_the_jobs_of_analyses_are_known_too(
    cluster: ControlPlane, kubeconfig: Path, namespace: str
) -> None:
    async def run() -> None:
        admin, jobs = cluster.admin, path_of("jobs", namespace)
        sources, analyses = path_of("checkpointsources", namespace), path_of("trajectoryanalyses", namespace)
        await asked(admin.create, sources, source("s"))
        first = await asked(admin.create, analyses, analysis("t"))
        await asked(admin.create, jobs, job_of(first, "t-job"))
        foreign = job_of(first, "foreign")
        del foreign["metadata"]["labels"]
        await asked(admin.create, jobs, foreign)
        async with watched(kubeconfig, namespace) as seen:
            # The list: each new one, and the analysis once more for its Job.
            assert seen.woken == [seen.key("s", SOURCE), seen.key("t", ANALYSIS), seen.key("t", ANALYSIS)]
            assert [job.name for job in seen.world.jobs_of(first["metadata"]["uid"])] == ["t-job"]
            wake = {"metadata": {"annotations": {"fineline.dev/wake": "1"}}}
            await asked(admin.patch, f"{sources}/s", wake)
            await seen.until(lambda: seen.woken[3:] == [seen.key("s", SOURCE)], "the source to be woken")
            await asked(admin.delete, f"{sources}/s")
            await asked(admin.delete, f"{jobs}/t-job")
            await asked(admin.create, analyses, analysis("late"))
            await seen.until(lambda: not seen.world.get(seen.key("s", SOURCE)), "the source to be known as gone")
            await seen.until(lambda: not seen.world.jobs_of(first["metadata"]["uid"]), "the Job to be known as gone")
            await seen.until(lambda: seen.world.get(seen.key("late", ANALYSIS)), "the late one to be known")

    asyncio.run(run())


def test_many_are_all_known_before_the_first_look(
    cluster: ControlPlane, kubeconfig: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fineline_operator.lists.CHUNK", 20)
    names = {f"eval-{number}" for number in range(50)}  # more than one chunk

    async def run() -> None:
        for name in names:
            await asked(cluster.admin.create, path_of("checkpointevals", namespace), evaluation(name))
        async with watched(kubeconfig, namespace) as seen:
            assert {key.name for key in seen.woken} == names

    asyncio.run(run())


def test_nothing_is_written_to_what_is_watched(cluster: ControlPlane, kubeconfig: Path, namespace: str) -> None:
    path = path_of("checkpointevals", namespace)

    async def run() -> None:
        async with watched(kubeconfig, namespace) as seen:
            before = await asked(cluster.admin.create, path, evaluation("a"))
            await seen.until(lambda: seen.world.evaluation(seen.key("a")), "it to be known")
            await asked(cluster.admin.patch, f"{path}/a", {"spec": {"suspend": True}})
            await seen.until(lambda: seen.woken.count(seen.key("a")) == 2, "its change to be known")
            await asyncio.sleep(1)
            after = await asked(cluster.admin.get, f"{path}/a")
            # The watcher would be called by its user agent.
            assert {entry["manager"] for entry in after["metadata"]["managedFields"]} == {"fineline-tests"}
            assert "annotations" not in after["metadata"]
            assert "finalizers" not in after["metadata"]
            assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1

    asyncio.run(run())
    assert cluster.admin.items(f"/api/v1/namespaces/{namespace}/events") == []


async def _frozen_without_a_word(proxy: ApiProxy) -> None:
    """New connections work again after a moment; those that were open never say anything any more."""
    proxy.freeze()
    await asyncio.sleep(1)
    proxy.thaw()


async def _cut(proxy: ApiProxy) -> None:
    proxy.cut()


@pytest.mark.parametrize("fault", [_cut, _frozen_without_a_word])
def test_a_watch_that_is_cut_misses_nothing(
    cluster: ControlPlane,
    kubeconfig: Path,
    namespace: str,
    proxy: ApiProxy,
    fault: Callable[[ApiProxy], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in production, but sooner: a watch that is silent for longer than the API server lets it last was cut.
    monkeypatch.setattr("fineline_operator.watching.WATCH_SECONDS", 3)
    monkeypatch.setattr("fineline_operator.watching.SILENCE_SECONDS", 5.0)

    async def run() -> None:
        path = path_of("checkpointevals", namespace)
        await asked(cluster.admin.create, path, evaluation("before"))
        async with watched(kubeconfig, namespace) as seen:
            await asyncio.sleep(2)
            assert any(request.watch for request in proxy.asked)
            await fault(proxy)
            await asked(cluster.admin.create, path, evaluation("during"))
            await asked(cluster.admin.delete, f"{path}/before")
            await seen.until(lambda: seen.world.evaluation(seen.key("during")), "what came while it was cut")
            await seen.until(lambda: not seen.world.evaluation(seen.key("before")), "what went while it was cut")

    asyncio.run(run())


def test_what_was_deleted_before_a_new_list_is_known_as_gone(
    cluster: ControlPlane, kubeconfig: Path, namespace: str, proxy: ApiProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the watch can't go on where it was (410), kopf lists anew, and no event tells of what is no more."""
    monkeypatch.setattr("fineline_operator.watching.WATCH_SECONDS", 4)

    async def run() -> None:
        path = path_of("checkpointevals", namespace)
        await asked(cluster.admin.create, path, evaluation("a"))
        async with watched(kubeconfig, namespace) as seen:
            await asyncio.sleep(1)
            proxy.expire_watches()
            proxy.freeze()
            await asked(cluster.admin.delete, f"{path}/a")
            proxy.thaw()
            proxy.cut()
            await seen.until(lambda: not seen.world.evaluation(seen.key("a")), "it to be known as gone")

    asyncio.run(run())


def test_an_api_server_that_restarts_is_watched_again(cluster: ControlPlane, kubeconfig: Path, namespace: str) -> None:
    async def run() -> None:
        path = path_of("checkpointevals", namespace)
        async with watched(kubeconfig, namespace) as seen:
            await asyncio.sleep(1)
            cluster.restart_api_server(at_once=True)  # from this thread, which it lives as long as
            await asked(cluster.admin.create, path, evaluation("after"))
            await seen.until(lambda: seen.world.evaluation(seen.key("after")), "what was made after the restart")

    asyncio.run(run())


def test_a_kind_that_the_api_server_did_not_know_yet_is_asked_for_again(
    cluster: ControlPlane, kubeconfig: Path, namespace: str, proxy: ApiProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API server that has just started knows its kinds one after another, and kopf asks for them once."""
    monkeypatch.setattr("fineline_operator.watching.BEGIN_SECONDS", 1)
    proxy.refuse("GET", "/apis/batch/v1$", 404)

    async def run() -> None:
        async with watched(kubeconfig, namespace) as seen:
            path = path_of("checkpointevals", namespace)
            await asyncio.sleep(1.5)
            made = await asked(cluster.admin.create, path, evaluation("a"))
            await asked(cluster.admin.create, path_of("jobs", namespace), job_of(made, "a-job"))
            await seen.until(lambda: seen.world.jobs_of(made["metadata"]["uid"]), "the Job to be known")

    asyncio.run(run())


def test_missing_crds_are_told_and_waited_for(
    kubeconfig: Path,
    namespace: str,
    proxy: ApiProxy,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fineline_operator.watching.CRD_SECONDS", 0.1)
    proxy.refuse("GET", "/apis/fineline.dev/v1alpha1$", 404)

    async def run() -> None:
        async with watched(kubeconfig, namespace):
            pass

    asyncio.run(run())
    assert "install Fineline's CRDs" in caplog.text


def watched_by_the_metrics() -> set[str]:
    """What has a watch age: an alert on it must not speak of what is not there to be watched."""
    found = re.findall(
        r'^fineline_watch_age_seconds{resource="(\w+)"} ([\d.e-]+)$', exposition().decode(), re.MULTILINE
    )
    assert all(float(age) < 30 for _, age in found)
    return {resource for resource, _ in found}


def test_evaluations_are_served_while_newer_kinds_are_missing_and_those_too_once_they_are_there(
    cluster: ControlPlane,
    kubeconfig: Path,
    namespace: str,
    proxy: ApiProxy,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An operator that was upgraded before its CRDs, which Helm leaves to a person."""
    monkeypatch.setattr("fineline_operator.watching.CRD_SECONDS", 0.2)
    known = Lists.served

    async def only_evaluations(lists: Lists) -> tuple[str, ...]:
        return tuple(resource for resource in await known(lists) if resource == "checkpointevals")

    monkeypatch.setattr(Lists, "served", only_evaluations)

    async def run() -> None:
        await asked(cluster.admin.create, path_of("checkpointsources", namespace), source("s"))
        async with watched(kubeconfig, namespace) as seen:
            await asked(cluster.admin.create, path_of("checkpointevals", namespace), evaluation("a"))
            await seen.until(lambda: seen.world.evaluation(seen.key("a")), "the CheckpointEval to be known")
            assert "knows no CheckpointSource and no TrajectoryAnalysis of fineline.dev/v1alpha1" in caplog.text
            assert not any("checkpointsources" in request.path for request in proxy.asked)
            assert watched_by_the_metrics() == {"checkpointevals", "jobs"}
            monkeypatch.setattr(Lists, "served", known)
            await seen.until(lambda: seen.world.get(seen.key("s", SOURCE)), "the source to be known")
            await asked(cluster.admin.create, path_of("trajectoryanalyses", namespace), analysis("t"))
            await seen.until(lambda: seen.world.get(seen.key("t", ANALYSIS)), "the analysis to be known")
            assert seen.world.evaluation(seen.key("a"))
            assert watched_by_the_metrics() == {"checkpointevals", "checkpointsources", "trajectoryanalyses", "jobs"}

    asyncio.run(run())
    assert "watching ended" not in caplog.text
