"""The programs that tests start, built by hack/tools.sh the first time."""

from __future__ import annotations

import subprocess
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "hack" / "tools.sh"


def find_tool(name: str) -> tuple[Path | None, str]:
    """A program's path, built if need be, or None and the reason."""
    built = subprocess.run([str(TOOLS), name], check=False, capture_output=True, text=True)
    return (None, built.stderr.strip()[-2000:]) if built.returncode else (Path(built.stdout.strip()), "")
