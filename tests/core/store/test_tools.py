"""hack/tools.sh, which builds the programs that tests start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.tools import TOOLS


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLS), *arguments], env={**os.environ, **environment}, check=False, capture_output=True, text=True
    )


@pytest.fixture
def path_without_go(tmp_path: Path) -> str:
    """Folders of programs that hold all that the script needs, but no Go."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "env", "awk", "basename", "dirname", "mkdir", "mktemp", "rm", "mv", "chmod"):
        found = next(Path(folder) / name for folder in os.get_exec_path() if (Path(folder) / name).exists())
        (tmp_path / "bin" / name).symlink_to(found)
    return str(tmp_path / "bin")


def test_a_tool_that_is_there_is_named_without_go(versitygw_binary: Path, path_without_go: str) -> None:
    done = run("versitygw", PATH=path_without_go)
    assert done.returncode == 0
    assert done.stdout == f"{versitygw_binary}\n"
    assert done.stderr == ""


def test_without_go_it_says_what_is_missing(tmp_path: Path, path_without_go: str) -> None:
    done = run("versitygw", PATH=path_without_go, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "go is not installed" in done.stderr
    assert done.stdout == ""


def test_a_tool_that_is_not_known_gets_the_list() -> None:
    for arguments in ((), ("nothing",)):
        done = run(*arguments)
        assert done.returncode == 1
        assert "One of: versitygw" in done.stderr
