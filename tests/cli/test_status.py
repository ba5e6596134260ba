"""`fineline status` against a real API server; the test writes the statuses as the operator would."""

from __future__ import annotations

import csv
import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline_cli import cluster as cluster_module
from support.api_faults import ApiProxy
from support.control_plane import ControlPlane
from support.reports import failed, make, running, stalled, succeeded

Status = Any


def with_server(kubeconfig: Path, server: str) -> Path:
    values = yaml.safe_load(kubeconfig.read_text())
    values["clusters"][0]["cluster"]["server"] = server
    kubeconfig.write_text(yaml.safe_dump(values))
    return kubeconfig


def test_a_list_shows_how_each_stands_and_which_need_a_person(
    cluster: ControlPlane, namespace: str, status: Status
) -> None:
    make(cluster.admin, namespace, "amber-7b", running(), run={"name": "amber"})
    make(cluster.admin, namespace, "llama", stalled(message="ask for the bucket"))
    make(cluster.admin, namespace, "new")
    said = status()
    assert (said.code, said.err) == (0, "")
    header, amber, llama, new, _, heading, mend = said.out.splitlines()
    assert header.split() == ["Name", "Run", "Checkpoints", "Progress", "Succeeded", "Reason", "Age"]
    assert amber.split()[:-1] == ["amber-7b", "amber", "36", "290/384", "Unknown", "Running"]
    assert llama.split()[:-1] == ["llama", "tiny", "Unknown", "StoreNotAllowed"]
    assert new.split()[:-1] == ["new", "tiny"]
    assert (heading, mend.strip()) == ("Needs a person:", "llama: StoreNotAllowed: ask for the bucket")


def test_all_namespaces_are_listed_with_their_names(cluster: ControlPlane, status: Status) -> None:
    # The first in the order of names: of those that need a person only some are told, whatever others left behind.
    here, other = cluster.make_namespace("a"), cluster.make_namespace()
    make(cluster.admin, here, "here", failed())
    make(cluster.admin, other, "there", succeeded())
    said = status("-A")
    for made in (here, other):
        cluster.delete_namespace(made)
    rows = [line.split()[:2] for line in said.out.splitlines()]
    assert rows[0] == ["Namespace", "Name"]
    assert [here, "here"] in rows
    assert [other, "there"] in rows
    assert f"{here}/here: SomeUnitsFailed" in said.out


def test_json_has_plain_objects_under_stable_names(cluster: ControlPlane, namespace: str, status: Status) -> None:
    failure = {"checkpoint": "step 1", "task": "", "reason": "TensorMissing", "message": "gone"}
    make(cluster.admin, namespace, "amber", failed(failures=[failure], jobName="amber-1"), queueName="research")
    make(cluster.admin, namespace, "new")
    amber, new = json.loads(status("-o", "json").out)
    wanted = {
        "namespace": namespace, "name": "amber", "run": "tiny", "queue": "research", "job": "amber-1",
        "published": 382, "failed": 2, "of": 384,
    }  # fmt: skip
    assert {name: amber[name] for name in wanted} == wanted
    assert (amber["succeeded"], amber["reason"], amber["stalled"], amber["finished"]) == (
        "False", "SomeUnitsFailed", True, True,
    )  # fmt: skip
    assert amber["failures"] == [failure]
    assert {"type", "status", "reason", "message", "since"} == set(amber["conditions"][0])
    assert set(new) == set(amber)
    assert (new["succeeded"], new["progress"], new["conditions"]) == (None, None, [])
    assert [each["name"] for each in json.loads(status("amber", "-o", "json").out)] == ["amber"]


def test_csv_has_a_row_each(cluster: ControlPlane, namespace: str, status: Status) -> None:
    make(cluster.admin, namespace, "amber", running())
    (row,) = csv.DictReader(io.StringIO(status("-o", "csv").out))
    assert (row["name"], row["published"], row["succeeded"]) == ("amber", "288", "Unknown")


def test_a_named_one_is_told_in_full(cluster: ControlPlane, namespace: str, status: Status) -> None:
    failure = {"checkpoint": "step 12000", "reason": "TensorMissing", "message": "lm_head.weight is missing: 模型"}
    make(
        cluster.admin, namespace, "amber", failed(failures=[failure], results="s3://evals/run=tiny/", jobName="amber-1")
    )
    said = status("amber")
    for part in (
        f"{namespace}/amber: run tiny",
        "384/384: 382 published, 2 failed",
        "SomeUnitsFailed: some units failed",
        "s3://evals/run=tiny/",
        "amber-1",
        "TensorMissing: lm_head.weight is missing: 模型",
        f"fineline retry amber -n {namespace}",
    ):
        assert part in said.out
    assert said.code == 0


def test_five_hundred_and_more_are_read_in_chunks(cluster: ControlPlane, namespace: str, status: Status) -> None:
    names = [f"eval-{index:03}" for index in range(520)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: make(cluster.admin, namespace, name), names))
    before = len(cluster.requests())
    assert [each["name"] for each in json.loads(status("-o", "json").out)] == names
    lists = [
        event for event in cluster.requests()[before:] if event["verb"] == "list" and namespace in event["requestURI"]
    ]
    assert len(lists) == 3
    assert len(status().out.splitlines()) == 1 + len(names)


def test_an_empty_namespace_is_no_error_but_an_unknown_one_is(namespace: str, status: Status) -> None:
    said = status()
    assert (said.code, said.out) == (0, "")
    assert said.err == f"no CheckpointEval in namespace {namespace}; -A looks in all\n"
    assert status("-o", "json").out == "[]\n"
    said = status("-n", "no-such-namespace")
    assert (said.code, "no namespace no-such-namespace; name another with -n" in said.err) == (1, True)


