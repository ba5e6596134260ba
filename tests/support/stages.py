"""The times of a long session's stages, for a table at its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Stages:
    """What took how long, in the order in which it ended; `failed` names those that an exception ended."""

    seconds: list[tuple[str, float]] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the block."""
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self.failed.add(name)
            raise
        finally:
            self.seconds.append((name, time.monotonic() - begin))

    @property
    def table(self) -> list[str]:
        """A line for each stage; nothing where there was none."""
        width = max((len(name) for name, _ in self.seconds), default=0)
        return [
            f"{name:<{width}}  {seconds:8.1f} s{'  failed' if name in self.failed else ''}"
            for name, seconds in self.seconds
        ]
