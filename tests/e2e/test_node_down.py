"""What `hack/node.sh down` leaves behind: nothing. These run after all others, without the session's node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import node as nodes
from support.control_plane import REPOSITORY, wait_for
from support.node import Node, box_container, box_pod, run_script

pytestmark = pytest.mark.e2e

# What a kubelet would set, and the node keeps from the machine; one of them, to another value than the kubelet's.
KERNEL = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxbytes",
)
KEYS = Path("/proc/sys/kernel/keys/root_maxkeys")

LISTINGS = {
    "interfaces": "ip -brief link | cut -d' ' -f1",
    "routes": "ip -4 route",
    # Those of others, such as an image that is being built, come and go.
    "mounts": "cut -d' ' -f2 /proc/mounts | grep -E 'fineline-node|/containerd|/cni|/kubelet|/netns|/var/log'",
    "namespaces of networks": "ls /run/netns",
    "rules": "iptables-save | grep -v '^[#:]'",
    "control groups": "find /sys/fs/cgroup -type d -name 'fineline-node*' -o -type d -name 'kubepods*'",
    "files of containers": "ls /run/containerd /var/lib/cni /var/log/pods /var/log/containers /var/lib/kubelet",
    "files of the kubelet": "find /usr/libexec/kubernetes",
    "settings of the kernel": f"cd /proc/sys && grep . {KEYS} {' '.join(KERNEL)}",
}


def listed() -> dict[str, list[str]]:
    """What of this machine a node could leave something in."""
    return {
        name: sorted(
            subprocess.run(command, check=False, shell=True, capture_output=True, text=True).stdout.splitlines()
        )
        for name, command in LISTINGS.items()
    }


def wait_until_gone(processes: list[int]) -> None:
    """A process that has ended is there until its parent, the machine's first process, has asked for it."""
    wait_for(
        lambda: not any(Path(f"/proc/{process}").exists() for process in processes),
        f"the end of processes among {processes}",
        seconds=5,
    )


@pytest.fixture
def clean() -> Iterator[dict[str, list[str]]]:
    """What the machine has without a node."""
    if reason := nodes.missing():
        pytest.skip(reason)
    if nodes.kept() or os.geteuid() != 0:
        pytest.skip("it takes the node down, and the node is to be kept (or is not this machine's own)")
    if nodes.UP_BEFORE:
        pytest.skip(
            "it takes the node down, and one was up before the tests: end it by hack/node.sh down, if it is yours"
        )
    assert run_script("down").returncode == 0
    found = listed()
    assert found["control groups"] == []
    yield found
    run_script("down")


@pytest.fixture
def other_keys() -> Iterator[str]:
    """How many keys the kernel keeps, to a value that no kubelet sets."""
    before = KEYS.read_text()
    KEYS.write_text(str(int(before) - 1))
    yield KEYS.read_text()
    KEYS.write_text(before)


def lasting_pod(node: Node) -> None:
    """A pod that has what takes trouble to take away: processes, mounts, an address, a port of the node."""
    container = box_container(
        "serve",
        "8000",
        ports=[{"containerPort": 8000, "hostPort": 18000}],
        volumeMounts=[{"name": "a", "mountPath": "/a"}],
    )
    node.apply(
        box_pod("default", "lasting", containers=[container], volumes=[{"name": "a", "emptyDir": {"medium": "Memory"}}])
    )
    node.wait_until(lambda: node.phase("default", "lasting") == "Running", "the pod to run")


def test_a_second_up_finds_the_first(clean: dict[str, list[str]]) -> None:
    node = nodes.bring_up()
    node.kubectl("create", "namespace", "still-there")

    again = run_script("up")

    assert (again.returncode, again.stdout.strip(), again.stderr) == (0, str(node.kubeconfig), "")
    assert node.get("namespace", "still-there")["status"]["phase"] == "Active"


def test_a_node_sets_nothing_of_the_machines_kernel(other_keys: str, clean: dict[str, list[str]]) -> None:
    nodes.bring_up()

    found = listed()

    assert KEYS.read_text() == other_keys
    assert found["settings of the kernel"] == clean["settings of the kernel"]
    assert found["files of the kubelet"] == clean["files of the kubelet"]


def test_down_leaves_nothing_of_a_node_with_pods(clean: dict[str, list[str]]) -> None:
    node = nodes.bring_up()
    lasting_pod(node)
    processes = nodes.processes()
    assert len(processes) > 8
    assert listed() != clean

    down = run_script("down")

    assert (down.returncode, down.stderr) == (0, "")
    wait_until_gone(processes)
    assert listed() == clean
    assert not node.kubeconfig.exists()
    assert run_script("down").returncode == 0  # and once more, with nothing there


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_an_up_that_is_killed_half_way_can_be_taken_down(clean: dict[str, list[str]], seconds: float) -> None:
    with subprocess.Popen(
        [str(nodes.SCRIPT), "up"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as up:
        wait_for(nodes.processes, "the node's first process")
        time.sleep(seconds)  # somewhere on the way: between two steps whose times are not known
        os.killpg(up.pid, signal.SIGKILL)
    processes = nodes.processes()
    assert processes

    down = run_script("down")

    assert (down.returncode, down.stderr) == (0, "")
    wait_until_gone(processes)
    assert listed() == clean


def test_an_up_after_a_crash_takes_down_what_is_left_and_comes_up(clean: dict[str, list[str]]) -> None:
    node = nodes.bring_up()
    os.kill(int((node.kubeconfig.parent / "pid").read_text()), signal.SIGKILL)

    again = nodes.bring_up()

    assert again.kubeconfig == node.kubeconfig
    assert node.items("nodes", "default")


def test_an_image_outlives_the_node_and_its_containers_do_not(clean: dict[str, list[str]], tmp_path: Path) -> None:
    name, archive = "localhost/fineline-node/outliving:1", tmp_path / "outliving.tar"
    built = subprocess.check_output([str(REPOSITORY / "hack" / "node" / "images.sh")], text=True).strip()
    write = REPOSITORY / "hack" / "node" / "archive.py"
    subprocess.run([sys.executable, str(write), name, f"{built}/box", str(archive)], check=True)
    container = box_container("sleep", "600", image=name)
    node = nodes.bring_up()
    node.load(archive)
    node.apply(box_pod("default", "of-the-first", containers=[container]))
    node.wait_until(lambda: node.phase("default", "of-the-first") == "Running", "the pod to run")

    assert run_script("down").returncode == 0
    node = nodes.bring_up()

    node.apply(box_pod("default", "of-the-second", containers=[container]))
    node.wait_until(lambda: node.phase("default", "of-the-second") == "Running", "the pod to run")
    assert [pod["metadata"]["name"] for pod in node.items("pods", "default")] == ["of-the-second"]
    programs = [Path(f"/proc/{process}/cmdline").read_bytes() for process in nodes.processes()]
    assert programs.count(b"/box\0sleep\x00600\0") == 1


def test_what_is_missing_is_said_in_one_sentence(clean: dict[str, list[str]], tmp_path: Path) -> None:
    without = run_script("up", environment={"FINELINE_CNI_BIN": str(tmp_path)})

    assert without.returncode == 1
    assert without.stderr.strip().splitlines() == [
        "hack/node.sh: these packages are missing: apt-get install containernetworking-plugins"
    ]
