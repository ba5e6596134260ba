"""A Job that belongs to Kueue: its words, the user's suspend by Kueue's switch, and what is missing of it."""

from __future__ import annotations

from typing import Any

import pytest

from fineline_operator.evaluations.decision import CreateJob, DeleteJob, Look, MakePlan, PatchJob, SetWorkloadActive
from fineline_operator.evaluations.observed import WorkloadSeen
from fineline_operator.telling.problems import Problem
from support.deciding import World, after, spec, started

QUOTA = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu"


def queued(**workload: Any) -> World:
    """A world whose Job was made, with a Workload that is not admitted."""
    world = World(spec=spec(queueName="research"))
    world.workload = WorkloadSeen(**{"name": "job-amber-1", "message": QUOTA, **workload})
    world.turn()
    return world


def admitted() -> World:
    world = queued()
    world.workload = WorkloadSeen(name="job-amber-1", admitted=True)
    world.change_job(suspended=False, active=1, ready=1, started=after(0))
    world.turn()
    return world


def test_a_job_with_a_queue_is_made_suspended_and_never_let_go_by_us() -> None:
    world = World(spec=spec(queueName="research"))
    assert world.turn().actions == [MakePlan(""), CreateJob(suspended=True)]
    assert world.turn().actions == []
    assert world.job.suspended


def test_while_it_is_queued_kueue_says_why() -> None:
    world = queued()
    assert world.status.job_name == world.job.name
    assert world.status.start_time is not None
    turn = world.turn()
    assert turn.told("Admitted").status == "False"
    assert turn.told("Admitted").reason == "Queued"
    assert turn.told("Admitted").message == f"{QUOTA}."
    assert turn.told("Succeeded").reason == "Queued"
    assert turn.told("Stalled").status == "False"


def test_a_queued_job_is_looked_at_often_at_first_and_then_seldom() -> None:
    world = queued()
    assert world.turn().decision.again_after == 5
    world.seconds = 60
    assert world.turn().decision.again_after == 30


def test_a_job_that_kueue_made_no_workload_for_says_so_after_a_while() -> None:
    world = queued()
    world.workload = WorkloadSeen()
    assert world.turn().told("Admitted").message.endswith("waits for Kueue to admit it.")
    world.seconds = 60
    assert "Kueue has made no Workload" in world.turn().told("Admitted").message


def test_a_job_that_waits_without_a_word_from_kueue_says_where_the_word_may_be() -> None:
    world = queued(message="")
    assert world.turn().told("Admitted").message.endswith("waits for Kueue to admit it.")
    world.seconds = 60
    assert world.turn().told("Admitted").message.endswith("kubectl describe workloads -n evals.")


def test_a_missing_priority_class_is_named_where_kueue_made_no_workload() -> None:
    world = World(spec=spec(queueName="research", priorityClassName="urgent"), workload=WorkloadSeen())
    world.turn()
    world.seconds = 60
    assert "that there is a WorkloadPriorityClass urgent" in world.turn().told("Admitted").message


def test_a_quota_that_leaves_a_resource_out_is_told_with_the_mend() -> None:
    world = queued(message="couldn't assign flavors: resource ephemeral-storage unavailable in ClusterQueue")
    message = world.turn().told("Admitted").message
    assert message.startswith(
        "couldn't assign flavors: resource ephemeral-storage unavailable in ClusterQueue. A quota"
    )
    assert "add ephemeral-storage to" in message


def test_an_admitted_job_that_kueue_has_not_let_go_yet_counts_as_admitted() -> None:
    world = queued(admitted=True)
    turn = world.turn()
    assert turn.told("Admitted").status == "True"
    assert turn.actions == []


def test_a_job_that_is_suspended_although_it_seems_admitted_is_looked_at_again_soon() -> None:
    """What was read of its Workload may be older than the end of its admission."""
    world = admitted()
    world.change_job(suspended=True, active=0, ready=0)
    turn = world.turn()
    assert turn.told("Admitted").status == "True"
    assert turn.decision.again_after == 5


def test_a_job_that_kueue_is_about_to_stop_counts_as_stopped() -> None:
    world = admitted()
    world.change_job(suspended=True)
    world.workload = WorkloadSeen(name="job-amber-1", admitted=True, evicted="Preempted", message="Preempted")
    assert world.turn().told("Admitted").reason == "Preempted"


