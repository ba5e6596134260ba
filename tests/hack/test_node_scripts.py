"""What `up`, `down` and `check` of hack/node.sh take for the node's and for somebody's, without a node."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hack.scripts import NODE, bash, in_scratch, in_scratch_with_a_node_possible, with_functions


def test_up_refuses_a_folder_that_it_did_not_make_and_down_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")

    done = in_scratch_with_a_node_possible(
        "$node up || $node down", environment={"FINELINE_NODE_DATA": str(tmp_path), "KUBEBUILDER_ASSETS": "/nowhere"}
    )

    said = "is there already, and no node's: take it away yourself, or name another folder by FINELINE_NODE_DATA"
    assert (done.returncode, done.stderr) == (0, f"hack/node.sh: {tmp_path} {said}\n")
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_down_deletes_the_folder_that_up_made_wherever_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"

    done = in_scratch(
        with_functions("folders") + 'claim "$1" && mkdir -p "$1/etcd" "$state" && echo "$1" >"$state/data"; $node down',
        data,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_up_takes_down_what_is_left_of_an_earlier_node() -> None:
    done = in_scratch_with_a_node_possible(
        "mkdir $state && touch $state/ready && echo 4194304 >$state/pid; $node up || ls /run",
        # It goes no further than that.
        environment={"KUBEBUILDER_ASSETS": "/nowhere"},
    )

    assert done.stderr.splitlines() == [
        "hack/node.sh: taking down what is left of an earlier node",
        "hack/control-plane.sh: KUBEBUILDER_ASSETS=/nowhere is no folder",
    ]
    assert "fineline-node" not in done.stdout.split()


def test_up_waits_for_a_ready_node_that_answers_late_and_does_not_end_it(tmp_path: Path) -> None:
    curl = tmp_path / "curl"
    curl.write_text(f'#!/bin/bash\necho asked >>"{tmp_path}/asked"; (($(wc -l <"{tmp_path}/asked") > 2))\n')
    curl.chmod(0o755)

    done = in_scratch_with_a_node_possible(
        """
        sleep 60 & first=$!
        mkdir -p $state $group && touch $state/ready && echo $first | tee $state/pid >$group/cgroup.procs
        PATH=$1:$PATH XDG_RUNTIME_DIR=/elsewhere $node up
        kill $first && echo "it ran until now"
        """,
        tmp_path,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["/run/fineline-node/kubeconfig", "it ran until now"]
    assert (tmp_path / "asked").read_text().count("asked") == 3


def test_down_waits_for_an_up_that_is_at_work() -> None:
    done = in_scratch(
        """
        mkdir $state
        (
          flock 8; touch /run/held
          until [[ -s /run/waiting ]]; do sleep 0.05; done
          [[ -e $state ]] && echo "state is there"
        ) 8>/run/lock/fineline-node &
        until [[ -e /run/held ]]; do sleep 0.05; done
        $node down 2>/run/waiting
        wait
        cat /run/waiting >&2
        [[ ! -e $state ]] && echo "state is gone"
        """
    )

    assert done.stdout.splitlines() == ["state is there", "state is gone"]
    assert done.stderr == "hack/node.sh: waiting for another hack/node.sh that is at work\n"


def test_down_leaves_an_interface_and_routes_that_are_not_the_nodes() -> None:
    done = in_scratch(
        """
        ip link add fl0 type veth peer name other
        for network in 10.96.0.0/16 10.244.0.0/24; do ip route add $network dev lo; done
        $node down && ls /sys/class/net
        ip link set fl0 alias fineline-node
        $node down && ls /sys/class/net
        """
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["fl0", "lo", "other", "lo"]


def test_who_is_not_root_is_told_of_roots_node() -> None:
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    done = in_scratch(
        """
        mkdir -m 700 $state && cp -r hack /run/hack && chmod -R a+rX /run/hack && cd /run
        setpriv --reuid 65534 --regid 65534 --clear-groups $node kubectl get nodes
        """
    )

    assert done.returncode == 1
    assert done.stderr == "hack/node.sh: a node of root's is up here: run this as root too (docs/node.md says how)\n"


def test_check_refuses_an_interface_that_is_not_the_nodes() -> None:
    done = in_scratch_with_a_node_possible("ip link add fl0 type veth peer name other; $node check")

    assert done.stderr == "hack/node.sh: an interface fl0 is here already, and is no node's\n"


@pytest.mark.parametrize(
    ("route", "in_use"),
    [
        ("0.0.0.0/1", ""),
        ("default", ""),
        ("unreachable default", ""),
        ("10.0.0.0/8", "10.0.0.0/8 dev lo scope link"),
        ("10.99.0.128/25", "10.99.0.128/25 dev lo scope link"),
        ("10.100.0.0/16", ""),
    ],
)
def test_a_network_is_in_use_where_a_route_has_it_that_does_not_lead_everywhere(route: str, in_use: str) -> None:
    device = "" if route.startswith("unreachable") else "dev lo"

    done = in_scratch(f"ip route add {route} {device}\n" + with_functions("machine") + "network_in_use 10.99.0.0/24")

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, in_use, "")


def test_a_cache_that_lies_on_layers_itself_is_told(tmp_path: Path) -> None:
    look = with_functions("machine") + 'overlay_lacks "$1"'
    if in_scratch(look, "/run").stdout:
        pytest.skip("overlay can't be mounted here")

    done = in_scratch(
        """
        mkdir -p /run/t/{lower,upper,work,cache} && cd /run/t
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work cache
        """
        + look,
        "/run/t/cache",
    )

    assert done.stdout.startswith("images can't be unpacked in /run/t/cache (overlay: ")
    assert done.stdout.endswith("set XDG_CACHE_HOME to a folder on a disk\n")


def test_the_kernels_settings_are_covered_for_the_node_and_stay_the_machines() -> None:
    setting = Path("/proc/sys/kernel/keys/root_maxkeys")
    if not setting.exists():
        pytest.skip("this kernel keeps no keys")
    before = setting.read_text()

    # One more than it has: as where the kubelet's value is the machine's already.
    done = in_scratch(
        with_functions("kernel") + "cover_kernel_settings /run/kernel; echo 7 >/proc/sys/kernel/keys/root_maxkeys; "
        "cat /proc/sys/kernel/panic /proc/sys/vm/overcommit_memory /proc/sys/kernel/keys/root_maxkeys"
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["10", "1", "7"]
    assert setting.read_text() == before


def test_all_packages_that_are_missing_are_named(tmp_path: Path) -> None:
    for name in ("bash", "env", "dirname", "realpath", "sort"):
        (tmp_path / name).symlink_to(shutil.which(name) or pytest.skip(f"{name} is not installed"))

    done = bash(
        "hack/node/packages.sh", environment={"PATH": str(tmp_path), "FINELINE_CNI_BIN": str(tmp_path / "none")}
    )

    assert (done.returncode, done.stderr) == (0, "")
    programs = ["curl", "iproute2", "iptables", "nftables", "openssl", "procps", "python3", "runc", "util-linux"]
    assert done.stdout.split() == ["containerd", "containernetworking-plugins", *programs]


def test_plugins_are_found_in_the_folder_that_is_named(tmp_path: Path) -> None:
    for name in ("ptp", "host-local", "portmap"):
        (tmp_path / name).symlink_to("/bin/true")

    done = bash("hack/node/packages.sh", environment={"FINELINE_CNI_BIN": str(tmp_path)})

    assert "containernetworking-plugins" not in done.stdout


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "10.99.0.2,10.99.0.1,10.96.0.0/16,10.244.0.0/24"),
        ({"NO_PROXY": "mine"}, "10.99.0.2,10.99.0.1,10.96.0.0/16,10.244.0.0/24,mine"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_no_proxy_is_asked_for_the_node(before: dict[str, str], after: str) -> None:
    environment = {"NO_PROXY": "", "no_proxy": "", **before}
    # A script that another calls does it once more.
    twice = with_functions() + f'env -u nothing bash -c \'source "{NODE}/settings.sh"; echo "$NO_PROXY $no_proxy"\''

    assert bash(twice, environment=environment).stdout.split() == [after, after]


def test_a_mistyped_word_is_answered_with_those_that_there_are_though_no_node_is_up() -> None:
    done = in_scratch("$node dwon || echo $?; $node kubectl get pods")

    assert done.stdout == "2\n"
    assert "hack/node.sh down            ends it" in done.stderr
    assert done.stderr.endswith("hack/node.sh: no node is up: hack/node.sh up\n")
