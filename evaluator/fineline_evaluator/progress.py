"""Progress for whoever reads the log: one JSON object a line on standard output, one line a unit."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass
class Counts:
    """Units of this slice by what became of them."""

    published: int = 0
    reused: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.published + self.reused + self.failed


@dataclass
class Progress:
    """Counts units and writes a line for each; safe from several threads.

    `on_lost` is called once when nobody reads any more: the command that started this process has died.
    """

    of: int
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    on_lost: Callable[[], None] = lambda: None
    counts: Counts = field(default_factory=Counts)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lost: bool = False

    def unit(self, outcome: str, checkpoint: str, task: str, **details: Any) -> None:
        """`outcome` is published, reused or failed."""
        with self._lock:
            setattr(self.counts, outcome, getattr(self.counts, outcome) + 1)
            self._write("unit", outcome=outcome, checkpoint=checkpoint, task=task, **details)

    def checkpoint(self, checkpoint: str, **details: Any) -> None:
        with self._lock:
            self._write("checkpoint", checkpoint=checkpoint, **details)

    def _write(self, event: str, **values: Any) -> None:
        if self._lost:
            return
        line = {"event": event, **values, "done": self.counts.done, "of": self.of}
        try:
            self.stream.write(json.dumps(line) + "\n")
            self.stream.flush()
        except OSError:
            self._lost = True
            self.on_lost()
