"""Runs a program that a model wrote, in a process of its own.

What is held: processor time, memory, file size, number of processes, wall time; the working directory is a temporary
one, the environment is empty, and there is no network where the kernel lets a process give it up (as root, or with user
namespaces). It is a fence against accidents and not against an attacker: such tasks belong into a pod without
credentials, which is why they must be asked for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

CPU_SECONDS = 3
WALL_SECONDS = 20.0

_CHILD = Path(__file__).with_name("sandbox_child.py")


def passes(program: str, *, wall_seconds: float = WALL_SECONDS) -> bool:
    """Whether the program runs to its end without an exception.

    Ending early does not count as passing: the child says a word at the end that only it was told.
    """
    word = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="fineline-program-") as folder:
        reading, writing = os.pipe()
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_CHILD), str(writing), str(CPU_SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "HOME": folder, "TMPDIR": folder},
                pass_fds=[writing],
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                child.communicate(f"{word}\n{program}".encode(), timeout=wall_seconds)
        finally:
            # Whatever the program started is in its session, and goes with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        os.set_blocking(reading, False)
        with open(reading, "rb") as said:  # noqa: PTH123 - a file descriptor
            return (said.read() or b"") == word.encode()
