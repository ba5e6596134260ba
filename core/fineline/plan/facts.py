"""What is to be known of a plan without reading its slices: counts, and what its pods need. `plan.json` is this."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Self

from pydantic import model_validator

from fineline.plan.models import PLAN_VERSION, PlanModel, Slice
from fineline.plan.planning import UNKNOWN_TOKENS, Plan, PutAside
from fineline.results import FailedUnit
from fineline.results.layout import run_folder

PLAN_FILE = "plan.json"

TOKENS_A_POD = 50_000_000
"""What one pod may well do in one go: an eviction repeats nothing but the unit in progress, but queues and node pools
like pods better that end."""

MOST_SLICES_A_POD = 4
_LONGEST_EXAMPLE = 300
_LONGEST_MESSAGE = 1024


MOST_FAILURES = 20
"""How many failures the facts name; they count all."""


class KnownFailure(PlanModel):
    """What will have no result whatever is done under the plan: a whole checkpoint (no task) or a unit."""

    checkpoint: str
    task: str = ""
    reason: str
    message: str


class PlanFacts(PlanModel):
    """A plan in short.

    `units` counts all, `todo` those without a result when it was made. `put_aside` counts the checkpoints that were
    left out, `put_aside_for_good` those of them that no further upload can complete; `put_aside_example` is one line
    on the first. `failures` names the first of these and of the `failed_before` units. `chunks` are the ConfigMaps
    beside the index, `slice_digests` the SHA-256 of each slice's JSON. For the pods: `checkpoint_bytes` is what the two
    largest checkpoints of a slice have together, `longest_unit_tokens` what its longest unit is taken to cost,
    `largest_slice_units` the most units in one slice.
    """

    version: int = PLAN_VERSION
    digest: str
    retry: str
    made: datetime
    slices: int
    slice_digests: tuple[str, ...]
    chunks: int
    checkpoints: int
    units: int
    todo: int
    reused: int
    failed_before: int
    put_aside: int
    put_aside_for_good: int
    put_aside_example: str
    failures: tuple[KnownFailure, ...]
    results_uri: str
    run_results_uri: str
    checkpoint_bytes: int
    longest_unit_tokens: int
    largest_slice_units: int
    tensor_parallel_size: int

    @model_validator(mode="after")
    def _a_digest_for_each_slice(self) -> Self:
        if len(self.slice_digests) != self.slices:
            raise ValueError(f"{self.slices} slices, and {len(self.slice_digests)} digests of them")
        return self

    def to_json(self) -> bytes:
        return self.model_dump_json().encode()


def facts_of(
    plan: Plan,
    slices: Sequence[Slice],
    digests: Sequence[str],
    made: datetime,
    failed_before: Sequence[FailedUnit] = (),
) -> PlanFacts:
    """The facts of a plan that was cut into these slices; its own digest and number of chunks come with the packing.

    `failed_before` says in words what the plan only counts: the first of its failed units.
    """
    order = plan.order
    for_good = [item for item in plan.put_aside if not item.passing]
    results_uri = f"{order.results_uri.removesuffix('/')}/"
    return PlanFacts(
        digest="",
        retry=order.retry,
        made=made,
        slices=len(slices),
        slice_digests=tuple(digests),
        chunks=0,
        checkpoints=len(order.checkpoints),
        units=plan.units,
        todo=len(plan.todo),
        reused=len(plan.reused),
        failed_before=len(plan.failed),
        put_aside=len(plan.put_aside),
        put_aside_for_good=len(for_good),
        put_aside_example=_example([*for_good, *plan.put_aside]),
        failures=(*map(_failure_of, for_good), *map(_failure_before, failed_before))[:MOST_FAILURES],
        results_uri=results_uri,
        run_results_uri=results_uri + run_folder(order.run.name),
        checkpoint_bytes=max((_two_largest(part) for part in slices), default=0),
        longest_unit_tokens=max(
            (order.tasks[unit.task].estimated_tokens or UNKNOWN_TOKENS for unit in plan.todo), default=0
        ),
        largest_slice_units=max((len(part.units) for part in slices), default=0),
        tensor_parallel_size=order.engine.tensor_parallel_size,
    )


def slice_count(parallelism: int, estimated_tokens: int, units: int) -> int:
    """How many slices to cut: one for each pod at once, up to four where a pod would have too much to do in one go, and
    never more than there are units.

    >>> slice_count(4, 10_000_000, 500), slice_count(4, 500_000_000, 500), slice_count(4, 500_000_000, 3)
    (4, 12, 3)
    """
    a_pod = ceil(estimated_tokens / (parallelism * TOKENS_A_POD))
    return min(units, parallelism * max(1, min(a_pod, MOST_SLICES_A_POD)))


def _two_largest(part: Slice) -> int:
    """Bytes of the two largest checkpoints: a pod has no more of them on its disk at once."""
    return sum(sorted((checkpoint.size for checkpoint in part.order.checkpoints), reverse=True)[:2])


def _example(put_aside: Sequence[PutAside]) -> str:
    if not put_aside:
        return ""
    first = put_aside[0]
    return _line(f"{first.name}: {first.reason}: {first.message}", _LONGEST_EXAMPLE)


def _failure_of(item: PutAside) -> KnownFailure:
    return KnownFailure(checkpoint=item.name, reason=item.reason, message=_line(item.message, _LONGEST_MESSAGE))


def _failure_before(unit: FailedUnit) -> KnownFailure:
    return KnownFailure(checkpoint=unit.checkpoint, task=unit.task, reason=unit.reason, message=unit.message)


def _line(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
