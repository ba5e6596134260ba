"""The programs that tests start, built by hack/tools.sh the first time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "hack" / "tools.sh"


def find_tool(name: str) -> tuple[Path | None, str]:
    """A program's path, built if need be, or None and the reason."""
    built = subprocess.run([str(TOOLS), name], check=False, capture_output=True, text=True)
    return (None, built.stderr.strip()[-2000:]) if built.returncode else (Path(built.stdout.strip()), "")


def tool_to_test_with(name: str) -> Path:
    """A program's path; the test is skipped, with the reason, where it can't be had."""
    binary, reason = find_tool(name)
    if binary is None:
        pytest.skip(f"no {name} to test with: {reason}")
    return binary
