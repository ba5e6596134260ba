"""How an evaluation ends, stays ended, and is opened once more."""

from __future__ import annotations

import pytest

from fineline.resources.status import Failure
from fineline_operator.evaluations.decision import CreateJob, Decision, Look, MakePlan
from fineline_operator.evaluations.observed import PodsSeen
from fineline_operator.telling.problems import Problem
from support.deciding import World, commits, plan, spec, started, trouble


def ended(published: int = 32, failed: int = 0, **values: str) -> World:
    """A world whose Job has ended and was judged."""
    world = started()
    world.commits = commits(published, failed)
    world.change_job(**{"finished": "Complete", "completed_indexes": 4, "active": 0, "ready": 0, **values})
    world.turn()
    return world


def test_all_units_published_is_success() -> None:
    world = started()
    world.commits = commits(32)
    world.change_job(finished="Complete", completed_indexes=4)
    turn = world.turn()
    assert turn.looks == [Look.PLAN, Look.JOB, Look.COMMITS]
    assert turn.told("Succeeded").status == "True"
    assert turn.told("Reconciling").status == "False"
    assert turn.told("Stalled").status == "False"
    assert [(event.type, event.reason) for event in turn.events] == [("Normal", "Succeeded")]
    assert world.status.progress is not None
    assert world.status.progress.text == "32/32"
    assert world.status.completion_time is not None


def test_failed_units_are_counted_and_say_how_to_retry() -> None:
    world = started()
    world.commits = commits(29, failed=3)
    world.change_job(finished="Failed", finished_reason="FailedIndexes", failed_indexes=1)
    turn = world.turn()
    said = turn.told("Succeeded")
    assert (said.status, said.reason) == ("False", "SomeUnitsFailed")
    assert said.message.startswith(
        "33 of 36 units have a result, 3 failed for good. The first: step000000000000: TensorMissing: wq is missing."
    )
    assert "fineline.dev/retry" in said.message
    assert turn.told("Stalled").status == "True"
    assert turn.told("Reconciling").status == "False"
    assert len([event for event in turn.events if event.reason == "CheckpointFailed"]) == 3
    assert turn.event("Failed").type == "Warning"


def test_units_that_failed_before_count_at_the_end() -> None:
    world = World(to_plan=plan(units=38, failed_before=2))
    world = started(world)
    world.commits = commits(32)
    world.change_job(finished="Complete")
    turn = world.turn()
    assert turn.told("Succeeded").reason == "SomeUnitsFailed"
    assert "36 of 38 units have a result, 2 failed for good in an earlier evaluation" in turn.told("Succeeded").message


def test_a_checkpoint_that_can_not_be_evaluated_is_told_at_once_and_fails_the_evaluation_at_the_end() -> None:
    broken = Failure(checkpoint="step12", reason="PickleRefused", message="pytorch_model.bin is a pickle")
    world = World(to_plan=plan(put_aside=2, put_aside_for_good=1, failures=(broken,)))
    world = started(world)
    assert world.status.failures == (broken,)
    assert world.says("Succeeded") == "Unknown"
    world.commits = commits(31, failed=1)
    world.change_job(finished="Complete")
    told = world.turn().told("Succeeded")
    assert (told.status, told.reason) == ("False", "SomeUnitsFailed")
    assert told.message.startswith(
        "35 of 36 units have a result, 1 failed for good, 1 checkpoint can't be evaluated. "
        "The first: step12: PickleRefused: pytorch_model.bin is a pickle."
    )
    assert [failure.reason for failure in world.status.failures] == ["PickleRefused", "TensorMissing"]


def test_one_that_has_all_results_but_of_a_checkpoint_that_can_not_be_evaluated_does_not_succeed() -> None:
    world = World(to_plan=plan(todo=0, reused=36, slices=0, put_aside=1, put_aside_for_good=1))
    assert world.turn().told("Succeeded").reason == "SomeUnitsFailed"


def test_a_checkpoint_that_a_further_upload_may_complete_fails_nothing() -> None:
    world = World(to_plan=plan(todo=0, reused=36, slices=0, put_aside=1))
    assert world.turn().told("Succeeded").reason == "AllReused"


