"""The times of a long session's stages, and a table of them at its end."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

Stage = Callable[[str], AbstractContextManager[None]]
"""`with stage("install"):` puts the block's time into the table."""

_STAGES = pytest.StashKey["Stages"]()


@dataclass
class Stages:
    """What took how long, in the order in which it began; `failed` names those that an exception ended."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the block. Of several with one name the times are added."""
        before = self.seconds.setdefault(name, 0.0)
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self.failed.add(name)
            raise
        finally:
            self.seconds[name] = before + time.monotonic() - begin

    @property
    def table(self) -> list[str]:
        """A line for each stage; nothing where there was none."""
        width = max(map(len, self.seconds), default=0)
        return [
            f"{name:<{width}}  {seconds:8.1f} s{'  failed' if name in self.failed else ''}"
            for name, seconds in self.seconds.items()
        ]


def register(config: pytest.Config) -> None:
    """Gives a run of tests the fixture `stage`, and the table its place among its closing lines."""
    config.stash[_STAGES] = Stages()
    config.pluginmanager.register(sys.modules[__name__], "stages")


@pytest.fixture(scope="session")
def stage(pytestconfig: pytest.Config) -> Stage:
    return pytestconfig.stash[_STAGES].stage


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if table := config.stash[_STAGES].table:
        terminalreporter.section("stages")
        for line in table:
            terminalreporter.write_line(line)
