"""Runs the scripts of hack/node, or functions of theirs: as they are, or in a scratch world of mounts and a network
where nothing of this machine's is, and where they may do as they like."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from support.control_plane import REPOSITORY

NODE = REPOSITORY / "hack" / "node"

# A machine with cgroup v2, no node, no interfaces, and nothing else that the scripts would meet.
SCRATCH = """
set -euo pipefail
mount -t tmpfs none /run && mkdir /run/lock
mount -t tmpfs none /var/lib
mount -t sysfs none /sys
mount -t tmpfs none /sys/fs/cgroup
echo "cpuset cpu io memory hugetlb pids" >/sys/fs/cgroup/cgroup.controllers
echo "memory" >/sys/fs/cgroup/cgroup.subtree_control
touch /sys/fs/cgroup/cgroup.procs
ip link set lo up
state=/run/fineline-node group=/sys/fs/cgroup/fineline-node node=hack/node.sh
"""


def bash(
    script: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script, "bash", *map(str, arguments)],
        env={**os.environ, **(environment or {})},
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def with_functions(*files: str) -> str:
    """The beginning of a script that has the functions of these files."""
    return "set -euo pipefail\n" + "".join(f'source "{NODE}/{file}.sh"\n' for file in ("settings", *files))


def in_scratch(
    script: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs root, unshare and ip for a world of its own")
    if subprocess.run(["unshare", "--mount", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets root make no namespaces")
    enter = 'inner=$1; shift; exec unshare --mount --net --propagation private bash -c "$inner" bash "$@"'
    return bash(enter, SCRATCH + script, *arguments, environment=environment)


def in_scratch_with_a_node_possible(
    script: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    if reason := _missing():
        pytest.skip(reason)
    return in_scratch(script, *arguments, environment=environment)


@cache
def _missing() -> str:
    check = in_scratch("$node check")
    return check.stderr.strip() if check.returncode else ""
