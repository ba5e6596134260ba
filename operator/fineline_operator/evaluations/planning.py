"""Plans an evaluation, and writes the plan as ConfigMaps: the chunks first, the index last.

The index's name follows from the CheckpointEval alone, so a restart, or a second leader, finds the plan that is there.
Chunks of a try that died before its index are never read; they go with the CheckpointEval.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fineline.errors import FinelineError, SpecError
from fineline.plan import Bundle, Plan, PlanFacts, bundle, make_plan, slice_count
from fineline.resources.checkpoint_eval import Checkpoints, SuiteSpec
from fineline.resources.reasons import Reason
from fineline.results import FailedUnit, first_failures
from fineline.store import StoreTable, open_store
from fineline_operator import metrics
from fineline_operator.api import AlreadyExists, Api, ApiError, Forbidden, Invalid, path_of
from fineline_operator.config_maps import config_map, positions_file
from fineline_operator.evaluations.reading import Evaluation, Reader
from fineline_operator.jobs import PLAN_ANNOTATION, chunk_name, index_name, object_metadata
from fineline_operator.telling.problems import Problem, problem_of
from fineline_operator.threads import Threads

POSITIONS_KEY = "positions.yaml"


class Planner:
    """Makes plans: lists in threads of the evaluation's lane, writes through the API."""

    def __init__(self, api: Api, reader: Reader, threads: Threads, stores: StoreTable) -> None:
        self._api = api
        self._reader = reader
        self._threads = threads
        self._stores = stores

    async def plan(self, evaluation: Evaluation, retry: str, lane: str) -> PlanFacts | Problem:
        """The plan's facts once it is written, or why there is none. Raises `ApiError` where the API server fails."""
        try:
            suite_files = await self._suite_files(evaluation)
            positions = await self._positions(evaluation)
            plan, made = await self._threads.run(
                lane, self._made, evaluation, retry, suite_files, positions, datetime.now(UTC)
            )
        except ApiError:
            raise
        except FinelineError as error:
            return problem_of(error)
        try:
            return await self._written(evaluation, retry, plan, made)
        except (Forbidden, Invalid) as error:
            return Problem(Reason.PLAN_REFUSED, str(error))
        except SpecError as error:
            return problem_of(error)

    def _made(
        self,
        evaluation: Evaluation,
        retry: str,
        suite_files: Mapping[str, str] | None,
        positions: str | None,
        now: datetime,
    ) -> tuple[Plan, Bundle]:
        with metrics.store_call("plan"):
            plan = make_plan(
                evaluation.resource,
                results_uri=evaluation.results_uri,
                suite_files=suite_files,
                positions_file=positions,
                datasets_uri=evaluation.datasets_uri,
                stores=self._stores,
                retry=retry,
                now=now,
            )
            failed: tuple[FailedUnit, ...] = ()
            if plan.failed:
                failed = first_failures(open_store(evaluation.results_uri, stores=self._stores), plan.failed)
        count = slice_count(evaluation.spec.pods.parallelism, plan.estimated_tokens, len(plan.todo))
        return plan, bundle(plan, plan.slices(count), made=now, failed_before=failed)

    async def _suite_files(self, evaluation: Evaluation) -> Mapping[str, str] | None:
        suite: SuiteSpec = evaluation.resource.spec.suite
        if suite.config_map is None:
            return None
        return await config_map(self._api, evaluation.seen.namespace, suite.config_map, "spec.suite.configMap")

    async def _positions(self, evaluation: Evaluation) -> str | None:
        checkpoints: Checkpoints = evaluation.resource.spec.checkpoints
        if checkpoints.positions_from is None:
            return None
        return await positions_file(self._api, evaluation.seen.namespace, checkpoints.positions_from.config_map)

    async def _written(self, evaluation: Evaluation, retry: str, plan: Plan, made: Bundle) -> PlanFacts | Problem:
        seen = evaluation.seen
        for number, chunk in enumerate(made.chunks):
            name = chunk_name(seen.name, seen.uid, retry, made.facts.digest, number)
            # Its name has the digest of what is in it: one that is there already is the same.
            await self._create(evaluation, name, chunk, made.facts.digest)
        name = index_name(seen.name, seen.uid, retry)
        if await self._create(evaluation, name, made.index, made.facts.digest):
            addresses = tuple(plan.order.address(unit) for unit in plan.todo)
            self._reader.remember_plan(seen, retry, made.facts, addresses)
            return made.facts
        there = await self._reader.plan(seen, retry)
        return (
            there
            if there is not None
            else Problem(Reason.CLUSTER_UNAVAILABLE, f"the ConfigMap {name} was just deleted", False)
        )

    async def _create(self, evaluation: Evaluation, name: str, entries: Mapping[str, bytes], digest: str) -> bool:
        """Whether this call made it; else it is there already."""
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": object_metadata(evaluation.seen.subject, name, {PLAN_ANNOTATION: digest}),
            "immutable": True,
            "binaryData": {key: base64.b64encode(value).decode() for key, value in entries.items()},
        }
        try:
            await self._api.create(path_of("configmaps", evaluation.seen.namespace), body, metadata_only=True)
        except AlreadyExists:
            return False
        return True
