"""`fineline status` against a real API server; the test writes the statuses as the operator would."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline_cli import cluster as cluster_module
from support import control_plane as planes
from support.api_faults import ApiProxy, api_proxy
from support.control_plane import ControlPlane, wait_for
from support.reports import allowed, failed, make, path, report, running, stalled, succeeded

Status = Callable[..., Any]


@pytest.fixture
def kubeconfig(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig whose context's namespace is the test's own."""
    return edited(cluster.kubeconfig, tmp_path / "kubeconfig", namespace=namespace)


@pytest.fixture
def status(fineline: Any, kubeconfig: Path) -> Status:
    def call(*arguments: object) -> Any:
        return fineline("status", "--kubeconfig", kubeconfig, *arguments)

    return call


def edited(source: Path, target: Path, *, namespace: str | None = None, server: str | None = None) -> Path:
    values = yaml.safe_load(source.read_text())
    if namespace is not None:
        values["contexts"][0]["context"]["namespace"] = namespace
    if server is not None:
        values["clusters"][0]["cluster"]["server"] = server
    target.write_text(yaml.safe_dump(values))
    return target


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


def test_all_namespaces_are_listed_with_their_names(cluster: ControlPlane, namespace: str, status: Status) -> None:
    other = cluster.make_namespace()
    make(cluster.admin, namespace, "here", failed())
    make(cluster.admin, other, "there", succeeded())
    said = status("-A")
    cluster.delete_namespace(other)
    rows = [line.split()[:2] for line in said.out.splitlines()]
    assert rows[0] == ["Namespace", "Name"]
    assert [namespace, "here"] in rows
    assert [other, "there"] in rows
    assert f"{namespace}/here: SomeUnitsFailed" in said.out


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
        said = fineline(
            "status", "--kubeconfig", edited(kubeconfig, kubeconfig, server="https://127.0.0.1:1"), *arguments
        )
        assert (said.code, said.err.count("\n"), said.out) == (1, 1, "")
        assert (
            "error: context tests (https://127.0.0.1:1): can't be reached: [Errno 111] Connection refused" in said.err
        )


