"""Whose turn it is where `maxActive` bounds how many evaluations run at once: the oldest first. Pure."""

from __future__ import annotations

from fineline_operator.queue import Key
from fineline_operator.world import World


def room(world: World, key: Key, max_active: int) -> tuple[bool, str]:
    """Whether the key's Job may start now, and in words how long the queue before it is (empty without a bound).

    Jobs with a queue name don't count: Kueue decides on those.
    """
    if max_active == 0:
        return True, ""
    active, before = world.active(besides=key), world.waiting_before(key)
    message = f"{active} of at most {max_active} evaluations run (the operator's maxActive)"
    if before:
        message += f"; {before} older {'one waits' if before == 1 else 'ones wait'} before this one"
    return active + before < max_active, message
