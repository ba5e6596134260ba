"""The order in which files of tests are given to the workers of a run: what takes long goes first.

A worker takes its next file as soon as two tests of its last one are left. Were the files with few tests the last ones,
as by xdist's own order, the slowest of all would be: those that start servers and wait for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

SERVERS = frozenset({"control_plane", "cluster", "own_plane", "queued_cluster"})


def slow_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Files with a control plane or an engine first, and of these and of the others those with the fewest tests."""
    tests = Counter(item.path for item in items)
    slow = {item.path for item in items if _is_slow(item)}

    def rank(item: pytest.Item) -> tuple[bool, int, Path]:
        return item.path not in slow, tests[item.path], item.path

    return sorted(items, key=rank)


def _is_slow(item: pytest.Item) -> bool:
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    return not SERVERS.isdisjoint(fixtures) or item.get_closest_marker("engine") is not None
