"""Reads what a decision about one TrajectoryAnalysis rests on, but for its stores: the API server's side."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fineline.errors import SpecError
from fineline.resources import TrajectoryAnalysis, TrajectoryAnalysisSpec, validated
from fineline.resources.analysis_reasons import AnalysisReason
from fineline.resources.analysis_status import TrajectoryAnalysisStatus
from fineline.results.analyses import settings_digest
from fineline.store.uri import parse_uri
from fineline_operator.analyses.observed import AnalysisJob, AnalysisSeen, Asked
from fineline_operator.api import Api, NotFound
from fineline_operator.evaluations.observed import PodsSeen
from fineline_operator.jobs import job_seen, pod_projection, pods_seen
from fineline_operator.jobs.analysis_job import (
    ATTEMPT_ANNOTATION,
    COMMITS_ANNOTATION,
    COMMITS_DIGEST_ANNOTATION,
    OCCASION_ANNOTATION,
    SETTINGS_DIGEST_ANNOTATION,
    analysis_template,
    digest_of_template,
)
from fineline_operator.jobs.ownership import ANALYSIS_LABEL
from fineline_operator.jobs.pods import last_words
from fineline_operator.jobs.seen import moment
from fineline_operator.paths import path_of
from fineline_operator.settings import OperatorSettings
from fineline_operator.stores import not_allowed
from fineline_operator.telling.problems import Problem
from fineline_operator.telling.subject import Subject
from fineline_operator.world import ANALYSIS

_POD_JOB = "batch.kubernetes.io/job-name"


class Reader:
    """Reads through the API. Keeps nothing."""

    def __init__(self, api: Api, settings: OperatorSettings) -> None:
        self._api = api
        self._settings = settings

    async def analysis(self, namespace: str, name: str) -> tuple[AnalysisSeen, Asked | Problem] | None:
        """The resource, and what it asks for or why that can't be meant; None where it is gone."""
        try:
            body = await self._api.get(path_of("trajectoryanalyses", namespace, name))
        except NotFound:
            return None
        try:
            spec = validated(TrajectoryAnalysis, body, f"{namespace}/{name}").spec
        except SpecError as error:
            return analysis_seen(body, None), Problem(AnalysisReason.SPEC_INVALID, str(error))
        seen = analysis_seen(body, spec)
        try:
            return seen, asked(seen, spec, self._settings)
        except SpecError as error:
            return seen, Problem(error.reason, str(error))

    async def jobs(self, seen: AnalysisSeen) -> tuple[AnalysisJob, ...]:
        """All of its Jobs, as the API server has them now: the watch may be behind, and two at once are none."""
        selector = f"{ANALYSIS_LABEL}={seen.subject.uid}"
        bodies = self._api.list(path_of("jobs", seen.subject.namespace), label_selector=selector)
        return tuple([analysis_job(body) async for body in bodies])

    async def job(self, seen: AnalysisSeen, name: str) -> AnalysisJob | Problem | None:
        """The Job of that name; a problem where it is somebody else's; None where there is none."""
        try:
            body = await self._api.get(path_of("jobs", seen.subject.namespace, name))
        except NotFound:
            return None
        owners = body["metadata"].get("ownerReferences") or ()
        if any(owner.get("uid") == seen.subject.uid for owner in owners):
            return analysis_job(body)
        return Problem(
            AnalysisReason.NAME_TAKEN,
            f"the Job {name} is there and does not belong to this TrajectoryAnalysis: delete or rename it",
        )

    async def pods(self, seen: AnalysisSeen, job: str, now: datetime) -> PodsSeen:
        """What the pods of this Job suffer from."""
        return pods_seen([pod_projection(body) for body in await self._pods(seen, job)], now)

    async def last_words(self, seen: AnalysisSeen, job: str) -> str:
        """The last line of the newest pod of this Job that failed; empty where there is none."""
        bodies = await self._pods(seen, job)
        bodies.sort(key=lambda body: str(body["metadata"].get("creationTimestamp") or ""), reverse=True)
        return next((words for body in bodies if (words := last_words(body))), "")

    async def _pods(self, seen: AnalysisSeen, job: str) -> list[dict[str, Any]]:
        selector = f"{ANALYSIS_LABEL}={seen.subject.uid},{_POD_JOB}={job}"
        bodies = self._api.list(path_of("pods", seen.subject.namespace), label_selector=selector)
        return [body async for body in bodies]


def analysis_seen(body: Mapping[str, Any], spec: TrajectoryAnalysisSpec | None) -> AnalysisSeen:
    """The resource as the API server gave it; its spec is read by the caller."""
    metadata = body["metadata"]
    return AnalysisSeen(
        subject=Subject(ANALYSIS, metadata["namespace"], metadata["name"], metadata["uid"]),
        generation=metadata.get("generation", 1),
        deleting="deletionTimestamp" in metadata,
        spec=spec,
        status=TrajectoryAnalysisStatus.read(body),
    )


def asked(seen: AnalysisSeen, spec: TrajectoryAnalysisSpec, settings: OperatorSettings) -> Asked:
    """What an analysis is asked for. `SpecError` says what is not set, not allowed or can't be meant."""
    results = spec.results or settings.results
    if results is None:
        message = "spec.results: is not set, and the operator's settings have no results URI: set one of them"
        raise SpecError(message, reason=AnalysisReason.RESULTS_NOT_SET)
    if settings.analysis is None:
        message = "the operator's settings name no image for analyses: set analysis.image in them"
        raise SpecError(message, reason=AnalysisReason.IMAGE_NOT_SET)
    named = [("spec.results" if spec.results else "results of the operator's settings", results)]
    named += [(f"spec.references[{number}]", uri) for number, uri in enumerate(spec.references)]
    problem = not_allowed(named, seen.subject.namespace, settings)
    if problem is not None:
        raise SpecError(problem.message, reason=problem.reason)
    names, families = spec.runs.names or (), spec.runs.families or ()
    parse_uri(results)
    results = results if results.endswith("/") else f"{results}/"
    template = analysis_template(seen.subject, spec, results, settings)
    horizons = [(run, float(tokens)) for run, tokens in spec.horizon.items()]
    return Asked(
        results_uri=results,
        runs=tuple(sorted(set(names))),
        settings_digest=settings_digest(names, families, horizons, spec.references),
        template=template,
        template_digest=digest_of_template(template, seen.generation),
    )


def analysis_job(body: Mapping[str, Any]) -> AnalysisJob:
    """A Job of an analysis as the API server gave it."""
    job, annotations = job_seen(body), body["metadata"].get("annotations") or {}
    status = body.get("status") or {}
    endings = (item for item in status.get("conditions") or () if job.finished and item.get("type") == job.finished)
    ending: Mapping[str, Any] = next(endings, {})
    return AnalysisJob(
        name=job.name,
        uid=job.uid,
        created=job.created,
        deleting=job.deleting,
        suspended=job.suspended,
        ready=job.ready,
        finished=job.finished,
        ended=moment(status.get("completionTime") or ending.get("lastTransitionTime")),
        message=job.finished_message,
        commits=_number(annotations.get(COMMITS_ANNOTATION), 0),
        commits_digest=str(annotations.get(COMMITS_DIGEST_ANNOTATION) or ""),
        settings_digest=str(annotations.get(SETTINGS_DIGEST_ANNOTATION) or ""),
        occasion=str(annotations.get(OCCASION_ANNOTATION) or ""),
        attempt=_number(annotations.get(ATTEMPT_ANNOTATION), 1),
    )


def _number(annotation: object, otherwise: int) -> int:
    text = str(annotation or "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 13 else otherwise
