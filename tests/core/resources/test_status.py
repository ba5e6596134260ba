"""The status of each kind is read whoever wrote it, and written as the CRD declares it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fineline.resources.analysis_status import LastRun, RunVerdict, TrajectoryAnalysisStatus
from fineline.resources.schemas import structural_schema
from fineline.resources.source_status import CheckpointSourceStatus, NewestCheckpoint, SourceCounts, WaitingOn
from fineline.resources.status import (
    CheckpointEvalStatus,
    Condition,
    Failure,
    PlanStatus,
    ProgressStatus,
    StatusModel,
)
from support.structural import violations

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def status(**succeeded: Any) -> CheckpointEvalStatus:
    condition = Condition(
        type="Succeeded",
        status=succeeded.pop("status", "Unknown"),
        reason="Running",
        message="",
        last_transition_time=NOW,
    )
    return CheckpointEvalStatus(conditions=(condition,), **succeeded)


READY = Condition(type="Ready", status="True", reason="UpToDate", last_transition_time=NOW, observed_generation=3)

FULL: dict[str, StatusModel] = {
    "CheckpointEval": status(
        observed_generation=3,
        plan=PlanStatus(digest="d", checkpoints=36, units=504, reused=120, put_aside=1, slices=4),
        progress=ProgressStatus(published=288, failed=2, of=384, text="290/384"),
        failures=(Failure(checkpoint="step 12000", reason="TensorMissing", message="model.norm.weight"),),
        results="s3://evals/results/",
        job_name="amber-7b-3f9c2a10",
        retry="1",
        start_time=NOW,
        completion_time=NOW,
    ),
    "CheckpointSource": CheckpointSourceStatus(
        observed_generation=3,
        conditions=(READY,),
        checkpoints=SourceCounts(found=40, complete=38, evaluated=30, failed=1, waiting=7),
        newest=NewestCheckpoint(
            branch="main", step=12_000, tokens=10**12, digest="d" * 64, seen_at=NOW, evaluated_at=NOW
        ),
        waiting_on=(WaitingOn(checkpoint="step12000", reason="ShardMissing", message="model-00002 is missing."),),
        waiting_since=NOW,
        last_listed=NOW,
    ),
    "TrajectoryAnalysis": TrajectoryAnalysisStatus(
        observed_generation=3,
        conditions=(READY,),
        runs=2,
        worst="plateaued",
        verdicts=(RunVerdict(run="amber-7b", state="plateaued", since=NOW, message="the last third is flat"),),
        report="s3://evals/results/analyses/evals.sevens/report.html",
        inputs_digest="d" * 64,
        left_out=("run=x/step1: truncated",),
        published_at=NOW,
        job_name="sevens-3f9c2a10",
        last_run=LastRun(job_name="sevens-1", start_time=NOW, completion_time=NOW, commits=504),
    ),
}


@pytest.mark.parametrize("kind", FULL)
def test_a_status_that_is_written_is_one_that_the_api_server_takes(kind: str) -> None:
    full = FULL[kind]
    values = full.model_dump(mode="json", exclude_none=True)
    declared = structural_schema(type(full), defaults=False)
    assert list(violations(declared, values)) == []
    assert type(full).model_validate(values) == full
    # The whole of it: a field that is added is added here.
    assert set(values) == set(declared["properties"])


def test_the_newest_checkpoint_may_have_no_result_yet() -> None:
    newest = NewestCheckpoint(branch="main", step=1, seen_at=NOW)
    values = CheckpointSourceStatus(newest=newest).model_dump(mode="json", exclude_none=True)
    assert "evaluatedAt" not in values["newest"]
    assert list(violations(structural_schema(CheckpointSourceStatus, defaults=False), values)) == []


def test_what_is_not_known_is_let_go() -> None:
    values = {"phase": "Done", "plan": {"digest": "d", "checkpoints": 1, "units": 2, "reused": 0, "colour": "red"}}
    read = CheckpointEvalStatus.model_validate(values)
    assert read.plan == PlanStatus(digest="d", checkpoints=1, units=2, reused=0)


def test_it_has_ended_when_succeeded_is_true_or_false() -> None:
    assert status(status="True").finished
    assert status(status="False").finished
    assert not status(status="Unknown").finished
    assert not CheckpointEvalStatus().finished


def test_a_condition_is_found_by_its_type() -> None:
    found = status().condition("Succeeded")
    assert found is not None
    assert found.reason == "Running"
    assert status().condition("Planned") is None


@pytest.mark.parametrize("kind", ["CheckpointSource", "TrajectoryAnalysis"])
def test_a_source_and_an_analysis_find_their_conditions_too(kind: str) -> None:
    full = FULL[kind]
    assert isinstance(full, CheckpointSourceStatus | TrajectoryAnalysisStatus)
    assert full.condition("Ready") == READY
    assert full.condition("Stalled") is None
