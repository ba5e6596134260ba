"""hack/node.sh where the cluster is no node of its own: one that is given, or kind's. Stand-ins are called for both."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hack.scripts import NODE, bash


def test_a_cluster_of_ones_own_is_asked_by_the_kubectl_that_is_installed(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("")
    (tmp_path / "kubectl").write_text('#!/bin/bash\necho "$KUBECONFIG" "$@"\n')
    (tmp_path / "kubectl").chmod(0o755)
    given = {"FINELINE_E2E_KUBECONFIG": str(kubeconfig), "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    assert bash("hack/node.sh kubectl get nodes", environment=given).stdout == f"{kubeconfig} get nodes\n"
    assert bash("hack/node.sh up", environment=given).stdout == f"{kubeconfig}\n"
    load = bash("hack/node.sh load some.tar", environment=given)
    assert (load.returncode, load.stderr.count("\n")) == (1, 1)
    assert "push them to a registry" in load.stderr


def test_a_cluster_of_ones_own_without_kubectl_is_told(tmp_path: Path) -> None:
    for name in ("bash", "env", "dirname", "realpath"):
        (tmp_path / name).symlink_to(shutil.which(name) or pytest.skip(f"{name} is not installed"))

    done = bash(
        "hack/node.sh kubectl get nodes",
        environment={"FINELINE_E2E_KUBECONFIG": "/dev/null", "PATH": str(tmp_path)},
    )

    assert (done.returncode, done.stderr) == (1, "hack/node.sh: kubectl is not installed\n")


class Kind:
    """The scripts with stand-ins for Docker and kind; each call of kind is written down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        node = folder / "hack" / "node"
        node.mkdir(parents=True)
        for name in ("kind.sh", "settings.sh"):
            shutil.copy(NODE / name, node)
        self.stand_in("bin/docker", "")
        self.stand_in("hack/tools.sh", f"echo {folder}/bin/kind")
        self.stand_in("hack/control-plane.sh", f"echo {folder}/bin")
        self.stand_in("hack/node/images.sh", f"echo {folder}")
        self.stand_in("bin/kubectl", f"[[ -e {folder}/answers ]]")
        # Whichever command has --kubeconfig FILE writes it.
        self.stand_in(
            "bin/kind",
            f"""
            echo "$1 $2" >>{folder}/called
            [[ "$1 $2" != "get clusters" ]] || cat {folder}/clusters 2>/dev/null
            [[ "$1 $2" != "create cluster" ]] || {{ echo fineline-node >{folder}/clusters; touch {folder}/answers; }}
            [[ "${{3:-}}" != --kubeconfig ]] || touch "$4"
            """,
        )

    def stand_in(self, path: str, does: str) -> None:
        file = self.folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/bash\n{does}\n")
        file.chmod(0o755)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return bash(
            f"{self.folder}/hack/node/kind.sh {command}",
            environment={"PATH": path, "XDG_CACHE_HOME": str(self.folder / "cache")},
        )

    def called(self) -> list[str]:
        return [line for line in (self.folder / "called").read_text().splitlines() if line != "get clusters"]


def test_a_kind_cluster_whose_kubeconfig_is_gone_gets_it_back(tmp_path: Path) -> None:
    kind = Kind(tmp_path)
    kubeconfig = Path(kind.run("up").stdout.strip())
    kubeconfig.unlink()

    again = kind.run("up")

    assert (again.returncode, again.stdout) == (0, f"{kubeconfig}\n")
    assert kubeconfig.exists()
    assert kind.called().count("create cluster") == 1


def test_a_kind_cluster_that_does_not_answer_is_told_and_left(tmp_path: Path) -> None:
    kind = Kind(tmp_path)
    (tmp_path / "clusters").write_text("fineline-node\n")  # as where its making was killed

    done = kind.run("up")

    assert (done.returncode, done.stdout) == (1, "")
    assert "it does not answer: hack/node.sh down takes it away" in done.stderr
    assert "delete cluster" not in kind.called()
