"""How long a call waits for a store, and how often it is tried."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call waits for the store and how often it is tried in all."""

    attempts: int = 8
    connect_seconds: float = 10
    read_seconds: float = 60
    longest_pause_seconds: float = 20

    def pause(self, failures: int) -> None:
        """Waits a random time, longer after each failure, so that many clients don't come back at once."""
        time.sleep(random.random() * min(0.25 * 2**failures, self.longest_pause_seconds))  # noqa: S311 - no secret
