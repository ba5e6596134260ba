"""Lists the commits of an analysis's runs, and reads what the newest analysis says: in a thread, keeping no names."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from fineline.errors import FinelineError, ResultError
from fineline.results.analyses import AnalysisManifest, CommitsDigest, listed_commits, read_latest
from fineline.store import Store, StoreTable, open_store
from fineline_operator import metrics
from fineline_operator.analyses.observed import Asked, Listed
from fineline_operator.telling.problems import Problem, problem_of
from fineline_operator.threads import Threads


class Listing:
    """Lists in threads of the analysis's lane."""

    def __init__(self, threads: Threads, stores: StoreTable) -> None:
        self._threads = threads
        self._stores = stores

    async def listed(self, lane: str, name: str, asked: Asked, tried: datetime | None) -> Listed | Problem:
        """What there is now. `name` is the analysis's among the results, `tried` when its newest Job was made. A
        `Problem` where the store does not answer, or denies."""
        try:
            return await self._threads.run(lane, self._list, name, asked, tried)
        except FinelineError as error:
            return problem_of(error)

    def _list(self, name: str, asked: Asked, tried: datetime | None) -> Listed:
        at, began = datetime.now(UTC), time.monotonic()
        with metrics.store_call("commits"):
            store = open_store(asked.results_uri, stores=self._stores)
            latest, unreadable = _latest(store, name)
            after = max(filter(None, (latest.listed_at if latest is not None else None, tried)), default=None)
            digest, newest, oldest = CommitsDigest(), None, None
            for commit in listed_commits(store, asked.runs):
                digest.add(commit)
                newest = commit.modified if newest is None else max(newest, commit.modified)
                if after is None or commit.modified > after:
                    oldest = commit.modified if oldest is None else min(oldest, commit.modified)
        return Listed(
            scope=asked.scope,
            at=at,
            seconds=time.monotonic() - began,
            commits=digest.count,
            digest=digest.hexdigest(),
            newest=newest,
            oldest=oldest,
            latest=latest,
            unreadable=unreadable,
        )


def _latest(store: Store, name: str) -> tuple[AnalysisManifest | None, str]:
    try:
        return read_latest(store, name), ""
    except ResultError as error:
        return None, str(error)
