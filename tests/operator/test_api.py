"""Requests to a real API server, with the faults that one makes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fineline.errors import SpecError
from fineline_operator import metrics
from fineline_operator.api import (
    AlreadyExists,
    Api,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
    Unavailable,
    load_configuration,
    path_of,
)
from fineline_operator.paths import resource_of
from support.api_faults import ApiProxy, Asked, api_proxy
from support.control_plane import ControlPlane

Result = TypeVar("Result")


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(cluster) as running:
        yield running


@pytest.fixture
def kubeconfig(cluster: ControlPlane, proxy: ApiProxy) -> Path:
    """Everything is allowed, and goes through the proxy."""
    return proxy.kubeconfig(cluster.kubeconfig)


def asking(kubeconfig: Path, ask: Callable[[Api], Awaitable[Result]], *, in_flight: int = 32) -> Result:
    """What `ask` gives, with an `Api` that is closed afterwards."""

    async def run() -> Result:
        api = Api(await load_configuration(kubeconfig), in_flight=in_flight)
        try:
            return await ask(api)
        finally:
            await api.close()

    return asyncio.run(run())


def config_map(name: str, value: str = "") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


def test_what_is_made_can_be_read_changed_and_deleted(kubeconfig: Path, namespace: str) -> None:
    async def ask(api: Api) -> None:
        made = await api.create(path_of("configmaps", namespace), config_map("a", "1"))
        path = path_of("configmaps", namespace, "a")
        assert (await api.get(path))["data"] == {"value": "1"}
        assert "data" not in await api.get(path, metadata_only=True)
        await api.merge_patch(path, {"data": {"value": "2"}})
        applied = await api.apply(path, config_map("a", "3"))
        assert applied["data"] == {"value": "3"}
        told = await api.apply(path, config_map("a", "4"), metadata_only=True)
        assert told["metadata"]["uid"] == made["metadata"]["uid"]
        assert "data" not in told
        assert (await api.get(path))["data"] == {"value": "4"}
        await api.delete(path, uid=made["metadata"]["uid"])
        with pytest.raises(NotFound, match='configmaps "a" not found'):
            await api.get(path)

    asking(kubeconfig, ask)


def test_the_way_back_of_a_large_object_is_spared(kubeconfig: Path, namespace: str) -> None:
    async def ask(api: Api) -> None:
        made = await api.create(path_of("configmaps", namespace), config_map("a", "large" * 1000), metadata_only=True)
        assert made["metadata"]["name"] == "a"
        assert "data" not in made
        with pytest.raises(AlreadyExists):
            await api.create(path_of("configmaps", namespace), config_map("a"), metadata_only=True)
        with pytest.raises(Invalid, match="Invalid value"):
            await api.create(path_of("configmaps", namespace), config_map("No_Name"), metadata_only=True)

    asking(kubeconfig, ask)


def test_a_field_that_the_api_server_does_not_know_is_refused_or_where_it_is_only_a_hint_left_out(
    kubeconfig: Path, namespace: str
) -> None:
    path = path_of("configmaps", namespace)
    with pytest.raises(Invalid, match=r"unknown field \"hint\""):
        asking(kubeconfig, lambda api: api.create(path, config_map("a") | {"hint": "x"}))
    made = asking(kubeconfig, lambda api: api.create(path, config_map("a") | {"hint": "x"}, strict=False))
    assert made["metadata"]["name"] == "a"
    assert "hint" not in made


def test_only_the_object_that_was_meant_is_deleted(kubeconfig: Path, namespace: str) -> None:
    async def ask(api: Api) -> None:
        await api.create(path_of("configmaps", namespace), config_map("a"))
        with pytest.raises(Conflict):
            await api.delete(path_of("configmaps", namespace, "a"), uid="another")
        assert await api.get(path_of("configmaps", namespace, "a"))

    asking(kubeconfig, ask)


def test_refusals_have_their_kinds(kubeconfig: Path, namespace: str, cluster: ControlPlane, proxy: ApiProxy) -> None:
    async def as_admin(api: Api) -> None:
        await api.create(path_of("configmaps", namespace), config_map("a"))
        with pytest.raises(AlreadyExists):
            await api.create(path_of("configmaps", namespace), config_map("a"))
        with pytest.raises(Invalid, match="Invalid value"):
            await api.create(path_of("configmaps", namespace), config_map("No_Name"))

    async def as_nobody(api: Api) -> None:
        with pytest.raises(Forbidden, match="cannot list resource"):
            async for _ in api.list(path_of("jobs", namespace)):
                pass

    asking(kubeconfig, as_admin)
    asking(proxy.kubeconfig(cluster.kubeconfig_for(namespace, "default")), as_nobody)


def test_a_right_that_comes_a_moment_later_is_waited_for(
    namespace: str, cluster: ControlPlane, proxy: ApiProxy
) -> None:
    """An API server that has just started refuses until it has read its RBAC rules."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader", "namespace": namespace}}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    documents = [
        {**role, "kind": "Role", "rules": rules},
        {
            **role,
            "kind": "RoleBinding",
            "roleRef": reference,
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        },
    ]

    def give(asked: Asked) -> None:
        if asked.status == 403 and documents:
            cluster.apply(documents)
            documents.clear()

    proxy.on_answer = give

    async def ask(api: Api) -> list[str]:
        return [item["metadata"]["name"] async for item in api.list(path_of("configmaps", namespace))]

    found = asking(proxy.kubeconfig(cluster.kubeconfig_for(namespace, "default")), ask)
    assert found == ["kube-root-ca.crt"]
    assert proxy.asked[0].status == 403