def test_the_failures_of_before_are_told_though_nothing_is_listed() -> None:
    before = Failure(checkpoint="step 12", task="piqa", reason="TaskFailed", message="no such document")
    world = World(to_plan=plan(todo=0, reused=35, failed_before=1, slices=0, failures=(before,)))
    assert "The first: step 12, task piqa: TaskFailed: no such document." in world.turn().told("Succeeded").message
    assert world.status.failures == (before,)


def test_a_deadline_that_ran_out_is_named() -> None:
    world = ended(10, finished="Failed", finished_reason="DeadlineExceeded")
    said = world.status.condition("Succeeded")
    assert said is not None
    assert (said.status, said.reason) == ("False", "DeadlineExceeded")
    assert "22 have neither result nor failure record" in said.message
    assert "took longer than spec.pods.deadlineSeconds" in said.message


def test_a_deadline_that_ran_out_after_the_last_unit_is_success() -> None:
    world = ended(32, finished="Failed", finished_reason="DeadlineExceeded")
    assert world.says("Succeeded") == "True"


def test_a_complete_job_whose_results_are_not_there_says_so() -> None:
    world = ended(30)
    said = world.status.condition("Succeeded")
    assert said is not None
    assert (said.status, said.reason) == ("False", "ResultsMissing")
    assert "results were deleted, or its pods write to a store that the operator does not see" in said.message


def test_a_job_that_gave_up_says_what_its_pods_said() -> None:
    world = started()
    world.commits = commits(10)
    world.pods = PodsSeen((trouble("PodFailed", "container evaluator ended with 4: the slice is another plan's"),), 0)
    world.change_job(
        finished="Failed", finished_reason="FailedIndexes", finished_message="Job has failed indexes", failed_indexes=1
    )
    turn = world.turn()
    assert turn.looks == [Look.PLAN, Look.JOB, Look.COMMITS, Look.PODS]
    said = turn.told("Succeeded")
    assert (said.status, said.reason) == ("False", "PodsFailed")
    assert "(FailedIndexes): Job has failed indexes. Pod amber-1-0-x7: container evaluator ended with 4" in said.message


@pytest.mark.parametrize("reason", ["StoreUnavailable", "StoreDenied"])
def test_nothing_ends_on_a_guess_while_the_store_gives_no_answer(reason: str) -> None:
    world = started()
    world.change_job(finished="Complete")
    world.commits = Problem(reason, "no answer", lasting=reason == "StoreDenied")
    turn = world.turn()
    assert turn.told("Succeeded").status == "Unknown"
    assert turn.decision.backoff is (reason == "StoreUnavailable")
    world.commits = commits(32)
    assert world.turn().told("Succeeded").status == "True"


def test_what_has_ended_is_not_written_again() -> None:
    world = ended()
    for seconds in (0, 300, 600):
        world.seconds = seconds
        assert world.turn().decision == Decision()


def test_nothing_starts_after_the_jobs_time_to_live() -> None:
    world = ended(29, failed=3, finished="Failed")
    world.jobs.clear()
    world.plans.clear()
    assert world.turn().decision == Decision()


def test_an_edit_after_the_end_is_seen_and_changes_nothing() -> None:
    world = ended(29, failed=3, finished="Failed")
    before = world.status
    world.edit(remake=True)
    turn = world.turn()
    assert turn.looks == []
    assert turn.actions == []
    assert turn.event("NotApplied").message.startswith("It has ended")
    assert world.status.observed_generation == 2
    assert [(item.type, item.status, item.reason, item.message) for item in world.status.conditions] == [
        (item.type, item.status, item.reason, item.message) for item in before.conditions
    ]
    assert world.turn().decision == Decision()


def test_suspending_what_has_ended_does_nothing() -> None:
    world = ended()
    world.edit(suspend=True)
    assert world.turn().actions == []
    assert world.says("Succeeded") == "True"


