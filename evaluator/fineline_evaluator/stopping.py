"""Stopping in order: SIGTERM lets the unit in progress finish if the grace time allows, and never leaves a half one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


class Stop:
    """Whether to stop after the unit in progress. Past the grace time `out_of_time` is called, in a thread of its own:
    it publishes what is scored and ends the process."""

    def __init__(self, grace_seconds: float, out_of_time: Callable[[], None] | None = None) -> None:
        self._grace_seconds = grace_seconds
        self._requested = threading.Event()
        self._timer: threading.Timer | None = None
        self.out_of_time = out_of_time

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    def listen(self) -> None:
        """From now on SIGTERM and SIGINT ask for a stop. Call in the main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def request(self) -> None:
        """Asks for a stop; the first call starts the grace time."""
        if self._requested.is_set():
            return
        self._requested.set()
        if self.out_of_time is not None:
            self._timer = threading.Timer(self._grace_seconds, self.out_of_time)
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """The work ended in time."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_signal(self, signal_number: int, frame: FrameType | None) -> None:
        del signal_number, frame
        self.request()
