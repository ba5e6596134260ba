"""An operator that is killed (-9) by its own writes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.api_faults import ApiProxy, Asked, api_proxy
from support.control_plane import ControlPlane
from support.lab import BUCKET, operator_settings
from support.operator import Operator, install_operator, start_operator
from support.versitygw import S3Server


def _never(_: Asked) -> bool:
    return False


@dataclass
class Victim:
    """An operator behind a proxy. It is killed once the API server has carried out a write that it `dies` of, and
    before it hears of it; a Lease is no such write, nor is what was refused: it changes nothing."""

    operator: Operator
    proxy: ApiProxy
    dies: Callable[[Asked], bool] = _never

    def __post_init__(self) -> None:
        self.proxy.on_answer = self._answered

    def spare(self) -> None:
        """It is killed no more."""
        self.dies = _never

    def _answered(self, asked: Asked) -> None:
        counts = asked.write and asked.status in (200, 201) and "/leases" not in asked.path
        if counts and self.operator.running and self.dies(asked):
            os.kill(self.operator.pid, signal.SIGKILL)

    def survive(self) -> None:
        """Starts it again where it was killed. To be called by the test's own thread."""
        if not self.operator.running:
            self.operator.start()

    def survives_until(self, true: Callable[[], object]) -> Callable[[], bool]:
        """For `wait_for`: started again whenever it was killed before something is true."""

        def is_so() -> bool:
            self.survive()
            return bool(true())

        return is_so


@contextlib.contextmanager
def victim(plane: ControlPlane, server: S3Server, folder: Path) -> Iterator[Victim]:
    """One in a namespace of its own, until the end of the block."""
    home = plane.make_namespace("operator")
    settings = operator_settings(server, f"s3://{BUCKET}/", folder, lease={"seconds": 4})
    with api_proxy(plane) as proxy:
        kubeconfig = proxy.kubeconfig(install_operator(plane, home))
        # The same identity each time: it need not wait for the end of its own Lease.
        with start_operator(folder / "operator", kubeconfig, settings=settings, identity="victim") as operator:
            yield Victim(operator, proxy)
    plane.delete_namespace(home)
