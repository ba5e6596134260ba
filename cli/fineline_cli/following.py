"""Evaluations on a cluster as they change: listed, then watched, and listed again whenever the watch is lost."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from fineline.errors import ClusterError
from fineline_cli.cluster import Cluster
from fineline_cli.reported import Reported, reported

PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 10.0

GIVE_UP_SECONDS = 300.0
"""A cluster that can't be reached for so long ends the watch with an error, so that nothing hangs for ever."""


SETTLE_SECONDS = 20.0
"""An API server that has just started may refuse for a while what it allowed before."""

Known = dict[tuple[str, str], Reported]
"""By namespace and name."""


@dataclass(frozen=True)
class Seen:
    """What is new since the last time. `lost` says why the cluster can't be reached, where it can't."""

    changed: tuple[Reported, ...] = ()
    gone: tuple[Reported, ...] = ()
    lost: str = ""


def follow(cluster: Cluster, namespace: str | None, name: str | None, known: Known) -> Iterator[Seen]:
    """Keeps `known` as the cluster has it and says what is new: first all, then each change, without end.

    `ClusterError` where asking again can't help, or has not helped for GIVE_UP_SECONDS.
    """
    # The first time a person looks on, and should not be kept waiting.
    patience = 0.0
    while True:
        version: str | None = yield from _list(cluster, namespace, name, known, patience)
        patience = GIVE_UP_SECONDS
        first = True
        while version is not None:
            began = time.monotonic()
            version = yield from _watch(cluster, namespace, name, known, version, first=first)
            first = False
            # A watch that ends at once, as behind a proxy that bears none, must not become a flood of requests.
            if time.monotonic() - began < PAUSE_SECONDS:
                time.sleep(PAUSE_SECONDS)


def _list(
    cluster: Cluster, namespace: str | None, name: str | None, known: Known, patience: float
) -> Generator[Seen, None, str]:
    """All there is, as soon as the cluster answers, for which it has `patience` seconds; the version that it is of."""
    lost_since: float | None = None
    pause = PAUSE_SECONDS
    while True:
        try:
            listing = cluster.evaluations(namespace, name)
        except ClusterError as error:
            now = time.monotonic()
            lost_since = now if lost_since is None else lost_since
            if now - lost_since >= (min(patience, SETTLE_SECONDS) if error.permanent else patience):
                raise
            yield Seen(lost=str(error))
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
            continue
        listed = {each.place: each for each in map(reported, listing.bodies)}
        gone = tuple(each for key, each in known.items() if key not in listed)
        changed = tuple(each for key, each in listed.items() if known.get(key) != each)
        for each in gone:
            del known[each.place]
        known.update(listed)
        yield Seen(changed, gone)
        return listing.version


def _watch(
    cluster: Cluster, namespace: str | None, name: str | None, known: Known, version: str, *, first: bool
) -> Generator[Seen, None, str | None]:
    """Each change until the server ends the watch; the version to go on from, None where it must be listed again.

    A lasting fault of the `first` watch after a listing is raised: else one without the right to watch would be listed
    again for ever.
    """
    try:
        for change in cluster.watch(namespace, name, version):
            version = change.version
            if change.kind == "BOOKMARK":
                continue
            evaluation = reported(change.body)
            if change.kind == "DELETED":
                known.pop(evaluation.place, None)
                yield Seen(gone=(evaluation,))
            elif known.get(evaluation.place) != evaluation:
                known[evaluation.place] = evaluation
                yield Seen(changed=(evaluation,))
    except ClusterError as error:
        if error.permanent and first:
            raise
        return None
    return version
