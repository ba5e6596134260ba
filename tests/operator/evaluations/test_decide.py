"""The reconcile table of resources.md, row by row: what is observed, and what is decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fineline.resources.status import CheckpointEvalStatus
from fineline_operator.evaluations.decision import CreateJob, Decision, DeleteJob, Look, MakePlan
from fineline_operator.telling.problems import Problem
from support.deciding import World, commits, plan, spec, started


def test_a_new_evaluation_is_planned_and_gets_one_job() -> None:
    turn = World().turn()
    assert turn.actions == [MakePlan(""), CreateJob(suspended=False)]
    assert turn.looks == [Look.PLAN, Look.JOB]
    assert turn.event_reasons == ["Planned", "JobCreated"]
    assert turn.told("Planned").message == (
        "36 units of 9 checkpoints: 32 units to do in 4 slices, 4 with a result already."
    )
    assert turn.told("Admitted").status == "True"
    assert turn.told("Succeeded").reason == "Progressing"


def test_a_short_evaluation_costs_two_status_writes_and_seven_writes_in_all() -> None:
    world = World()
    turns = world.turn_until_quiet()
    for seconds, values in (
        (1, {"active": 1, "started": world.evaluation.created}),
        (2, {"ready": 1}),
        (5, {"completed_indexes": 1}),
        (6, {"active": 0, "ready": 0}),
        (8, {"completed_indexes": 4, "finished": "Complete"}),
    ):
        world.seconds = seconds
        world.change_job(**values)
        world.commits = commits(32)
        turns += world.turn_until_quiet()
    assert world.says("Succeeded") == "True"
    assert sum(turn.wrote_status for turn in turns) == 2
    # The plan and the Job, two statuses, and the events Planned, JobCreated, Succeeded.
    assert sum(turn.writes for turn in turns) == 7
    assert [look for turn in turns for look in turn.looks if look not in (Look.PLAN, Look.JOB)] == [Look.COMMITS]


def test_looking_again_at_the_same_changes_nothing() -> None:
    world = World()
    world.turn()
    again = world.turn()
    assert (again.actions, again.events, again.wrote_status) == ([], [], False)


def test_an_evaluation_that_is_being_deleted_is_left_alone() -> None:
    world = World(deleting=True)
    turn = world.turn()
    assert (turn.decision, turn.looks) == (Decision(), [])


def test_a_spec_that_cant_be_read_needs_a_person() -> None:
    world = World(spec=None, unreadable=Problem("SpecInvalid", "spec.run.name: is missing"))
    turn = world.turn()
    assert turn.told("Stalled").status == "True"
    assert turn.told("Stalled").reason == "SpecInvalid"
    assert "spec.run.name: is missing. It is looked at again every 5 min" in turn.told("Succeeded").message
    assert turn.decision.again_after == 300
    assert turn.looks == []


def test_a_store_that_the_namespace_may_not_name_is_not_even_listed() -> None:
    world = World(not_allowed=Problem("StoreNotAllowed", "spec.results: s3://x/: no store covers it"))
    turn = world.turn()
    assert turn.told("Planned").status == "False"
    assert turn.told("Stalled").reason == "StoreNotAllowed"
    assert turn.looks == []
    assert turn.actions == []


def test_a_lasting_problem_is_told_in_one_event_and_looked_at_again() -> None:
    world = World(to_plan=Problem("NoCheckpoint", "s3://pretrain/amber/: no checkpoint here"))
    first, second = world.turn(), world.turn()
    assert [(event.type, event.reason) for event in first.events] == [("Warning", "NoCheckpoint")]
    assert (second.events, second.wrote_status) == ([], False)
    assert second.actions == [MakePlan("")]
    assert second.decision.again_after == 300


def test_a_passing_problem_is_tried_again_with_growing_pauses() -> None:
    world = World(to_plan=Problem("StoreUnavailable", "s3://pretrain/: no answer", lasting=False))
    turn = world.turn()
    assert turn.decision.backoff
    assert turn.told("Planned").status == "Unknown"
    assert turn.told("Reconciling").status == "True"
    assert turn.told("Succeeded").reason == "StoreUnavailable"
    assert turn.events == []


def test_once_the_problem_is_mended_it_goes_on_by_itself() -> None:
    world = World(to_plan=Problem("NoCheckpoint", "nothing here"))
    world.turn()
    world.to_plan = plan()
    assert world.turn().actions == [MakePlan(""), CreateJob(suspended=False)]
    assert world.says("Stalled") == "False"


def test_a_plan_whose_units_all_have_a_result_needs_no_job() -> None:
    world = World(to_plan=plan(todo=0, reused=36, slices=0))
    turn = world.turn()
    assert turn.actions == [MakePlan("")]
    assert turn.told("Succeeded").status == "True"
    assert turn.told("Succeeded").reason == "AllReused"
    assert turn.told("Succeeded").message == "Every unit had a result before, 36 in all: there was nothing to do."
    assert turn.told("Admitted").reason == "NotNeeded"
    assert world.status.progress is not None
    assert world.status.progress.text == "0/0"
    assert world.status.completion_time is not None
    assert world.turn().decision == Decision()


def test_units_that_failed_before_are_not_tried_again_unasked() -> None:
    world = World(to_plan=plan(todo=0, reused=34, failed_before=2, slices=0))
    turn = world.turn()
    assert turn.actions == [MakePlan("")]
    assert turn.told("Succeeded").status == "False"
    assert turn.told("Succeeded").reason == "SomeUnitsFailed"
    assert "34 of 36 units have a result, 2 failed for good in an earlier evaluation" in turn.told("Succeeded").message
    assert "kubectl annotate ckeval amber -n evals --overwrite fineline.dev/retry=" in turn.told("Succeeded").message


def test_checkpoints_that_were_put_aside_are_told() -> None:
    world = World(to_plan=plan(put_aside=2, put_aside_example="step12: Incomplete: a shard is missing"))
    turn = world.turn()
    said = "2 checkpoints put aside, such as step12: Incomplete: a shard is missing."
    assert turn.event("CheckpointsPutAside").message == said
    assert said in turn.told("Planned").message


def test_while_suspended_it_is_planned_and_no_job_is_made() -> None:
    world = World(spec=spec(suspend=True))
    turn = world.turn()
    assert turn.actions == [MakePlan("")]
    assert turn.told("Admitted").status == "False"
    assert turn.told("Succeeded").reason == "Suspended"
    assert turn.told("Reconciling").status == "True"
    world.edit(suspend=False)
    assert world.turn().actions == [CreateJob(suspended=False)]


@pytest.mark.parametrize("queue", [None, "research"])
def test_a_suspended_evaluation_gets_no_job_with_or_without_a_queue(queue: str | None) -> None:
    world = World(spec=spec(suspend=True, queueName=queue))
    assert world.turn().actions == [MakePlan("")]


def test_where_as_many_run_as_may_it_waits_for_its_turn() -> None:
    world = World(room=False, room_message="2 of at most 2 evaluations run")
    turn = world.turn()
    assert turn.actions == [MakePlan("")]
    assert turn.told("Admitted").status == "False"
    assert turn.told("Admitted").reason == "Waiting"
    assert turn.told("Admitted").message == "2 of at most 2 evaluations run."
    world.room_message = ""
    assert world.turn().told("Admitted").message.endswith("this one waits for its turn, the oldest first.")
    world.room = True
    assert world.turn().actions == [CreateJob(suspended=False)]


def test_a_job_with_a_queue_waits_for_kueue_and_not_for_room() -> None:
    world = World(spec=spec(queueName="research"), room=False)
    assert world.turn().actions == [MakePlan(""), CreateJob(suspended=True)]


def test_a_template_that_makes_no_job_needs_a_person() -> None:
    world = World(refuse_job=Problem("TemplateInvalid", "spec.pods.template: has no container evaluator"))
    turn = world.turn()
    assert turn.told("Planned").status == "True"
    assert turn.told("Admitted").status == "False"
    assert turn.told("Stalled").reason == "TemplateInvalid"
    assert world.status.plan is not None
    assert world.status.start_time is None
    world.refuse_job = None
    world.edit(remake=True)
    assert world.turn().actions == [CreateJob(suspended=False)]


def test_a_job_deleted_by_hand_is_made_again() -> None:
    world = started()
    world.jobs.clear()
    world.commits = commits(10)
    turn = world.turn()
    assert turn.looks == [Look.PLAN, Look.JOB, Look.COMMITS]
    assert turn.actions == [CreateJob(suspended=False)]
    assert turn.event("JobGone").type == "Warning"
    assert world.status.progress is not None
    assert world.status.progress.text == "10/32"


def test_a_job_deleted_after_its_last_unit_is_not_made_again() -> None:
    world = started()
    world.jobs.clear()
    world.commits = commits(32)
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Succeeded").status == "True"
    assert turn.told("Succeeded").message == "All 32 units are published; 4 more had a result before."


def test_a_job_deleted_after_its_last_unit_ended_with_failures_is_judged_by_them() -> None:
    world = started()
    world.jobs.clear()
    world.commits = commits(30, failed=2)
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Succeeded").reason == "SomeUnitsFailed"


def test_a_job_is_not_made_again_on_a_guess_while_the_store_does_not_answer() -> None:
    world = started()
    world.jobs.clear()
    world.commits = Problem("StoreUnavailable", "no answer", lasting=False)
    turn = world.turn()
    assert turn.actions == []
    assert turn.decision.backoff


def test_a_job_that_is_being_deleted_is_waited_for() -> None:
    world = started(deleting=True)
    turn = world.turn()
    assert turn.actions == []
    assert "is being deleted. It is made again once it is gone" in turn.told("Succeeded").message
    assert turn.decision.again_after is None


def test_a_deleted_plan_is_made_again_and_the_job_of_the_old_one_makes_way() -> None:
    world = started()
    old = world.job
    world.plans.clear()
    world.seconds = 100
    world.to_plan = plan(digest="e" * 64, todo=20, reused=16, slices=4)
    first = world.turn()
    assert first.actions == [MakePlan(""), DeleteJob(old.name, old.uid)]
    second = world.turn()
    assert second.actions == [CreateJob(suspended=False)]
    assert second.event("JobGone").message.startswith(f"The Job {old.name} or its plan was gone")
    assert world.job.name != old.name
    assert world.status.job_name == world.job.name
    assert world.status.progress is not None
    assert world.status.progress.of == 20


def test_a_deleted_plan_that_comes_out_the_same_keeps_its_job() -> None:
    world = started()
    world.plans.clear()
    assert world.turn().actions == [MakePlan("")]
    assert world.turn().actions == []


def test_a_plan_deleted_after_the_last_unit_ends_well() -> None:
    world = started()
    old = world.job
    world.plans.clear()
    world.to_plan = plan(digest="e" * 64, todo=0, reused=36, slices=0)
    turn = world.turn()
    assert turn.actions == [MakePlan(""), DeleteJob(old.name, old.uid)]
    assert turn.told("Succeeded").reason == "Succeeded"
    assert turn.told("Succeeded").message == "Every unit has a result, 36 in all."


def test_progress_of_an_older_plan_is_not_taken_for_the_new_ones() -> None:
    world = started()
    world.seconds = 70
    world.commits = commits(30)
    world.turn()
    world.plans.clear()
    world.to_plan = plan(digest="e" * 64, todo=2, reused=34)
    world.seconds = 80
    world.turn()
    assert world.status.progress is not None
    assert world.status.progress.text == "0/2"


def test_a_problem_while_pods_run_leaves_the_job_alone() -> None:
    world = started()
    world.not_allowed = Problem("StoreNotAllowed", "the namespace may not use the store any more")
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Planned").status == "True"
    assert turn.told("Stalled").status == "True"
    world.not_allowed = None
    world.turn()
    assert world.says("Stalled") == "False"


def test_a_restart_between_the_plan_and_the_job_makes_one_of_each() -> None:
    world = World()
    world.turn()
    world.status = CheckpointEvalStatus()
    world.jobs.clear()
    assert world.turn().actions == [CreateJob(suspended=False)]


def test_a_restart_between_the_job_and_the_status_tells_what_was_not_told() -> None:
    world = World()
    world.turn()
    world.status = CheckpointEvalStatus()
    world.events_told.clear()
    turn = world.turn()
    assert turn.actions == []
    assert turn.event_reasons == ["Planned", "JobCreated"]
    assert turn.wrote_status


def test_a_job_that_was_made_and_ended_unseen_is_told_with_the_end() -> None:
    world = World()
    world.turn()
    world.status = CheckpointEvalStatus()
    world.events_told.clear()
    world.commits = commits(32)
    world.change_job(finished="Complete", completed_indexes=4)
    assert world.turn().event_reasons == ["Planned", "JobCreated", "Succeeded"]


def test_the_status_names_plan_progress_results_and_job() -> None:
    world = World(to_plan=plan(todo=30, failed_before=2))
    world.turn()
    status = world.status
    assert status.plan is not None
    assert (status.plan.checkpoints, status.plan.units, status.plan.reused, status.plan.slices) == (9, 36, 4, 4)
    assert status.progress is not None
    assert (status.progress.failed, status.progress.of, status.progress.text) == (2, 32, "2/32")
    assert status.results == "s3://evals/results/units/run=amber/"
    assert status.job_name == world.job.name
    assert status.start_time is not None
    assert status.completion_time is None


def test_jobs_of_an_older_plan_that_have_ended_are_left_to_their_time_to_live() -> None:
    world = World()
    world.turn()
    world.change_job(finished="Failed")
    world.plans.clear()
    world.to_plan = plan(digest="e" * 64)
    old = world.job
    assert world.turn().actions == [MakePlan(""), CreateJob(suspended=False)]
    assert world.jobs[old.name] == replace(old)
