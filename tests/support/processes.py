"""Server processes of tests: logged to a file, ended by their id, and by the kernel should the tests be killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Server:
    """A program with its options, which can be started, ended and started again.

    Start it from a thread that lives as long as it: the kernel's tie is to the thread, not to the process.
    """

    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process; raises RuntimeError where there is none."""
        if self.process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        tied = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*tied, *map(str, self.command)],
                env={"PATH": os.environ["PATH"], **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the tests, which end their servers in order.
                start_new_session=True,
            )

    def end(self, *, at_once: bool = False, seconds: float = 10) -> None:
        """Ends it: politely, and after some seconds firmly; firmly from the start where `at_once`."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 60) -> None:
        """Returns when `ready` says so. Raises RuntimeError with the log's end where the program ends or time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.running:
            if ready():
                return
            time.sleep(0.05)
        told = self.log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{self.name} {'is not ready' if self.running else 'ended'}: {told}")


def lasting_port() -> int:
    """A port that is free now and that no outgoing connection will take while its server is down for a moment."""
    while True:
        port = random.randint(15000, 32000)  # below what Linux gives to outgoing connections
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
