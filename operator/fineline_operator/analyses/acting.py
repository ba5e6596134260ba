"""Carries out what was decided about one TrajectoryAnalysis: Jobs, events and status. Every write may come twice."""

from __future__ import annotations

from datetime import datetime

from fineline.resources.analysis_reasons import AnalysisReason
from fineline_operator.analyses.decision import CreateJob, Decision, DeleteJob
from fineline_operator.analyses.observed import AnalysisJob, AnalysisSeen, Asked
from fineline_operator.analyses.outcome import next_status
from fineline_operator.analyses.reading import Reader, analysis_job
from fineline_operator.api import AlreadyExists, Api, Forbidden, Invalid, NotFound, Unavailable
from fineline_operator.jobs.analysis_job import analysis_job_body
from fineline_operator.paths import path_of
from fineline_operator.telling.events import Teller
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.status import apply_status


class Actor:
    """Writes through the API."""

    def __init__(self, api: Api, reader: Reader) -> None:
        self._api = api
        self._reader = reader
        self._teller = Teller(api)

    async def create_job(self, seen: AnalysisSeen, asked: Asked, action: CreateJob) -> AnalysisJob | Problem:
        """The Job, made now or found there; or why there can be none. `ApiError` where trying again may help."""
        subject = seen.subject
        body = analysis_job_body(subject, action.inputs, asked.template, asked.template_digest)
        try:
            return analysis_job(await self._api.create(path_of("jobs", subject.namespace), body))
        except AlreadyExists:
            there = await self._reader.job(seen, body["metadata"]["name"])
            gone = Problem(AnalysisReason.CLUSTER_UNAVAILABLE, "the Job was just deleted", lasting=False)
            return there if there is not None else gone
        except Invalid as error:
            message = f"spec.pods.template: the API server does not take the Job made with it: {error}"
            return Problem(AnalysisReason.TEMPLATE_INVALID, message)
        except Forbidden as error:
            return Problem(AnalysisReason.JOB_REFUSED, str(error))
        except Unavailable as error:
            if not error.status:
                raise  # nobody is there to write a status to either
            return Problem(AnalysisReason.CLUSTER_UNAVAILABLE, f"The Job can't be made: {error}", lasting=False)

    async def carry_out(self, seen: AnalysisSeen, decision: Decision, now: datetime) -> bool:
        """Whether the status was written. Events come before it: a decision names them until the status shows what they
        tell, and one that is told twice is told once, by its name."""
        for action in decision.delete:
            await self._delete_job(seen, action)
        for told in decision.events:
            await self._teller.tell(seen.subject, told.event, now, attempt=told.occasion)
        if decision.status is None:
            return False
        status = next_status(seen, decision.status, now)
        if status is None:
            return False
        return await apply_status(self._api, "trajectoryanalyses", seen.subject, status)

    async def _delete_job(self, seen: AnalysisSeen, action: DeleteJob) -> None:
        """Its pods go with it. Nothing where it is gone; `Conflict` where another has its name by now."""
        try:
            await self._api.delete(path_of("jobs", seen.subject.namespace, action.name), uid=action.uid)
        except NotFound:
            return
