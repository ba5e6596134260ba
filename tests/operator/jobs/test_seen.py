"""What a Job's body says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline_operator.jobs import job_seen
from fineline_operator.jobs.seen import count_indexes


def job(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "amber", "uid": "u", "creationTimestamp": "2026-11-21T12:00:00Z", **metadata},
        "spec": {"completions": 8, "parallelism": 2, "suspend": False},
        "status": status or {},
    }


def condition(kind: str, status: str = "True", reason: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": f"because {reason}"}


def test_a_job_just_made_has_done_nothing() -> None:
    seen = job_seen(job())
    assert (seen.active, seen.ready, seen.terminating, seen.ended_indexes) == (0, 0, 0, 0)
    assert (seen.started, seen.finished, seen.deleting) == (None, "", False)
    assert seen.created == datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_job_at_work_counts_its_pods_and_indexes() -> None:
    status = {
        "active": 2, "ready": 1, "terminating": 1, "completedIndexes": "0-3,7", "failedIndexes": "5", "failed": 4,
        "startTime": "2026-11-21T12:00:05Z",
    }  # fmt: skip
    seen = job_seen(job(status))
    assert (seen.active, seen.ready, seen.terminating) == (2, 1, 1)
    assert (seen.completed_indexes, seen.failed_indexes, seen.ended_indexes) == (5, 1, 6)
    assert seen.failed_pods == 4
    assert seen.started == datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(("suspended", "started"), [("True", False), ("False", True)])
def test_a_job_that_resumes_starts_anew_once_the_job_controller_takes_it_up(suspended: str, *, started: bool) -> None:
    status = {"startTime": "2026-11-21T12:00:05Z", "conditions": [condition("Suspended", suspended)]}
    assert (job_seen(job(status)).started is not None) is started


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_a_job_ends_at_its_last_condition(kind: str) -> None:
    status = {"conditions": [condition("FailureTarget", reason="x"), condition(kind, reason="FailedIndexes")]}
    seen = job_seen(job(status))
    assert (seen.finished, seen.finished_reason, seen.finished_message) == (
        kind, "FailedIndexes", "because FailedIndexes",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["FailureTarget", "SuccessCriteriaMet", "Suspended"])
def test_a_job_whose_pods_still_stop_has_not_ended(kind: str) -> None:
    assert job_seen(job({"conditions": [condition(kind), condition("Complete", "False")]})).finished == ""


def test_a_job_that_is_being_deleted_says_so() -> None:
    assert job_seen(job(deletionTimestamp="2026-11-21T13:00:00Z")).deleting


def test_a_suspended_job_is_one_that_is_meant_to_be() -> None:
    body = job({"conditions": [condition("Suspended")]})
    assert not job_seen(body).suspended
    body["spec"]["suspend"] = True
    assert job_seen(body).suspended


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("0", 1), ("0-3,7", 5), ("1,3-5,9", 5), ("x", 0), ("5-1", 0), ("-3", 0), ("1-", 0), ("0-99999999999", 0)],
)
def test_indexes_are_counted(text: str, count: int) -> None:
    assert count_indexes(text) == count


@given(st.sets(st.integers(0, 300)))
def test_any_set_of_indexes_is_counted_as_the_job_controller_writes_it(indexes: set[int]) -> None:
    assert count_indexes(written(sorted(indexes))) == len(indexes)


@given(st.text(alphabet="0123456789-,x ", max_size=60))
def test_no_text_is_counted_as_more_than_a_job_can_have(text: str) -> None:
    assert 0 <= count_indexes(text) <= 100_000


def written(indexes: list[int]) -> str:
    """Ranges as the Job controller writes them: `0-3,7`."""
    parts: list[list[int]] = []
    for index in indexes:
        if parts and parts[-1][-1] == index - 1:
            parts[-1].append(index)
        else:
            parts.append([index])
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
