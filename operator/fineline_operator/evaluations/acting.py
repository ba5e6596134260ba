"""Carries out what was decided about one CheckpointEval: its Job, status and events. Every write may come twice."""

from __future__ import annotations

from datetime import datetime

from fineline.errors import SpecError
from fineline.plan import PlanFacts
from fineline.resources.reasons import Reason
from fineline_operator.api import (
    AlreadyExists,
    Api,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
    path_of,
)
from fineline_operator.evaluations.decision import DeleteJob, PatchJob, SetWorkloadActive, StatusWanted
from fineline_operator.evaluations.observed import EvaluationSeen, JobSeen
from fineline_operator.evaluations.reading import Evaluation, Reader
from fineline_operator.evaluations.status import next_status
from fineline_operator.jobs import job_body, job_seen
from fineline_operator.settings import OperatorSettings
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.status import apply_status


class Actor:
    """Writes through the API."""

    def __init__(self, api: Api, reader: Reader, settings: OperatorSettings) -> None:
        self._api = api
        self._reader = reader
        self._settings = settings

    async def create_job(self, evaluation: Evaluation, facts: PlanFacts, *, suspended: bool) -> JobSeen | Problem:
        """The plan's Job, made now or found there; or why there can be none. `ApiError` where trying again may help."""
        seen = evaluation.seen
        try:
            body = job_body(seen, facts, self._settings, suspended=suspended)
        except SpecError as error:
            return Problem(error.reason, str(error))
        try:
            return job_seen(await self._api.create(path_of("jobs", seen.namespace), body))
        except AlreadyExists:
            there = await self._reader.job(seen, body["metadata"]["name"])
            return (
                there if there is not None else Problem(Reason.CLUSTER_UNAVAILABLE, "the Job was just deleted", False)
            )
        except Invalid as error:
            message = f"spec.pods.template: the API server does not take the Job made with it: {error}"
            return Problem(Reason.TEMPLATE_INVALID, message)
        except Forbidden as error:
            return Problem(Reason.JOB_REFUSED, str(error))
        except Unavailable as error:
            if not error.status:
                raise  # nobody is there to write a status to either
            return Problem(Reason.CLUSTER_UNAVAILABLE, f"The Job can't be made: {error}", lasting=False)

    async def delete_job(self, evaluation: EvaluationSeen, action: DeleteJob) -> None:
        """Its pods go with it. Nothing where it is gone; `Conflict` where another has its name by now."""
        try:
            await self._api.delete(path_of("jobs", evaluation.namespace, action.name), uid=action.uid)
        except NotFound:
            return

    async def patch_job(self, evaluation: EvaluationSeen, action: PatchJob) -> None:
        """Nothing where it is gone: its end wakes the next look."""
        changes = {
            "parallelism": action.parallelism,
            "suspend": action.suspend,
            "ttlSecondsAfterFinished": action.ttl_seconds,
        }
        spec = {name: value for name, value in changes.items() if value is not None}
        try:
            await self._api.merge_patch(path_of("jobs", evaluation.namespace, action.name), {"spec": spec})
        except NotFound:
            return

    async def set_workload_active(self, evaluation: EvaluationSeen, action: SetWorkloadActive) -> None:
        """Kueue's switch."""
        path = path_of("workloads", evaluation.namespace, action.name)
        try:
            body = await self._api.merge_patch(path, {"spec": {"active": action.active}})
        except NotFound:
            return
        await self._reader.remember_workload(evaluation, body)

    async def write_status(self, evaluation: EvaluationSeen, wanted: StatusWanted, now: datetime) -> bool:
        """Writes the status where it differs; says whether it did. Nothing where the CheckpointEval is gone.

        `Conflict` where others wrote at the same moment, or a namesake stands there by now: to be looked at anew.
        """
        status = next_status(evaluation, wanted, now)
        if status is None:
            return False
        return await apply_status(self._api, "checkpointevals", evaluation.subject, status)
