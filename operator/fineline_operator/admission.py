"""Whose turn it is where `maxActive` bounds how many evaluations run at once: the oldest first. Pure."""

from __future__ import annotations

from fineline_operator.queue import Key
from fineline_operator.world import World


def room(world: World, key: Key, max_active: int) -> tuple[bool, str]:
    """Whether the key's Job may start now, and in words what it waits for (empty without a bound).

    Jobs with a queue name don't count: Kueue decides on those. The words stay the same while it waits, so that its
    status is written once.
    """
    if max_active == 0:
        return True, ""
    taken = world.active(besides=key) + world.waiting_before(key)
    at_once = "one evaluation runs" if max_active == 1 else f"{max_active} evaluations run"
    return taken < max_active, f"{at_once} at once at most (the operator's maxActive), and the oldest comes first"
