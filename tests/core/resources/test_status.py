"""The status is read whoever wrote it, and written as the CRD declares it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fineline.resources import crd_documents
from fineline.resources.status import CheckpointEvalStatus, Condition, Failure, PlanStatus, ProgressStatus
from support.structural import violations

SCHEMA = crd_documents()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
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


def test_a_status_that_is_written_is_one_that_the_api_server_takes() -> None:
    full = status(
        observed_generation=3,
        plan=PlanStatus(digest="d", checkpoints=36, units=504, reused=120, put_aside=1, slices=4),
        progress=ProgressStatus(published=288, failed=2, of=384, text="290/384"),
        failures=(Failure(checkpoint="step 12000", reason="TensorMissing", message="model.norm.weight"),),
        results="s3://evals/results/",
        job_name="amber-7b-3f9c2a10",
        retry="1",
        start_time=NOW,
        completion_time=NOW,
    )
    values = full.model_dump(mode="json", exclude_none=True)
    assert list(violations(SCHEMA, values)) == []
    assert CheckpointEvalStatus.model_validate(values) == full


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
