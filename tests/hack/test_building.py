"""What the scripts that build and install say of a machine that can't, and what they do after one ended half-way."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.control_plane import REPOSITORY
from support.tools import TOOLS


def stand_in(file: Path, does: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/bash\n{does}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("go", "lacking"),
    [
        ("echo go version go1.26.8 linux/amd64", ""),
        ("echo go version go1.27 linux/amd64", ""),
        (
            "echo go version go1.19.8 linux/amd64",
            "go 1.19.8 is too old, 1.26.0 is needed: get it from https://go.dev/dl/",
        ),
        (
            "echo 'go: go.mod requires go >= 1.26.0 (running go 1.24.1; GOTOOLCHAIN=local)' >&2; exit 1",
            "go 1.26.0 is needed: go: go.mod requires go >= 1.26.0 (running go 1.24.1; GOTOOLCHAIN=local)",
        ),
    ],
)
def test_a_go_that_is_too_old_is_told(tmp_path: Path, go: str, lacking: str) -> None:
    stand_in(tmp_path / "go", go)
    (tmp_path / "go.mod").write_text("module some\n\ngo 1.26.0\n")

    said = subprocess.check_output(
        ["bash", "-c", f'set -euo pipefail; source "{REPOSITORY}/hack/go.sh"; go_lacks "$1"', "bash", str(tmp_path)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        text=True,
    )

    assert said.strip() == lacking


def test_why_a_module_can_not_be_fetched_is_said(tmp_path: Path) -> None:
    if not shutil.which("go"):
        pytest.skip("go is not installed: get it from https://go.dev/dl/")
    done = subprocess.run(
        [str(TOOLS), "helm"],
        env={
            **os.environ,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "GOMODCACHE": str(tmp_path / "modules"),
            "GOPROXY": "off",
        },
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("hack/tools.sh: helm.sh/helm/v4@v")
    assert done.stderr.rstrip().endswith("module lookup disabled by GOPROXY=off")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """hack/setup.sh with a lock, and a Python whose environments have a pip and, once that was called, a uv."""
    (tmp_path / "hack").mkdir()
    shutil.copy(REPOSITORY / "hack" / "setup.sh", tmp_path / "hack")
    (tmp_path / "locks").mkdir()
    lock = [
        f"{name} \\\n    --hash=sha256:{name[:2] * 2}\n    # via some\n" for name in ("other==1", "uv==7", "uvx==2")
    ]
    (tmp_path / "locks" / "dev.txt").write_text("".join(lock))
    stand_in(tmp_path / "uv", f'echo "uv $*" >>{tmp_path}/called')
    stand_in(
        tmp_path / "python",
        f"""
        echo "python $*" >>{tmp_path}/called
        case "$*" in
          "-m venv "*) rm -rf {tmp_path}/venv; mkdir -p {tmp_path}/venv/bin; cp "$0" {tmp_path}/venv/bin/python ;;
          "-m pip install "*) cat {tmp_path}/venv/uv.txt >>{tmp_path}/called; cp {tmp_path}/uv {tmp_path}/venv/bin/uv ;;
        esac
        """,
    )
    return tmp_path


def set_up(checkout: Path) -> list[str]:
    """What was called for it, but for the look at Python's version."""
    (checkout / "called").write_text("")
    subprocess.run([f"{checkout}/hack/setup.sh", f"{checkout}/python", f"{checkout}/venv"], check=True)
    return [line for line in (checkout / "called").read_text().splitlines() if not line.startswith("python -c")]


def test_an_environment_whose_making_was_ended_half_way_is_made_again(checkout: Path) -> None:
    stand_in(checkout / "venv" / "bin" / "python", "echo No module named pip >&2; exit 1")

    made, installed, *uv, synced, own = set_up(checkout)

    assert made == f"python -m venv {checkout}/venv"
    assert "--require-hashes" in installed
    # The version of the lock, with its digests, and nothing else of it.
    assert uv == ["uv==7 \\", "    --hash=sha256:uvuv", "    # via some"]
    assert synced.startswith("uv pip sync")
    assert own.startswith("uv pip install")


def test_an_environment_that_is_whole_is_not_made_again(checkout: Path) -> None:
    set_up(checkout)

    assert [line.split()[:3] for line in set_up(checkout)] == [
        ["uv", "--version"],
        ["uv", "pip", "sync"],
        ["uv", "pip", "install"],
    ]
