"""The node's own programs, by their own tests."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from support.control_plane import REPOSITORY

pytestmark = pytest.mark.e2e


def test_what_a_policy_says_is_what_the_firewall_is_told() -> None:
    if not shutil.which("go"):
        pytest.skip("go is not installed: get it from https://go.dev/dl/")
    done = subprocess.run(
        ["go", "test", "./policies"],
        cwd=REPOSITORY / "hack" / "node" / "programs",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", [[], ["dance"], ["sleep"], ["get"], ["write", "/tmp/file"]])
def test_a_word_that_is_missing_is_asked_for(words: list[str]) -> None:
    built = subprocess.run(
        [str(REPOSITORY / "hack" / "node" / "images.sh")], check=False, capture_output=True, text=True
    )
    if built.returncode:
        pytest.skip(built.stderr.strip())

    done = subprocess.run([f"{built.stdout.strip()}/box", *words], check=False, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.startswith("box: pause | sleep SECONDS |")
