"""What the store says of a plan's units: committed, failed for good, or neither yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fineline.errors import FinelineError
from fineline.plan import PlanFacts
from fineline.resources.status import Failure
from fineline.results import UnitAddress, first_failures, planned_states
from fineline.store import StoreTable, open_store
from fineline_operator import metrics
from fineline_operator.evaluations.observed import CommitsSeen
from fineline_operator.telling.problems import Problem, problem_of
from fineline_operator.threads import Threads


class Commits:
    """Lists results in threads of the evaluation's lane."""

    def __init__(self, threads: Threads, stores: StoreTable) -> None:
        self._threads = threads
        self._stores = stores

    async def seen(
        self, lane: str, facts: PlanFacts, addresses: Sequence[UnitAddress], ended_indexes: int, now: datetime
    ) -> CommitsSeen | Problem:
        """Counts over these units of the plan. A `Problem` where the store does not answer, or denies."""
        try:
            return await self._threads.run(lane, self._list, facts, addresses, ended_indexes, now)
        except FinelineError as error:
            return problem_of(error)

    def _list(
        self, facts: PlanFacts, addresses: Sequence[UnitAddress], ended_indexes: int, now: datetime
    ) -> CommitsSeen:
        with metrics.store_call("progress"):
            store = open_store(facts.results_uri, stores=self._stores)
            states = planned_states(store, addresses, facts.retry)
            failed = [address for address in addresses if (state := states.get(address)) and state.failed_for_good]
            failures = first_failures(store, failed) if failed else ()
        return CommitsSeen(
            published=sum(1 for address in addresses if (state := states.get(address)) and state.committed),
            failed=len(failed),
            failures=tuple(
                Failure(checkpoint=item.checkpoint, task=item.task, reason=item.reason, message=item.message)
                for item in failures
            ),
            at=now,
            ended_indexes=ended_indexes,
        )
