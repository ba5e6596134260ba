"""What processes of this machine have used: CPU seconds and memory, from /proc (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Of all threads since the process's start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_cpu_seconds() -> float:
    """That all cores were busy since the machine's start, whoever with."""
    user, nice, system, _idle, _wait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS


def memory_mib(pid: int) -> float:
    """What it holds now."""
    return _status(pid, "VmRSS")


def peak_memory_mib(pid: int) -> float:
    """The most that it has held at any moment."""
    return _status(pid, "VmHWM")


def _status(pid: int, what: str) -> float:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines[what].split()[0]) / 1024