def test_an_unknown_name_is_told_with_those_that_are_there(
    cluster: ControlPlane, namespace: str, status: Status
) -> None:
    assert "there is none at all" in status("amber").err
    make(cluster.admin, namespace, "amber-7b")
    make(cluster.admin, namespace, "llama")
    assert f"no CheckpointEval amber-7 in namespace {namespace}; did you mean amber-7b?" in status("amber-7").err
    said = status("qwen")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "there are amber-7b, llama" in said.err
    assert "no namespace nowhere" in status("amber", "-n", "nowhere").err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-A", "amber"], "--all-namespaces: takes neither NAME nor --namespace"),
        (["-A", "-n", "x"], "--all-namespaces: takes neither NAME nor --namespace"),
        (["-w", "-o", "csv"], "--watch: prints a table or lines"),
        (["../pods"], "NAME: '../pods' is not the name of an object"),
        (["-n", "a/b"], "--namespace: 'a/b' is not the name of an object"),
        (["--context", "nowhere"], "no context 'nowhere' (known: tests)"),
    ],
)
def test_used_wrongly_it_ends_with_2(arguments: list[str], message: str, status: Status) -> None:
    said = status(*arguments)
    assert (said.code, message in said.err, said.err.count("\n"), said.out) == (2, True, 1, "")


def test_a_missing_right_is_named(cluster: ControlPlane, namespace: str, fineline: Any) -> None:
    powerless = cluster.kubeconfig_for(namespace, "default")
    said = fineline("status", "--kubeconfig", powerless)
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert f"ask for the right to list checkpointevals.fineline.dev in namespace {namespace}" in said.err
    assert (
        "name a namespace with -n, or ask for the right to list"
        in fineline("status", "-A", "--kubeconfig", powerless).err
    )
    assert "ask for the right to get checkpointevals" in fineline("status", "x", "--kubeconfig", powerless).err


def test_credentials_that_are_refused_are_told(kubeconfig: Path, fineline: Any, cluster: ControlPlane) -> None:
    kubeconfig.write_text(kubeconfig.read_text().replace(cluster.token, "another"))
    said = fineline("status", "--kubeconfig", kubeconfig)
    assert (said.code, "the credentials are missing or no longer valid; log in again" in said.err) == (1, True)


def test_a_certificate_that_is_not_trusted_is_told(kubeconfig: Path, fineline: Any) -> None:
    values = yaml.safe_load(kubeconfig.read_text())
    del values["clusters"][0]["cluster"]["certificate-authority"]
    kubeconfig.write_text(yaml.safe_dump(values))
    said = fineline("status", "--kubeconfig", kubeconfig)
    assert (said.code, "its certificate is not one that the kubeconfig trusts" in said.err) == (1, True)


def test_a_kubeconfig_that_trusts_any_certificate_is_followed_without_a_word(kubeconfig: Path, fineline: Any) -> None:
    values = yaml.safe_load(kubeconfig.read_text())
    del values["clusters"][0]["cluster"]["certificate-authority"]
    values["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    kubeconfig.write_text(yaml.safe_dump(values))
    said = fineline("status", "--kubeconfig", kubeconfig, "-o", "json")
    assert (said.code, said.out, said.err.count("\n")) == (0, "[]\n", 1)


def test_a_cluster_that_is_not_there_is_told_at_once(kubeconfig: Path, fineline: Any) -> None:
    for arguments in ([], ["-w"], ["amber"]):
        said = fineline("status", "--kubeconfig", with_server(kubeconfig, "https://127.0.0.1:1"), *arguments)
        assert (said.code, said.err.count("\n"), said.out) == (1, 1, "")
        assert (
            "error: context tests (https://127.0.0.1:1): can't be reached: [Errno 111] Connection refused" in said.err
        )


def test_a_cluster_that_does_not_answer_is_not_waited_for(
    kubeconfig: Path, fineline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with_server(kubeconfig, f"https://127.0.0.1:{silent.getsockname()[1]}")
        said = fineline("status", "--kubeconfig", kubeconfig)
    assert (said.code, "can't be reached: Read timed out" in said.err) == (1, True)


def test_a_credentials_plugin_that_fails_is_told_in_one_line(kubeconfig: Path, fineline: Any) -> None:
    values = yaml.safe_load(kubeconfig.read_text())
    plugin = {"command": "/bin/sh", "args": ["-c", "echo the session is over >&2; exit 3"]}
    values["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **plugin}}
    kubeconfig.write_text(yaml.safe_dump(values))
    said = fineline("status", "--kubeconfig", kubeconfig)
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "process returned 3. the session is over" in said.err


def test_a_busy_server_is_asked_again(
    proxy: ApiProxy, cluster: ControlPlane, namespace: str, status_by_proxy: Status
) -> None:
    make(cluster.admin, namespace, "amber", running())
    proxy.refuse("GET", "/checkpointevals$", 429, times=1, retry_after=3600)
    proxy.refuse("GET", "/checkpointevals$", 503, times=1)
    said = status_by_proxy("-o", "json")
    assert (said.code, [each["name"] for each in json.loads(said.out)]) == (0, ["amber"])


def test_a_server_that_fails_is_told(proxy: ApiProxy, namespace: str, status_by_proxy: Status) -> None:
    proxy.refuse("GET", "/checkpointevals$", 500, times=1)
    said = status_by_proxy()
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert f"could not list checkpointevals.fineline.dev in namespace {namespace}: 500" in said.err
