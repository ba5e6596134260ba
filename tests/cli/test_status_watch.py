"""`fineline status --watch` against a real API server: what it says, when it ends, and what it survives."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fineline_cli import cluster as cluster_module
from support import control_plane as planes
from support.api_faults import ApiProxy
from support.control_plane import ControlPlane, wait_for
from support.reports import allowed, failed, make, path, report, running, succeeded

Status = Any


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
