"""What Kueue's Workload says."""

from __future__ import annotations

from typing import Any

from fineline_operator.jobs import workload_seen


def workload(*conditions: dict[str, Any], active: bool | None = None, checks: Any = ()) -> dict[str, Any]:
    return {
        "metadata": {"name": "job-amber-1a2b3"},
        "spec": {} if active is None else {"active": active},
        "status": {"conditions": list(conditions), "admissionChecks": list(checks)},
    }


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


NO_ROOM = condition("QuotaReserved", "False", "Pending", "couldn't assign flavors: insufficient unused quota for gpu")


def test_a_workload_just_made_says_nothing_yet() -> None:
    seen = workload_seen({"metadata": {"name": "w"}, "spec": {}})
    assert (seen.name, seen.active, seen.admitted, seen.evicted, seen.message) == ("w", True, False, "", "")


def test_one_that_waits_says_what_for() -> None:
    seen = workload_seen(workload(NO_ROOM))
    assert not seen.admitted
    assert seen.message == "couldn't assign flavors: insufficient unused quota for gpu"


def test_one_that_is_admitted_says_so() -> None:
    seen = workload_seen(
        workload(
            condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved in ClusterQueue team"),
            condition("Admitted", "True", "Admitted", "The workload is admitted"),
            condition("Evicted", "False", "QuotaReserved", "Previously: Preempted to accommodate x"),
        )
    )
    assert (seen.admitted, seen.evicted, seen.message) == (True, "", "The workload is admitted")


def test_one_that_was_preempted_says_for_whom_and_what_it_waits_for_now() -> None:
    seen = workload_seen(
        workload(
            NO_ROOM,
            condition("Evicted", "True", "Preempted", "Preempted to accommodate a workload"),
            condition("Preempted", "True", "InClusterQueue", "Preempted to accommodate a workload (UID: 7)"),
            condition("Requeued", "True", "Preempted", "Preempted to accommodate a workload"),
        )
    )
    assert seen.evicted == "Preempted"
    assert seen.message == (
        "Preempted to accommodate a workload (UID: 7); couldn't assign flavors: insufficient unused quota for gpu"
    )


def test_one_that_is_about_to_be_stopped_says_why_though_it_is_admitted_still() -> None:
    seen = workload_seen(
        workload(
            condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved in ClusterQueue team"),
            condition("Admitted", "True", "Admitted", "The workload is admitted"),
            condition("Evicted", "True", "ClusterQueueStopped", "The ClusterQueue is stopped"),
        )
    )
    assert (seen.admitted, seen.evicted, seen.message) == (True, "ClusterQueueStopped", "The ClusterQueue is stopped")


def test_one_that_was_stopped_with_its_queue_says_so() -> None:
    seen = workload_seen(workload(condition("Evicted", "True", "ClusterQueueStopped", "The ClusterQueue is stopped")))
    assert (seen.evicted, seen.message) == ("ClusterQueueStopped", "The ClusterQueue is stopped")


def test_one_with_quota_that_waits_for_a_check_names_the_check() -> None:
    seen = workload_seen(
        workload(
            condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved"),
            checks=[
                {"name": "budget", "state": "Ready", "message": "fine"},
                {"name": "provisioning", "state": "Pending", "message": "no nodes yet"},
                {"name": "approval", "state": "Retry"},
            ],
        )
    )
    assert seen.message == "admission check provisioning: no nodes yet; admission check approval: Retry"


def test_one_that_was_switched_off_is_not_active() -> None:
    assert workload_seen(workload(active=False)).active is False


def test_a_long_message_is_cut() -> None:
    seen = workload_seen(workload(condition("QuotaReserved", "False", "Pending", "no " * 2000)))
    assert len(seen.message) == 1000
