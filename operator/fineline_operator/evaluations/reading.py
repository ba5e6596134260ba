"""Reads what a decision about one CheckpointEval rests on, but for its stores: the API server's side."""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fineline.errors import SpecError
from fineline.plan import PLAN_FILE, PlanFacts, read_facts, read_slices, uris_of
from fineline.resources import CheckpointEval, CheckpointEvalSpec, validated
from fineline.resources.reasons import Reason
from fineline.resources.status import CheckpointEvalStatus
from fineline.results import UnitAddress
from fineline_operator.api import Api, NotFound, path_of
from fineline_operator.evaluations.observed import EvaluationSeen, JobSeen, PodsSeen, WorkloadSeen
from fineline_operator.evaluations.snapshots import MAX_AGE_SECONDS, Grouped, Snapshots
from fineline_operator.jobs import (
    OWNER_LABEL,
    WORKLOAD_JOB_LABEL,
    PodProjection,
    index_name,
    job_seen,
    plan_names,
    pod_projection,
    pods_seen,
    workload_seen,
)
from fineline_operator.settings import OperatorSettings
from fineline_operator.stores import not_allowed
from fineline_operator.telling.problems import Problem
from fineline_operator.world import RETRY_ANNOTATION

TRUSTED_SECONDS = 60.0
"""After so long a plan's ConfigMaps are looked for again: somebody may have deleted them."""

FRESH_SECONDS = 1.0
"""What contradicts the Job is read anew where it is older than this."""

MAX_REMEMBERED_UNITS = 250_000
"""Addresses of units kept between two looks, over all evaluations: about 200 bytes each."""


@dataclass(frozen=True)
class Evaluation:
    """A CheckpointEval as it was read, and what the operator's settings add to it."""

    seen: EvaluationSeen
    resource: CheckpointEval
    results_uri: str
    datasets_uri: str | None
    not_allowed: Problem | None

    @property
    def spec(self) -> CheckpointEvalSpec:
        return self.resource.spec