def test_once_admitted_kueue_is_not_asked_any_more() -> None:
    world = admitted()
    turn = world.turn()
    assert Look.WORKLOAD not in turn.looks
    assert turn.told("Admitted").status == "True"
    assert turn.told("Admitted").message.endswith("through the queue research.")


def test_a_preempted_job_says_by_whom() -> None:
    world = admitted()
    world.workload = WorkloadSeen(name="job-amber-1", evicted="Preempted", message="Preempted to accommodate urgent")
    world.change_job(suspended=True, active=0, ready=0)
    turn = world.turn()
    assert turn.told("Admitted").reason == "Preempted"
    assert turn.told("Admitted").message.startswith("Preempted to accommodate urgent. What is published stays")
    assert turn.told("Succeeded").reason == "Preempted"
    assert turn.told("Reconciling").status == "True"
    assert turn.decision.again_after == 5


def test_another_eviction_says_why() -> None:
    world = admitted()
    world.workload = WorkloadSeen(name="job-amber-1", evicted="ClusterQueueStopped", message="The queue is stopped")
    world.change_job(suspended=True, active=0, ready=0)
    assert world.turn().told("Admitted").reason == "Evicted"


@pytest.mark.parametrize("reason", ["QueueNotFound", "KueueNotInstalled"])
def test_a_missing_queue_needs_a_person(reason: str) -> None:
    world = World(spec=spec(queueName="research"), workload=WorkloadSeen(problem=Problem(reason, "make it")))
    turn = world.turn()
    assert world.status.job_name == world.job.name
    assert turn.told("Admitted").status == "False"
    assert turn.told("Stalled").status == "True"
    assert turn.told("Stalled").reason == reason
    assert turn.decision.again_after == 300


def test_the_queue_may_be_changed_while_the_job_waits_in_it() -> None:
    world = queued()
    world.workload = WorkloadSeen(problem=Problem("KueueNotInstalled", "install it"))
    world.turn()
    old = world.job
    world.edit(remake=True)
    assert world.turn().actions == [DeleteJob(old.name, old.uid)]
    world.turn_until_quiet()
    assert not world.job.suspended
    assert world.job.queue_name == ""
    assert world.says("Stalled") == "False"


def test_a_preempted_job_may_be_made_again_from_an_edited_spec() -> None:
    world = admitted()
    world.change_job(suspended=True, active=0, ready=0)
    world.edit(remake=True, queueName="research", pods__secretName="other")
    old = world.job
    assert world.turn().actions == [DeleteJob(old.name, old.uid)]


def test_an_edit_of_an_admitted_job_is_not_applied() -> None:
    world = admitted()
    world.edit(remake=True, queueName="other")
    turn = world.turn()
    assert turn.actions == []
    assert "NotApplied" in turn.event_reasons


def test_another_parallelism_is_not_passed_on_while_kueue_lets_the_job_run() -> None:
    """Kueue would stop it, and queue it again."""
    world = admitted()
    world.edit(pods__parallelism=2, queueName="research")
    turn = world.turn()
    assert turn.actions == []
    assert "Kueue would stop it for another parallelism" in turn.event("NotApplied").message
    world.change_job(suspended=True, active=0, ready=0)
    world.workload = WorkloadSeen(name="job-amber-1", evicted="Preempted", message="Preempted to accommodate urgent")
    assert world.turn().actions == [PatchJob(world.job.name, parallelism=2)]


def test_the_users_suspend_is_kueues_switch() -> None:
    world = admitted()
    world.edit(suspend=True, queueName="research")
    turn = world.turn()
    assert turn.actions == [SetWorkloadActive("job-amber-1", active=False)]
    assert turn.told("Admitted").reason == "Suspended"
    world.change_job(suspended=True, active=0, ready=0)
    still = world.turn()
    assert still.actions == []
    assert still.decision.again_after is None


def test_resuming_switches_on_what_the_users_suspend_switched_off() -> None:
    world = admitted()
    world.edit(suspend=True, queueName="research")
    world.turn()
    world.change_job(suspended=True, active=0, ready=0)
    world.workload = WorkloadSeen(name="job-amber-1", active=False, evicted="Deactivated", message="is deactivated")
    world.turn()
    world.edit(suspend=False, queueName="research")
    turn = world.turn()
    assert turn.actions == [SetWorkloadActive("job-amber-1", active=True)]
    assert turn.told("Succeeded").reason == "Queued"
    assert turn.decision.again_after == 5
    assert "Resumed" in turn.event_reasons
    again = world.turn()
    assert again.actions == []
    assert again.told("Admitted").reason == "Queued"


