"""CheckpointSources and what is seen of them, for tables of cases that read as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fineline.checkpoints import Position, Problem
from fineline.resources import CheckpointSource, CheckpointSourceSpec, validated
from fineline.resources.source_status import CheckpointSourceStatus
from fineline.sources.deciding import MadeEvaluation, SourceDecision, SourceIdentity, SourceObserved, decide
from fineline.sources.listing import Aside, Listing, Member, Walked
from fineline.sources.progress import MemberProgress

START = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = SourceIdentity("amber-7b", "evals", "8e2f")
TEMPLATE = "aaaaaaaaaa"
INCOMPLETE = Problem("ShardMissing", "a shard is missing", passing=True)
REFUSED = Problem("FormatUnsupported", "it can't be read")


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def source_spec(**spec: Any) -> CheckpointSourceSpec:
    """The smallest spec with these fields, by their names in YAML."""
    values = {
        "apiVersion": "fineline.dev/v1alpha1",
        "kind": "CheckpointSource",
        "metadata": {"name": "amber-7b"},
        "spec": {
            "uri": "s3://bucket/run/",
            "template": {"run": {"name": "amber-7b"}, "suite": {"tasks": [{"task": "piqa", "domain": "reasoning"}]}},
            **spec,
        },
    }
    return validated(CheckpointSource, values, "test.yaml").spec


def walked(
    step: int,
    *,
    branch: str = "main",
    digest: str = "1",
    changed: float = 0,
    problem: Problem | None = None,
    tokens: int | None = None,
    tokenizer: str = "t",
    folder: str | None = None,
) -> Walked:
    if folder is None:
        folder = f"step{step}" if branch == "main" else f"{branch}/step{step}"
    return Walked(folder, Position(branch, step, tokens), digest * 64, tokenizer, after(changed), problem)


def member(step: int, *, branch: str = "main", digest: str = "1") -> Member:
    return Member(branch, step, digest * 64)


def made(
    name: str,
    *members: Member,
    template: str = TEMPLATE,
    ended: float | None = None,
    succeeded: bool = True,
    created: float = 0,
) -> MadeEvaluation:
    """Running, unless it `ended` at some second."""
    finished = ended is not None
    return MadeEvaluation(
        name=name,
        uid=f"uid-of-{name}",
        members=frozenset(members),
        template=template,
        finished=finished,
        succeeded=finished and succeeded,
        created=after(created),
        ended=None if ended is None else after(ended),
    )


def observed(
    there: Iterable[Walked],
    /,
    *,
    at: float = 1000,
    made: Iterable[MadeEvaluation] = (),
    evaluated: Iterable[Member] = (),
    failed: Iterable[Member] = (),
    status: CheckpointSourceStatus | None = None,
    settles_at: float | None = None,
    aside: tuple[Aside, ...] = (),
    fresh: Iterable[Member] = (),
    **spec: Any,
) -> SourceObserved:
    """One look at these checkpoints at a second. What is said of `spec` are fields by their names in YAML."""
    progress: Mapping[Member, MemberProgress] = {
        **dict.fromkeys(evaluated, MemberProgress.EVALUATED),
        **dict.fromkeys(failed, MemberProgress.FAILED),
    }
    return SourceObserved(
        source=SOURCE,
        now=after(at),
        spec=source_spec(**spec),
        template=TEMPLATE,
        listing=Listing(
            tuple(there), aside, settles_at=None if settles_at is None else after(settles_at), listed_at=after(at)
        ),
        made=tuple(made),
        progress=progress,
        status=status or CheckpointSourceStatus(),
        fresh=frozenset(fresh),
    )


def decided(there: Iterable[Walked], /, **arguments: Any) -> SourceDecision:
    return decide(observed(there, **arguments))


def again(before: SourceObserved, **changes: Any) -> SourceDecision:
    """The same look with something else in it."""
    return decide(replace(before, **changes))


def batches_of(decision: SourceDecision) -> list[list[int]]:
    """The steps of each CheckpointEval that is to be created."""
    return [[one.step for one in new.members] for new in decision.create]