class Reader:
    """Reads through the API; keeps what can't change (plans), and what is shared for a moment (pods, Workloads)."""

    def __init__(self, api: Api, settings: OperatorSettings) -> None:
        self._api = api
        self._settings = settings
        age = min(MAX_AGE_SECONDS, settings.trouble_seconds / 3)
        self._pods: Snapshots[PodProjection] = Snapshots(self._read_pods, max_age=age)
        self._workloads: Snapshots[WorkloadSeen] = Snapshots(self._read_workloads, max_age=age)
        self._queues: Snapshots[str] = Snapshots(self._read_queue, max_age=age)
        self._plans = Plans()

    async def evaluation(self, namespace: str, name: str) -> Evaluation | EvaluationSeen | None:
        """The resource; only what was seen of it where its spec can't be read; None where it is gone."""
        try:
            body = await self._api.get(path_of("checkpointevals", namespace, name))
        except NotFound:
            return None
        seen = evaluation_seen(body)
        try:
            resource = validated(CheckpointEval, body, f"{namespace}/{name}")
        except SpecError as error:
            return replace(seen, problem=Problem(Reason.SPEC_INVALID, str(error)))
        results, datasets = resource.spec.results or self._settings.results, self._settings.datasets
        if results is None:
            message = "spec.results: is not set, and the operator's settings have no results URI: set one of them"
            return replace(seen, problem=Problem(Reason.RESULTS_NOT_SET, message))
        try:
            problem = not_allowed(uris_of(resource.spec, results, datasets), namespace, self._settings)
        except SpecError as error:
            return replace(seen, problem=Problem(Reason.SPEC_INVALID, str(error)))
        return Evaluation(replace(seen, spec=resource.spec), resource, results, datasets, problem)

    async def plan(
        self, evaluation: EvaluationSeen, retry: str, *, expected: bool = True, max_age: float = TRUSTED_SECONDS
    ) -> PlanFacts | None:
        """The facts of the plan that is written; None where there is none. `SpecError` where its ConfigMap is not a
        plan's.

        What is remembered counts for `max_age` seconds, and not at all where none is `expected`: whoever has taken the
        status away may have taken the plan too, and whoever writes a plan finds one that is there.
        """
        if not expected:
            return None
        known = self._plans.facts(evaluation.uid, retry, max_age)
        if known is not None:
            return known
        name = index_name(evaluation.name, evaluation.uid, retry)
        try:
            body = await self._api.get(path_of("configmaps", evaluation.namespace, name))
        except NotFound:
            self._plans.forget(evaluation.uid)
            return None
        _check_owner(body, evaluation)
        facts = read_facts(_entries(body).get(PLAN_FILE, b""), f"ConfigMap {evaluation.namespace}/{name}")
        self._plans.remember_facts(evaluation.uid, retry, facts)
        return facts

    def remember_plan(
        self, evaluation: EvaluationSeen, retry: str, facts: PlanFacts, addresses: tuple[UnitAddress, ...]
    ) -> None:
        """Saves reading a plan that was just written. `addresses` are those of the units that its slices do."""
        self._plans.remember_facts(evaluation.uid, retry, facts)
        self._plans.remember_addresses(evaluation.uid, facts.digest, addresses)

    def forget(self, uid: str) -> None:
        """What is known of its plan is read anew, should it be needed."""
        self._plans.forget(uid)

    async def addresses(self, evaluation: EvaluationSeen, facts: PlanFacts) -> tuple[UnitAddress, ...] | None:
        """The units that the plan's slices do; None where a ConfigMap of the plan is gone."""
        known = self._plans.addresses(evaluation.uid, facts.digest)
        if known is not None:
            return known
        uid, retry = evaluation.uid, facts.retry
        entries: dict[str, bytes] = {}
        for name in plan_names(evaluation.name, uid, retry, facts.digest, facts.chunks):
            try:
                entries |= _entries(await self._api.get(path_of("configmaps", evaluation.namespace, name)))
            except NotFound:
                return None
        slices = read_slices(entries)
        found = tuple(item.order.address(unit) for item in slices for unit in item.units)
        self._plans.remember_addresses(uid, facts.digest, found)
        return found

    async def job(self, evaluation: EvaluationSeen, name: str) -> JobSeen | Problem | None:
        """The Job of that name; a problem where it is somebody else's; None where there is none."""
        try:
            body = await self._api.get(path_of("jobs", evaluation.namespace, name))
        except NotFound:
            return None
        try:
            _check_owner(body, evaluation)
        except SpecError as error:
            return Problem(error.reason, str(error))
        return job_seen(body)

    async def pods(self, evaluation: EvaluationSeen, job: str, now: datetime) -> PodsSeen:
        """What the pods of the Job of that name suffer from, not older than some seconds."""
        pods = await self._pods.of(evaluation.namespace, evaluation.uid)
        seen = pods_seen(pods, now, job=job)
        if any(pod.deleted for pod in pods) and await self._is_ending(evaluation.namespace):
            return replace(seen, namespace_ending=True)
        return seen

    async def _is_ending(self, namespace: str) -> bool:
        try:
            body = await self._api.get(path_of("namespaces", name=namespace))
        except NotFound:
            return True
        return "deletionTimestamp" in body["metadata"]

    async def workload(self, evaluation: EvaluationSeen, job: JobSeen) -> WorkloadSeen:
        """Kueue's word on a Job, not older than some seconds; or why there is none."""
        try:
            found = await self._workloads.of(evaluation.namespace, job.uid)
            if found and found[0].admitted and job.suspended:
                # Most often Kueue has stopped the Job since the Workload was read.
                found = await self._workloads.of(evaluation.namespace, job.uid, max_age=FRESH_SECONDS)
            elif not found and job.queue_name and not job.suspended:
                # It runs, so Kueue has made one since; without it its Job would be stopped behind Kueue's back.
                found = await self._workloads.of(evaluation.namespace, job.uid, max_age=0.0)
        except NotFound:
            message = (
                f"spec.queueName is {job.queue_name}, and this cluster has no Kueue: install it, or remove the name"
            )
            return WorkloadSeen(problem=Problem(Reason.KUEUE_NOT_INSTALLED, message))
        if found and (found[0].admitted or not job.queue_name):
            return found[0]
        if not job.queue_name:
            return WorkloadSeen()
        if not await self._queues.of(f"{evaluation.namespace}/{job.queue_name}", job.queue_name):
            message = f"spec.queueName: there is no LocalQueue {job.queue_name} in the namespace {evaluation.namespace}"
            return WorkloadSeen(problem=Problem(Reason.QUEUE_NOT_FOUND, f"{message}: create it, or name another"))
        return found[0] if found else WorkloadSeen()

    async def remember_workload(self, evaluation: EvaluationSeen, body: Mapping[str, Any]) -> None:
        """What a write made of a Workload."""
        job_uid = (body["metadata"].get("labels") or {}).get(WORKLOAD_JOB_LABEL, "")
        await self._workloads.put(evaluation.namespace, job_uid, (workload_seen(body),))

    async def _read_pods(self, namespace: str) -> Grouped[PodProjection]:
        grouped: defaultdict[str, list[PodProjection]] = defaultdict(list)
        async for body in self._api.list(path_of("pods", namespace), label_selector=OWNER_LABEL):
            grouped[body["metadata"]["labels"][OWNER_LABEL]].append(pod_projection(body))
        return {owner: tuple(items) for owner, items in grouped.items()}

    async def _read_workloads(self, namespace: str) -> Grouped[WorkloadSeen]:
        grouped: dict[str, tuple[WorkloadSeen, ...]] = {}
        async for body in self._api.list(path_of("workloads", namespace), label_selector=WORKLOAD_JOB_LABEL):
            grouped[body["metadata"]["labels"][WORKLOAD_JOB_LABEL]] = (workload_seen(body),)
        return grouped

    async def _read_queue(self, place: str) -> Grouped[str]:
        namespace, _, name = place.partition("/")
        try:
            await self._api.get(path_of("localqueues", namespace, name))
        except NotFound:
            return {}
        return {name: (name,)}


