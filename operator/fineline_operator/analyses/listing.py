"""Lists the commits of an analysis's runs, and reads what the newest analysis says: in a thread, keeping no names."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from fineline.errors import FinelineError, ResultError
from fineline.results.analyses import (
    AnalysisManifest,
    CommitsDigest,
    Latest,
    analysis_folder,
    listed_commits,
    read_in,
    read_pointed,
    read_pointer,
)
from fineline.store import Store, StoreTable, open_store
from fineline_operator import metrics
from fineline_operator.analyses.observed import Asked, Listed
from fineline_operator.analyses.outcome import states_of
from fineline_operator.telling.problems import Problem, problem_of
from fineline_operator.threads import Threads

_DIGEST = re.compile(r"[0-9a-f]{16}")


class Listing:
    """Lists in threads of the analysis's lane."""

    def __init__(self, threads: Threads, stores: StoreTable) -> None:
        self._threads = threads
        self._stores = stores

    async def listed(
        self, lane: str, name: str, asked: Asked, tried: datetime | None, told: str = ""
    ) -> Listed | Problem:
        """What there is now. `name` is the analysis's among the results, `tried` when its newest Job was made, `told`
        the digest of the analysis that the status tells of, where it has not room for all. A `Problem` where the store
        does not answer, or denies."""
        try:
            return await self._threads.run(lane, self._list, name, asked, tried, told)
        except FinelineError as error:
            return problem_of(error)

    def _list(self, name: str, asked: Asked, tried: datetime | None, told: str) -> Listed:
        at, began = datetime.now(UTC), time.monotonic()
        with metrics.store_call("commits"):
            store = open_store(asked.results_uri, stores=self._stores)
            pointer, latest, unreadable = _latest(store, name)
            previous = _states(store, name, told) if told and latest is not None and latest.digest != told else {}
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
            published_at=pointer.written_at if pointer is not None else None,
            unreadable=unreadable,
            previous=previous,
        )


def _latest(store: Store, name: str) -> tuple[Latest | None, AnalysisManifest | None, str]:
    try:
        pointer = read_pointer(store, name)
        return pointer, read_pointed(store, name, pointer) if pointer is not None else None, ""
    except ResultError as error:
        return None, None, str(error)


def _states(store: Store, name: str, digest: str) -> Mapping[str, str]:
    """The states of all runs by this analysis; none where it is gone."""
    if _DIGEST.fullmatch(digest) is None:
        return {}  # no program of ours wrote it, and a name may be anything
    try:
        found = read_in(store, name, f"{analysis_folder(name)}{digest}/")
    except ResultError:
        return {}
    return states_of(found) if found is not None else {}