def test_resuming_before_kueue_has_stopped_the_job_switches_on_again() -> None:
    world = admitted()
    world.edit(suspend=True, queueName="research")
    world.turn()
    world.edit(suspend=False, queueName="research")
    assert world.turn().actions == [SetWorkloadActive("job-amber-1", active=True)]
    assert world.turn().told("Admitted").status == "True"


def test_resuming_what_somebody_switched_on_already_takes_nothing() -> None:
    world = admitted()
    world.edit(suspend=True, queueName="research")
    world.turn()
    world.workload = WorkloadSeen(name="job-amber-1", admitted=False)
    world.edit(suspend=False, queueName="research")
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Admitted").status == "True"


def test_a_workload_that_somebody_else_switched_off_stays_off() -> None:
    world = queued(active=False, evicted="Deactivated", message="The workload is deactivated")
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Admitted").reason == "Evicted"
    assert "was switched off (spec.active is false)" in turn.told("Admitted").message
    assert "kubectl patch workload job-amber-1 -n evals" in turn.told("Admitted").message
    assert turn.decision.again_after == 5


LIMIT = {"evicted": "DeactivatedDueToRequeuingLimitExceeded", "message": "The workload is deactivated due to the limit"}


def test_a_workload_that_kueue_switched_off_stays_off() -> None:
    turn = queued(active=False, **LIMIT).turn()
    assert turn.actions == []
    assert turn.told("Admitted").reason == "Evicted"
    assert turn.told("Admitted").message.startswith("The workload is deactivated due to the limit. To have Kueue try")
    assert "kubectl delete workload job-amber-1 -n evals" in turn.told("Admitted").message


def test_what_is_switched_on_after_kueue_switched_it_off_may_wait_for_long() -> None:
    world = queued(active=False, **LIMIT)
    world.edit(suspend=True, queueName="research")
    world.turn()
    world.edit(suspend=False, queueName="research")
    assert world.turn().actions == [SetWorkloadActive("job-amber-1", active=True)]
    message = world.turn().told("Admitted").message
    assert message.startswith("The Workload is switched on again, and waits for Kueue")
    assert "kubectl delete workload job-amber-1" in message


def test_a_suspend_before_kueue_made_its_workload_is_made_up_for_soon() -> None:
    world = queued()
    world.workload = WorkloadSeen()
    world.edit(suspend=True, queueName="research")
    turn = world.turn()
    assert turn.actions == []
    assert turn.decision.again_after == 5
    world.workload = WorkloadSeen(name="job-amber-1")
    assert world.turn().actions == [SetWorkloadActive("job-amber-1", active=False)]


def test_a_job_that_runs_without_a_workload_is_suspended_by_its_own_field() -> None:
    world = admitted()
    world.workload = WorkloadSeen(problem=Problem("KueueNotInstalled", "Kueue was removed"))
    world.edit(suspend=True, queueName="research")
    assert world.turn().actions == [PatchJob(world.job.name, suspend=True)]


def test_a_job_that_kueue_took_of_itself_is_left_to_kueue() -> None:
    world = World()
    world.turn()
    world.change_job(suspended=True, queue_name="default")  # Kueue's default queue of the namespace
    world.workload = WorkloadSeen(name="job-amber-1", message=QUOTA)
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Admitted").reason == "Queued"


def test_a_job_without_a_queue_that_has_a_workload_is_left_to_kueue() -> None:
    world = World()
    world.turn()
    world.change_job(suspended=True)
    world.workload = WorkloadSeen(name="job-amber-1", message="LocalQueue  doesn't exist")
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Admitted").message == "LocalQueue  doesn't exist."


def test_a_job_that_somebody_suspended_by_hand_is_let_go_again() -> None:
    world = started()
    world.change_job(suspended=True)
    world.workload = WorkloadSeen(problem=Problem("KueueNotInstalled", "there is no Kueue"))
    turn = world.turn()
    assert turn.actions == [PatchJob(world.job.name, suspend=False)]
    assert turn.events == []