class Plans:
    """Facts and units of plans, which never change once written: what was used longest ago is forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._facts: dict[str, tuple[str, PlanFacts, float]] = {}
        self._addresses: OrderedDict[str, tuple[str, tuple[UnitAddress, ...]]] = OrderedDict()
        self._units = 0

    def facts(self, uid: str, retry: str, max_age: float = TRUSTED_SECONDS) -> PlanFacts | None:
        """What is known of the plan of this attempt and was seen to be there not longer than `max_age` seconds ago."""
        known = self._facts.get(uid)
        if known is None or known[0] != retry or self._clock() - known[2] > max_age:
            return None
        return known[1]

    def remember_facts(self, uid: str, retry: str, facts: PlanFacts) -> None:
        self._facts[uid] = (retry, facts, self._clock())

    def addresses(self, uid: str, digest: str) -> tuple[UnitAddress, ...] | None:
        known = self._addresses.get(uid)
        if known is None or known[0] != digest:
            return None
        self._addresses.move_to_end(uid)
        return known[1]

    def remember_addresses(self, uid: str, digest: str, addresses: tuple[UnitAddress, ...]) -> None:
        self._drop_addresses(uid)
        self._addresses[uid] = (digest, addresses)
        self._units += len(addresses)
        while self._units > MAX_REMEMBERED_UNITS and len(self._addresses) > 1:
            self._drop_addresses(next(iter(self._addresses)))

    def forget(self, uid: str) -> None:
        self._facts.pop(uid, None)
        self._drop_addresses(uid)

    def _drop_addresses(self, uid: str) -> None:
        dropped = self._addresses.pop(uid, None)
        self._units -= len(dropped[1]) if dropped is not None else 0


def evaluation_seen(body: Mapping[str, Any]) -> EvaluationSeen:
    """The part of a CheckpointEval that can always be read; its spec is left to the caller."""
    metadata = body["metadata"]
    return EvaluationSeen(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        retry=(metadata.get("annotations") or {}).get(RETRY_ANNOTATION, ""),
        spec=None,
        problem=None,
        status=CheckpointEvalStatus.read(body),
    )


def _check_owner(body: Mapping[str, Any], evaluation: EvaluationSeen) -> None:
    """`SpecError` where an object of a name that Fineline makes belongs to somebody else."""
    owners = body["metadata"].get("ownerReferences") or ()
    if not any(owner.get("uid") == evaluation.uid for owner in owners):
        name = body["metadata"]["name"]
        message = (
            f"{name}: an object of this name is there and does not belong to {evaluation.key}: delete or rename it"
        )
        raise SpecError(message, reason=Reason.NAME_TAKEN)


def _entries(body: Mapping[str, Any]) -> dict[str, bytes]:
    name = body["metadata"]["name"]
    try:
        return {key: base64.b64decode(text, validate=True) for key, text in (body.get("binaryData") or {}).items()}
    except binascii.Error:
        raise SpecError(f"ConfigMap {name}: not a plan's; delete it", reason=Reason.NAME_TAKEN) from None
