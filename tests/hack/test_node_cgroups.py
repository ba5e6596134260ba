"""The node's control groups (hack/node/cgroups.sh), on folders that look like those of either version."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hack.scripts import bash, in_scratch, with_functions


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """cgroup v1 as a new group looks there: its set of processors is empty."""
    hierarchies = ("cpu", "cpuacct", "cpuset", "memory", "pids")
    for name in hierarchies:
        (tmp_path / name / "fineline-node" / "node").mkdir(parents=True)
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    for group in ("fineline-node", "fineline-node/node"):
        for file in ("cpuset.cpus", "cpuset.mems"):
            (tmp_path / "cpuset" / group / file).write_text("")
    lines = [f"cgroup {tmp_path}/{name} cgroup rw,relatime,{name} 0 0\n" for name in hierarchies]
    (tmp_path / "mounts").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """cgroup v2: one hierarchy, whose first group has no set of processors."""
    node = tmp_path / "fineline-node" / "node"
    node.mkdir(parents=True)
    for group in (tmp_path, node.parent, node):
        (group / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
        (group / "cgroup.subtree_control").write_text("")
        (group / "cgroup.procs").write_text("")
    for group in (node.parent, node):
        (group / "cpuset.cpus").write_text("")
        (group / "cpuset.mems").write_text("")
    return tmp_path


def control_groups(root: Path, script: str) -> subprocess.CompletedProcess[str]:
    return bash(with_functions("cgroups") + f'cgroup_root="{root}" mount_table="{root}/mounts"\n' + script)


def test_with_cgroup_v1_each_hierarchy_has_the_nodes_group_and_all_processors(version_1: Path) -> None:
    done = control_groups(version_1, "make_cgroups; cgroup_folders")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [f"{version_1}/cpu/fineline-node", f"{version_1}/cpuacct/fineline-node"]
    for group in ("fineline-node", "fineline-node/node"):
        assert (version_1 / "cpuset" / group / "cpuset.cpus").read_text() == "0-1\n"
        assert (version_1 / "cpuset" / group / "cpuset.mems").read_text() == "0\n"


def test_with_cgroup_v1_a_set_of_processors_that_was_chosen_stays(version_1: Path) -> None:
    chosen = version_1 / "cpuset" / "fineline-node" / "cpuset.cpus"
    chosen.write_text("1\n")

    assert control_groups(version_1, "make_cgroups").returncode == 0

    assert chosen.read_text() == "1\n"
    assert (chosen.parent / "node" / "cpuset.cpus").read_text() == "1\n"


def test_with_cgroup_v2_the_first_group_needs_no_set_of_processors(version_2: Path) -> None:
    done = control_groups(version_2, "make_cgroups; cgroup_folders")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{version_2}/fineline-node\n", "")
    assert (version_2 / "fineline-node" / "cpuset.cpus").read_text() == ""


# As the kernel answers: while processes are in a group, it hands nothing down.
BUSY = """
tell() {
  case $1 in
    */cgroup.subtree_control)
      if [[ -s ${1%/*}/cgroup.procs ]]; then echo "Device or resource busy"; else echo "$2" >>"$1"; fi ;;
    */cgroup.procs) sed -i "/^$2\\$/d" "$cgroup_root/cgroup.procs" && echo "$2" >>"$1" ;;
  esac
}
"""


def test_with_cgroup_v2_processes_that_are_in_the_way_are_moved_beside_the_node(version_2: Path) -> None:
    (version_2 / "cgroup.procs").write_text("1\n17\n")

    done = control_groups(version_2, BUSY + "make_cgroups")

    assert (done.returncode, done.stderr) == (0, "")
    assert (version_2 / "others" / "cgroup.procs").read_text() == "1\n17\n"
    wanted = [f"+{controller}" for controller in ("cpu", "cpuset", "memory", "pids", "hugetlb", "io")]
    assert (version_2 / "cgroup.subtree_control").read_text().split() == wanted
    assert (version_2 / "fineline-node" / "cgroup.subtree_control").read_text().split() == wanted


def test_with_cgroup_v2_a_controller_that_is_not_handed_down_is_named(version_2: Path) -> None:
    (version_2 / "fineline-node" / "node" / "cgroup.controllers").write_text("cpuset cpu\n")

    done = control_groups(version_2, "make_cgroups || echo failed")

    assert done.stdout == "failed\n"
    assert done.stderr == f"the control group {version_2} hands no memory down\n"


@pytest.mark.parametrize("version", ["version_1", "version_2"])
def test_a_machine_with_all_control_groups_lacks_nothing(version: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(version)
    before = sorted(root.rglob("*"))

    done = control_groups(root, "cgroups_lack")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(root.rglob("*")) == before


def test_a_controller_that_is_not_there_is_named(version_1: Path) -> None:
    without = [line for line in (version_1 / "mounts").read_text().splitlines(keepends=True) if "/pids" not in line]
    (version_1 / "mounts").write_text("".join(without))

    assert control_groups(version_1, "cgroups_lack").stdout.startswith("the cgroup controller pids is not mounted")


def test_with_cgroup_v2_a_controller_that_is_not_there_is_named(version_2: Path) -> None:
    (version_2 / "cgroup.controllers").write_text("cpuset cpu pids\n")

    assert control_groups(version_2, "cgroups_lack").stdout.startswith("the cgroup controller memory is not mounted")


def test_control_groups_that_can_only_be_read_are_told(version_2: Path) -> None:
    done = in_scratch(
        'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"\n'
        + with_functions("cgroups")
        + "cgroup_root=$1\ncgroups_lack",
        version_2,
    )

    assert done.stdout.startswith(f"no control group can be made in {version_2} (Read-only file system)")


def test_a_control_group_that_hands_nothing_down_is_told(version_2: Path) -> None:
    (version_2 / "cgroup.subtree_control").unlink()
    (version_2 / "cgroup.subtree_control").mkdir()  # what can't be written to, even by root

    assert control_groups(version_2, "cgroups_lack 2>/dev/null").stdout.startswith(
        f"the control group {version_2} hands no controller down (Is a directory)"
    )


def test_a_process_that_ends_while_it_is_looked_at_is_not_left(version_2: Path) -> None:
    (version_2 / "fineline-node" / "cgroup.procs").write_text(f"4194304\n{os.getpid()}\n")  # the first can't be

    (line,) = control_groups(version_2, "processes_left").stdout.splitlines()

    assert line.startswith(f"process {os.getpid()} (")