def test_the_retry_annotation_opens_it_once() -> None:
    world = ended(29, failed=3, finished="Failed")
    world.retry = "1"
    opened = world.turn()
    assert opened.actions == []
    assert "Retried" in opened.event_reasons
    assert world.says("Reconciling") == "True"
    assert world.status.failures == ()
    assert world.status.job_name is None
    assert world.status.completion_time is None
    world.to_plan = plan(digest="e" * 64, todo=3, reused=33, slices=1)
    made = world.turn()
    assert made.actions == [MakePlan("1"), CreateJob(suspended=False)]
    new = next(job for job in world.jobs.values() if not job.finished)
    world.jobs = {new.name: new}
    world.change_job(finished="Complete", completed_indexes=1)
    world.commits = commits(3)
    assert world.turn().told("Succeeded").status == "True"
    assert world.turn().decision == Decision()


def test_the_old_end_is_forgotten_before_anything_else_is_done() -> None:
    world = ended(29, failed=3, finished="Failed")
    world.retry = "1"
    turn = world.turn()
    assert turn.looks == []
    assert turn.told("Succeeded").status == "Unknown"
    assert turn.decision.again_after == 0


def test_a_retry_that_fails_again_ends_again_and_can_be_retried_again() -> None:
    world = ended(29, failed=3, finished="Failed")
    world.retry = "1"
    world.turn()
    world.to_plan = plan(digest="e" * 64, todo=0, reused=33, failed_before=3, slices=0)
    world.turn()
    assert world.says("Succeeded") == "False"
    assert world.turn().decision == Decision()
    world.retry = "2"
    assert "Retried" in world.turn().event_reasons


def test_taking_the_annotation_away_opens_nothing() -> None:
    world = ended(29, failed=3, finished="Failed")
    world.retry = "1"
    world.turn()
    world.turn()
    world.retry = ""
    world.turn_until_quiet()
    assert world.status.retry == "1"
    assert world.jobs_made == 2


def test_an_annotation_that_was_there_from_the_start_opens_nothing() -> None:
    world = World(retry="from-git")
    world = started(world)
    assert world.status.retry == "from-git"
    world.commits = commits(32)
    world.change_job(finished="Complete")
    world.turn()
    assert world.turn().decision == Decision()


def test_a_retry_asked_for_while_it_ran_opens_it_after_a_failure() -> None:
    world = started()
    world.retry = "mended"
    world.commits = commits(29, failed=3)
    world.change_job(finished="Failed")
    assert world.turn().told("Succeeded").status == "False"
    assert "Retried" in world.turn().event_reasons


def test_a_retry_asked_for_while_it_ran_has_nothing_left_to_do_after_success() -> None:
    world = started()
    world.retry = "mended"
    world.commits = commits(32)
    world.change_job(finished="Complete")
    world.turn()
    assert world.turn().decision == Decision()
    assert world.status.retry == "mended"


def test_a_retry_while_a_person_must_act_is_used_up_by_that() -> None:
    world = World(to_plan=Problem("NoCheckpoint", "nothing here"))
    world.turn()
    world.retry = "look-now"
    world.to_plan = plan()
    assert world.turn().actions == [MakePlan("look-now"), CreateJob(suspended=False)]
    world.commits = commits(30, failed=2)
    world.change_job(finished="Failed")
    world.turn()
    assert world.turn().decision == Decision()


def test_a_finished_job_counts_though_the_user_suspended_meanwhile() -> None:
    world = started()
    world.commits = commits(32)
    world.change_job(finished="Complete")
    world.edit(suspend=True)
    assert world.turn().told("Succeeded").status == "True"


def test_a_finished_job_that_is_being_deleted_is_judged_while_it_is_there() -> None:
    world = started(deleting=True, finished="Complete")
    world.commits = commits(32)
    assert world.turn().told("Succeeded").status == "True"


def test_an_evaluation_of_one_unit_says_so_in_the_singular() -> None:
    world = World(spec=spec(), to_plan=plan(checkpoints=1, units=1, todo=1, reused=0, slices=1))
    assert world.turn().told("Planned").message == "1 unit of 1 checkpoint: 1 unit to do in 1 slice."
    world.commits = commits(1)
    world.change_job(finished="Complete")
    assert world.turn().told("Succeeded").message == "The one unit is published."