def test_a_namespace_that_is_being_deleted_says_so(kubeconfig: Path, cluster: ControlPlane) -> None:
    namespace = cluster.make_namespace()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    held = config_map("held") | {"metadata": {"name": "held", "finalizers": ["fineline.dev/test"]}}
    cluster.admin.create(path, held)
    cluster.delete_namespace(namespace)

    async def ask(api: Api) -> None:
        with pytest.raises(Forbidden) as refused:
            await api.create(path, config_map("late"))
        assert refused.value.namespace_terminating

    asking(kubeconfig, ask)
    cluster.admin.patch(f"{path}/held", {"metadata": {"finalizers": None}})


def test_a_list_comes_whole_in_chunks(kubeconfig: Path, namespace: str, proxy: ApiProxy) -> None:
    async def ask(api: Api) -> list[str]:
        for number in range(7):
            await api.create(path_of("configmaps", namespace), config_map(f"part-{number}"))
        before = len(proxy.asked)
        found = [item["metadata"]["name"] async for item in api.list(path_of("configmaps", namespace), limit=3)]
        assert len(proxy.asked) - before >= 3
        return found

    assert {f"part-{number}" for number in range(7)} <= set(asking(kubeconfig, ask))


def test_a_list_that_expired_between_two_chunks_still_comes_whole(
    kubeconfig: Path, namespace: str, proxy: ApiProxy
) -> None:
    async def ask(api: Api) -> set[str]:
        for number in range(7):
            await api.create(path_of("configmaps", namespace), config_map(f"part-{number}"))
        found: set[str] = set()
        async for item in api.list(path_of("configmaps", namespace), limit=3):
            if not found:
                proxy.refuse("GET", "/configmaps$", 410)
            found.add(item["metadata"]["name"])
        return found

    assert {f"part-{number}" for number in range(7)} <= asking(kubeconfig, ask)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_refusals_are_tried_again(kubeconfig: Path, namespace: str, proxy: ApiProxy, status: int) -> None:
    proxy.refuse("POST", "/configmaps$", status, times=2)
    made = asking(kubeconfig, lambda api: api.create(path_of("configmaps", namespace), config_map("a")))
    assert made["metadata"]["name"] == "a"
    assert [asked.status for asked in proxy.writes()] == [0, 0, 201]


def test_a_wish_to_be_asked_later_is_kept(kubeconfig: Path, namespace: str, proxy: ApiProxy) -> None:
    proxy.refuse("GET", "/configmaps$", 429, retry_after=2)

    async def ask(api: Api) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        [item async for item in api.list(path_of("configmaps", namespace))]
        return loop.time() - began

    assert asking(kubeconfig, ask) >= 1.5


def test_a_refusal_that_would_outlast_the_patience_is_raised_with_its_wish(
    kubeconfig: Path, namespace: str, proxy: ApiProxy
) -> None:
    proxy.refuse("GET", "/configmaps/a$", 429, retry_after=600)
    with pytest.raises(TooMany) as refused:
        asking(kubeconfig, lambda api: api.get(path_of("configmaps", namespace, "a")))
    assert refused.value.retry_after == 600
    assert len(proxy.asked) == 1


def test_a_conflict_is_raised_at_once(kubeconfig: Path, namespace: str, proxy: ApiProxy) -> None:
    proxy.refuse("PATCH", "/configmaps/a$", 409)
    with pytest.raises(Conflict):
        asking(kubeconfig, lambda api: api.apply(path_of("configmaps", namespace, "a"), config_map("a")))
    assert len(proxy.asked) == 1


def test_a_create_whose_answer_was_lost_is_told_as_there_already(
    kubeconfig: Path, namespace: str, proxy: ApiProxy
) -> None:
    proxy.lose("POST", "/configmaps$")
    with pytest.raises(AlreadyExists):
        asking(kubeconfig, lambda api: api.create(path_of("configmaps", namespace), config_map("a")))


def test_an_api_server_that_is_not_there_is_a_passing_fault(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fineline_operator.api.RETRY_PAUSES", (0.1, 0.1))
    text = kubeconfig.read_text()
    server = next(line for line in text.splitlines() if "server:" in line)
    kubeconfig.write_text(text.replace(server, f"{server.partition('server:')[0]}server: https://127.0.0.1:1"))
    with pytest.raises(Unavailable, match="no answer") as fault:
        asking(kubeconfig, lambda api: api.get("/version"))
    assert not fault.value.permanent


def test_no_more_requests_than_allowed_are_in_flight(kubeconfig: Path, namespace: str, proxy: ApiProxy) -> None:
    proxy.delay("GET", "/configmaps", 0.3, times=6)

    async def ask(api: Api) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        gets = [api.get(path_of("configmaps", namespace)) for _ in range(6)]
        await asyncio.gather(*gets)
        return loop.time() - began

    assert asking(kubeconfig, ask, in_flight=2) >= 0.9


def test_requests_are_counted_by_verb_resource_and_status(kubeconfig: Path, namespace: str) -> None:
    def count() -> float:
        found = metrics.REGISTRY.get_sample_value(
            "fineline_api_requests_total", {"verb": "create", "resource": "configmaps", "code": "201"}
        )
        return found or 0.0

    before = count()
    asking(kubeconfig, lambda api: api.create(path_of("configmaps", namespace), config_map("a")))
    assert count() == before + 1


def test_a_kubeconfig_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="can't be read"):
        asyncio.run(load_configuration(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        (path_of("checkpointevals"), "checkpointevals"),
        (path_of("checkpointevals", "evals", "a", "status"), "checkpointevals/status"),
        (path_of("configmaps", "evals", "a"), "configmaps"),
        (path_of("workloads", "evals"), "workloads"),
        ("/apis/fineline.dev/v1alpha1", ""),
    ],
)
def test_a_path_says_its_resource(path: str, resource: str) -> None:
    assert resource_of(path) == resource