def test_a_cluster_that_does_not_answer_is_not_waited_for(
    kubeconfig: Path, fineline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        edited(kubeconfig, kubeconfig, server=f"https://127.0.0.1:{silent.getsockname()[1]}")
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


# --watch


@contextlib.contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """What goes on while the command runs; it must not fail either."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        yield
        acting.result(timeout=60)


def watched(cluster: ControlPlane, namespace: str) -> None:
    """Returns when a watch of the namespace's CheckpointEvals has begun."""
    # A watch is written into the audit log when it ends, so its list is what tells of it.
    wait_for(
        lambda: any(
            event["verb"] == "list" and event["requestURI"].startswith(path(namespace)) for event in cluster.requests()
        ),
        "the command's list",
    )
    time.sleep(0.2)


def test_a_watch_of_one_ends_with_it_and_says_each_change_once(
    cluster: ControlPlane, namespace: str, status: Status
) -> None:
    make(cluster.admin, namespace, "amber", running(1, 0, 3))

    def act() -> None:
        watched(cluster, namespace)
        report(cluster.admin, namespace, "amber", running(2, 0, 3))
        cluster.admin.patch(path(namespace, "amber"), {"metadata": {"labels": {"for": "nobody"}}})
        time.sleep(0.3)
        report(cluster.admin, namespace, "amber", succeeded(3))

    with meanwhile(act):
        said = status("amber", "-w")
    assert said.code == 0
    assert said.out.splitlines()[:3] == [
        "amber: 1/3, Succeeded=Unknown Running: 4 pods are at work",
        "amber: 2/3, Succeeded=Unknown Running: 4 pods are at work",
        "amber: 3/3, Succeeded=True Succeeded: all units",
    ]
    assert f"{namespace}/amber: run tiny" in said.out.splitlines()[3]


def test_a_watch_of_one_that_fails_ends_with_1(cluster: ControlPlane, namespace: str, status: Status) -> None:
    make(cluster.admin, namespace, "amber", failed())
    said = status("amber", "-w")
    assert (said.code, "Succeeded=False SomeUnitsFailed" in said.out) == (1, True)


def test_a_watch_waits_for_a_retry_that_was_asked_for(cluster: ControlPlane, namespace: str, status: Status) -> None:
    make(cluster.admin, namespace, "amber", failed())
    cluster.admin.patch(path(namespace, "amber"), {"metadata": {"annotations": {"fineline.dev/retry": "again"}}})

    def act() -> None:
        watched(cluster, namespace)
        report(cluster.admin, namespace, "amber", running(retry="again"))
        time.sleep(0.2)
        report(cluster.admin, namespace, "amber", succeeded(retry="again"))

    with meanwhile(act):
        said = status("amber", "-w")
    assert said.code == 0
    assert "(a retry was asked for)" in said.out.splitlines()[0]


def test_a_watch_of_one_that_is_deleted_ends_with_an_error(
    cluster: ControlPlane, namespace: str, status: Status
) -> None:
    make(cluster.admin, namespace, "amber", running())

    def act() -> None:
        watched(cluster, namespace)
        cluster.admin.delete(path(namespace, "amber"))

    with meanwhile(act):
        said = status("amber", "-w")
    assert (said.code, said.err) == (1, f"error: {namespace}/amber: was deleted\n")


def test_a_watch_as_json_is_an_object_a_line(cluster: ControlPlane, namespace: str, status: Status) -> None:
    make(cluster.admin, namespace, "amber", running(1, 0, 3))

    def act() -> None:
        watched(cluster, namespace)
        report(cluster.admin, namespace, "amber", succeeded(3))

    with meanwhile(act):
        said = status("amber", "-w", "-o", "json")
    first, last = map(json.loads, said.out.splitlines())
    assert (first["progress"], first["finished"], first["deleted"]) == ("1/3", False, False)
    assert (last["progress"], last["finished"], last["succeeded"]) == ("3/3", True, "True")


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(cluster) as proxy:
        yield proxy


@pytest.fixture
def status_by_proxy(proxy: ApiProxy, kubeconfig: Path, fineline: Any) -> Status:
    def call(*arguments: object) -> Any:
        return fineline("status", "--kubeconfig", proxy.kubeconfig(kubeconfig), *arguments)

    return call


def requests(proxy: ApiProxy, *, watch: bool) -> int:
    return sum(asked.watch is watch and "checkpointevals" in asked.path for asked in proxy.asked)


@pytest.mark.parametrize("fault", ["cut", "frozen", "refused when it asks again"])
def test_a_watch_that_is_lost_is_taken_up_again(
    fault: str, proxy: ApiProxy, cluster: ControlPlane, namespace: str, status_by_proxy: Status,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(cluster_module, "WATCH_SECONDS", 1)
    monkeypatch.setattr(cluster_module, "ANSWER_SECONDS", 2.0)
    make(cluster.admin, namespace, "amber", running(1, 0, 3))

    def act() -> None:
        watched(cluster, namespace)
        before = requests(proxy, watch=False)
        if fault == "frozen":
            proxy.freeze()
        report(cluster.admin, namespace, "amber", running(2, 0, 3))
        if fault == "frozen":
            time.sleep(0.5)
            proxy.thaw()
        else:
            if fault != "cut":
                proxy.refuse("GET", "/checkpointevals$", 403, times=2)
            proxy.cut()
        wait_for(lambda: requests(proxy, watch=False) > before, "a new list")
        time.sleep(0.5)
        report(cluster.admin, namespace, "amber", succeeded(3))

    with meanwhile(act):
        said = status_by_proxy("amber", "-w")
    assert said.code == 0
    shown = [text.split(",")[0] for text in said.out.splitlines() if text.startswith("amber: ")]
    assert (shown[0], shown[-1]) == ("amber: 1/3", "amber: 3/3")


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


def test_without_the_right_to_watch_it_is_told(cluster: ControlPlane, namespace: str, fineline: Any) -> None:
    kubeconfig = allowed(cluster, namespace, "get", "list")
    for arguments in ([], ["amber"]):
        make(cluster.admin, namespace, "amber", running()) if arguments else None
        said = fineline("status", "-w", "--kubeconfig", kubeconfig, *arguments)
        assert (said.code, "ask for the right to watch checkpointevals.fineline.dev" in said.err) == (1, True)


def test_a_watch_goes_on_over_the_ends_that_the_server_sets(
    cluster: ControlPlane, namespace: str, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "WATCH_SECONDS", 1)
    make(cluster.admin, namespace, "amber", running(1, 0, 3))
    make(cluster.admin, namespace, "other", running(1, 0, 3))

    def act() -> None:
        watched(cluster, namespace)
        time.sleep(2.5)
        report(cluster.admin, namespace, "amber", succeeded(3))

    with meanwhile(act):
        said = status("amber", "-w")
    assert (said.code, len([text for text in said.out.splitlines() if text.startswith("amber: ")])) == (0, 2)
    assert "other" not in said.out
    lists = [event for event in cluster.requests() if event["verb"] == "list" and namespace in event["requestURI"]]
    assert len(lists) == 1


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "fineline_cli.main", "status", *map(str, arguments)]


def test_a_watch_in_a_log_that_is_stopped_ends_with_0(cluster: ControlPlane, namespace: str, kubeconfig: Path) -> None:
    make(cluster.admin, namespace, "amber", running())
    started = subprocess.Popen(
        command("-w", "--kubeconfig", kubeconfig), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "amber: 290/384, Succeeded=Unknown Running: 4 pods are at work\n"
    cluster.admin.delete(path(namespace, "amber"))
    assert started.stdout.readline() == "amber: deleted\n"
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=30)
    assert (started.returncode, out, err) == (0, "", "")


class Terminal:
    """A command on a terminal of 40 columns and 12 lines; `shown` is all that it wrote, without colours."""

    def __init__(self, arguments: list[str]) -> None:
        self.shown = ""
        self.process, self._descriptor = pty.fork()
        if self.process == 0:
            os.environ |= {"COLUMNS": "40", "LINES": "12", "TERM": "xterm-256color"}
            os.execv(arguments[0], arguments)

    def wait_for(self, text: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, f"waited for {text!r} in {self.shown[-500:]!r}"
            self._read(0.1)

    def press_control_c(self) -> int:
        """The exit code."""
        os.write(self._descriptor, b"\x03")
        with contextlib.suppress(OSError):
            while self._read(30):
                pass
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def _read(self, seconds: float) -> bool:
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return False
        data = os.read(self._descriptor, 1 << 16)
        self.shown += re.sub(r"\x1b\[[0-9;]*m", "", data.decode())
        return bool(data)


def test_a_watch_on_a_terminal_is_drawn_anew_until_it_is_stopped(
    cluster: ControlPlane, namespace: str, kubeconfig: Path
) -> None:
    make(cluster.admin, namespace, "amber", running(1, 0, 3))
    terminal = Terminal(command("-w", "--kubeconfig", kubeconfig))
    terminal.wait_for("1/3")
    report(cluster.admin, namespace, "amber", running(2, 0, 3))
    terminal.wait_for("2/3")
    make(cluster.admin, namespace, "llama", failed())
    terminal.wait_for("llama: SomeUnitsFailed")
    assert terminal.press_control_c() == 0
    assert "Traceback" not in terminal.shown
    assert terminal.shown.endswith("\x1b[?25h")  # the cursor is shown again


# A control plane of its own: what would disturb the tests beside it.


@pytest.fixture(scope="module")
def own_plane(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with planes.start(control_plane.binaries, tmp_path_factory.mktemp("own-plane")) as plane:
        yield plane


def test_a_cluster_without_the_resource_says_how_to_install_it_and_a_restart_does_not_end_a_watch(
    own_plane: ControlPlane, fineline: Any
) -> None:
    for arguments in ([], ["amber"], ["-w"], ["amber", "-w"]):
        said = fineline("status", "--kubeconfig", own_plane.kubeconfig, *arguments)
        assert (said.code, said.err.count("\n")) == (1, 1)
        assert "not installed; install it with: fineline crds | kubectl apply --server-side -f -" in said.err
    own_plane.kubectl("apply", "--server-side", "-f", "-", given=fineline("crds").out)
    wait_for(lambda: fineline("status", "--kubeconfig", own_plane.kubeconfig).code == 0, "the resource")
    make(own_plane.admin, "default", "amber", running(1, 0, 3))

    def act() -> None:
        watched(own_plane, "default")
        own_plane.stop_api_server(at_once=True)
        time.sleep(1.5)
        own_plane.start_api_server()
        report(own_plane.admin, "default", "amber", succeeded(3))

    with meanwhile(act):
        said = fineline("status", "amber", "-w", "--kubeconfig", own_plane.kubeconfig)
    assert said.code == 0
    assert "trying again: context tests" in said.err
    assert "the cluster answers again" in said.err
    assert "amber: 3/3, Succeeded=True" in said.out
