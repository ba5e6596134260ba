"""Who has one of the places of `maxActive`, and who waits for one, the oldest first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fineline_operator.queue import Key

Age = tuple[str, Key]


class Places:
    """`wake` is called for those that may have a place now. `max_active` 0 is no bound."""

    def __init__(self, max_active: int, wake: Callable[[Key], None]) -> None:
        self._max_active = max_active
        self._wake = wake
        self._active: dict[Key, int] = {}
        self._starting: dict[Key, int] = {}
        self._waiting: list[Age] = []

    def active(self, besides: Key | None = None) -> int:
        """How many have a place now, those that are being started included."""
        return len((self._active.keys() | self._starting.keys()) - {besides})

    def waiting_before(self, age: Age | None) -> int:
        """How many wait that are older; all of them for one that is not known."""
        return len(self._waiting) if age is None else bisect_left(self._waiting, age)

    def waits(self, age: Age) -> None:
        """It waits for a place."""
        place = bisect_left(self._waiting, age)
        if not self._is_at(place, age):
            self._waiting.insert(place, age)

    def waits_no_more(self, age: Age) -> None:
        """It has one, or needs none any more."""
        place = bisect_left(self._waiting, age)
        if self._is_at(place, age):
            del self._waiting[place]
            self._wake_waiting()

    def taken(self, key: Key) -> None:
        """A Job of it takes a place."""
        self._active[key] = self._active.get(key, 0) + 1

    def given_back(self, key: Key) -> None:
        """A Job of it takes its place no more."""
        _one_less(self._active, key)

    def free(self) -> None:
        """There may be room: those that waited longest are woken, as many as there are places."""
        self._wake_waiting()

    @contextmanager
    def starting(self, key: Key) -> Iterator[None]:
        """Around the request that makes a Job, or lets it run: it takes its place before the watcher tells of it."""
        self._starting[key] = self._starting.get(key, 0) + 1
        try:
            yield
        finally:
            _one_less(self._starting, key)
            if key not in self._starting:
                self._wake_waiting()

    def _is_at(self, place: int, age: Age) -> bool:
        return place < len(self._waiting) and self._waiting[place] == age

    def _wake_waiting(self) -> None:
        room = self._max_active - self.active() if self._max_active else len(self._waiting)
        for _, key in self._waiting[: max(room, 0)]:
            self._wake(key)


def _one_less(counts: dict[Key, int], key: Key) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
