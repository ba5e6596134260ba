"""A Job at work: edits of the spec, suspending, progress, and pods in trouble."""

from __future__ import annotations

import pytest

from fineline_operator.evaluations.decision import CreateJob, DeleteJob, Look, PatchJob
from fineline_operator.evaluations.observed import PodsSeen
from fineline_operator.telling.problems import Problem
from support.deciding import World, after, commits, spec, started, trouble


def test_more_or_fewer_pods_are_passed_on_to_the_job() -> None:
    world = started()
    world.edit(pods__parallelism=3)
    assert world.turn().actions == [PatchJob(world.job.name, parallelism=3)]
    assert world.turn().actions == []
    world.edit(pods__parallelism=1)
    assert world.turn().actions == [PatchJob(world.job.name, parallelism=1)]


def test_there_are_never_more_pods_than_slices() -> None:
    world = started()
    world.edit(pods__parallelism=100)
    turn = world.turn()
    assert turn.actions == [PatchJob(world.job.name, parallelism=4)]
    assert turn.told("Succeeded").message.endswith("4 slices, at most 4 pods at once.")


def test_a_longer_time_to_live_is_passed_on_to_the_job() -> None:
    world = started(ttl_seconds=604_800)
    assert world.turn().actions == []
    world.edit(ttlSecondsAfterFinished=0)
    assert world.turn().actions == [PatchJob(world.job.name, ttl_seconds=300)]
    assert world.turn().actions == []


def test_other_edits_of_the_pods_are_told_once_as_not_applied() -> None:
    world = started()
    before = world.turn().decision.status
    world.edit(remake=True)
    turn = world.turn()
    assert turn.actions == []
    assert turn.event("NotApplied").type == "Warning"
    assert "Set spec.suspend to true" in turn.event("NotApplied").message
    assert turn.decision.status == before
    assert world.status.observed_generation == 2
    assert world.turn().decision.events == ()


def test_a_job_whose_pods_are_about_to_be_made_is_not_made_again() -> None:
    world = World()
    world.turn()
    world.edit(remake=True, pods__secretName="other")
    turn = world.turn()
    assert turn.actions == []
    assert "NotApplied" in turn.event_reasons


def test_a_job_that_does_not_say_what_it_was_made_from_is_left_alone() -> None:
    world = started(made_from="", suspended=True, active=0, ready=0)
    assert not any(isinstance(action, DeleteJob) for action in world.turn().actions)


def test_suspending_stops_the_pods_and_resuming_lets_them_go_on() -> None:
    world = started()
    world.edit(suspend=True)
    stopped = world.turn()
    assert stopped.actions == [PatchJob(world.job.name, suspend=True)]
    assert stopped.told("Admitted").reason == "Suspended"
    assert stopped.event_reasons == ["Suspended"]
    assert world.turn().decision.events == ()
    world.change_job(active=0, ready=0, completed_indexes=1)
    world.edit(suspend=False)
    world.seconds = 1000
    resumed = world.turn()
    assert resumed.looks == [Look.PLAN, Look.JOB, Look.WORKLOAD]
    assert resumed.told("Succeeded").reason == "Progressing"
    assert resumed.actions == [PatchJob(world.job.name, suspend=False)]
    assert resumed.told("Admitted").status == "True"
    assert resumed.event_reasons == ["Resumed"]
    assert world.turn().writes == 0
    world.change_job(started=after(1000), active=1)
    assert world.turn().writes == 0


def test_a_suspended_job_resumes_only_where_there_is_room() -> None:
    world = started()
    world.edit(suspend=True)
    world.turn()
    world.edit(suspend=False)
    world.room = False
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Succeeded").reason == "Waiting"
    world.room = True
    assert world.turn().actions == [PatchJob(world.job.name, suspend=False)]


def test_a_job_at_work_is_not_stopped_when_the_room_is_gone() -> None:
    world = started()
    world.room = False
    turn = world.turn()
    assert turn.actions == []
    assert turn.told("Admitted").status == "True"


def test_edits_while_suspended_make_the_job_again_from_the_new_spec() -> None:
    world = started()
    world.edit(suspend=True)
    world.turn()
    world.edit(remake=True, suspend=True, pods__secretName="other")
    assert world.turn().actions == []
    world.change_job(active=0, ready=0, terminating=1)
    assert world.turn().actions == []
    world.change_job(terminating=0)
    old = world.job
    replaced = world.turn()
    assert replaced.actions == [DeleteJob(old.name, old.uid)]
    assert replaced.event_reasons == ["JobReplaced"]
    assert world.status.job_name is None
    assert world.turn().told("Succeeded").reason == "Suspended"
    world.edit(suspend=False, pods__secretName="other")
    made = world.turn()
    assert made.actions == [CreateJob(suspended=False)]
    assert made.event_reasons == []  # JobCreated was told; nobody but us took the Job away
    assert world.job.made_from == world.wanted_from


def test_results_are_not_listed_in_the_first_minute_while_no_slice_ends() -> None:
    world = started()
    for seconds in (1, 20, 59):
        world.seconds = seconds
        turn = world.turn()
        assert Look.COMMITS not in turn.looks
        assert turn.decision.again_after == pytest.approx(60 - seconds)


def test_results_are_listed_once_a_minute_while_pods_work() -> None:
    world = started()
    world.commits = commits(7)
    world.seconds = 60
    turn = world.turn()
    assert turn.looks == [Look.PLAN, Look.JOB, Look.COMMITS]
    assert turn.decision.again_after == 60
    assert world.status.progress is not None
    assert world.status.progress.text == "7/32"
    world.seconds = 90
    assert Look.COMMITS not in world.turn().looks
    world.seconds = 120
    assert Look.COMMITS in world.turn().looks


def test_a_slice_that_ended_makes_the_next_listing_come_sooner_but_not_at_once() -> None:
    world = started()
    world.seconds = 60
    world.turn()
    world.seconds = 62
    world.change_job(completed_indexes=1)
    turn = world.turn()
    assert Look.COMMITS not in turn.looks
    assert turn.decision.again_after == pytest.approx(8)
    world.seconds = 70
    turn = world.turn()
    assert Look.COMMITS in turn.looks
    assert turn.decision.again_after == 60


def test_after_a_restart_the_progress_stays_until_it_is_listed_again() -> None:
    world = started()
    world.commits = commits(7)
    world.seconds = 60
    world.turn()
    world.last_commits = None
    world.commits = Problem("StoreUnavailable", "no answer", lasting=False)
    turn = world.turn()
    assert turn.decision.backoff
    assert turn.told("Succeeded").reason == "StoreUnavailable"
    assert turn.told("Admitted").status == "True"
    assert world.status.progress is not None
    assert world.status.progress.text == "7/32"


def test_failures_are_told_while_the_others_go_on() -> None:
    world = started()
    world.commits = commits(7, failed=1)
    world.seconds = 60
    turn = world.turn()
    assert turn.event("CheckpointFailed").message == "step000000000000: TensorMissing: wq is missing"
    assert turn.told("Succeeded").status == "Unknown"
    assert [failure.reason for failure in world.status.failures] == ["TensorMissing"]
    world.seconds = 120
    world.commits = commits(9, failed=1)
    assert world.turn().events == []


def test_of_many_failures_the_first_twenty_are_told() -> None:
    world = started()
    world.commits = commits(0, failed=32)
    world.seconds = 60
    turn = world.turn()
    assert len([event for event in turn.events if event.reason == "CheckpointFailed"]) == 20
    assert len(world.status.failures) == 20
    assert world.status.progress is not None
    assert world.status.progress.failed == 32


def test_running_is_said_once_pods_have_worked_for_a_while() -> None:
    world = started()
    world.seconds = 10
    assert world.turn().told("Succeeded").reason == "Progressing"
    world.seconds = 31
    assert world.turn().told("Succeeded").reason == "Running"


def test_pods_are_not_looked_at_while_all_of_them_work() -> None:
    world = started()
    world.seconds = 45
    assert world.turn().looks == [Look.PLAN, Look.JOB]


def test_pods_are_not_looked_at_in_the_first_seconds() -> None:
    world = started(ready=0)
    world.seconds = 10
    turn = world.turn()
    assert Look.PODS not in turn.looks
    assert turn.decision.again_after == pytest.approx(20)


@pytest.mark.parametrize(
    "reason",
    ["Unschedulable", "ImagePullBackOff", "CreateContainerConfigError", "FailedMount", "OOMKilled", "NodeLost"],
)
def test_a_trouble_that_lasts_is_told_with_the_pods_own_words(reason: str) -> None:
    world = started(ready=0)
    world.pods = PodsSeen((trouble(reason, "0/3 nodes are available", since=after(1)),), 0)
    world.seconds = 30
    early = world.turn()
    assert early.told("Succeeded").reason == "Progressing"
    assert early.decision.again_after == pytest.approx(1)
    world.seconds = 31
    turn = world.turn()
    assert turn.told("Succeeded").status == "Unknown"
    assert turn.told("Succeeded").reason == reason
    assert turn.told("Succeeded").message.startswith("Pod amber-1-0-x7: 0/3 nodes are available.")
    assert turn.told("Reconciling").status == "True"
    assert turn.decision.again_after is not None
    assert turn.decision.again_after <= 30


def test_a_trouble_that_begins_while_nobody_looks_is_told_within_a_minute() -> None:
    world = started(ready=0)
    world.seconds = 30
    waited = 0.0
    world.pods = PodsSeen((), 0)
    world.turn()
    world.pods = PodsSeen((trouble("ImagePullBackOff", since=after(30)),), 0)
    turn = world.turn()
    while turn.told("Succeeded").reason != "ImagePullBackOff":
        assert turn.decision.again_after is not None
        waited += turn.decision.again_after
        world.seconds += turn.decision.again_after
        turn = world.turn()
    assert waited <= 60


def test_the_worst_trouble_is_the_one_that_is_told() -> None:
    world = started(ready=0)
    world.pods = PodsSeen((trouble("OOMKilled"), trouble("Unschedulable")), 0)
    world.seconds = 40
    assert world.turn().told("Succeeded").reason == "OOMKilled"


def test_a_trouble_that_is_over_is_not_told_any_more() -> None:
    world = started(ready=0)
    world.pods = PodsSeen((trouble("Unschedulable"),), 0)
    world.seconds = 40
    world.turn()
    world.change_job(ready=1)
    turn = world.turn()
    assert turn.told("Succeeded").reason == "Running"
    assert turn.looks == [Look.PLAN, Look.JOB]


def test_a_pod_that_hangs_in_terminating_is_looked_at() -> None:
    world = started(active=1, ready=1, terminating=1)
    world.pods = PodsSeen((trouble("NodeLost", "the node n1 does not answer"),), 0)
    world.seconds = 40
    turn = world.turn()
    assert turn.told("Succeeded").reason == "NodeLost"
    assert "kubectl delete pod --force" in turn.told("Succeeded").message


def test_a_pod_that_failed_and_was_replaced_is_looked_at_though_the_new_one_works() -> None:
    world = started(failed_pods=1)
    world.pods = PodsSeen((trouble("OOMKilled", "container evaluator used more memory than its limit of 8Gi"),), 0)
    world.seconds = 40
    assert world.turn().told("Succeeded").reason == "OOMKilled"


def test_a_job_without_any_pod_says_where_to_look() -> None:
    world = started(active=0, ready=0)
    world.seconds = 10
    assert world.turn().told("Succeeded").reason == "Progressing"
    world.seconds = 40
    turn = world.turn()
    assert turn.told("Succeeded").reason == "PodsNotCreated"
    assert f"kubectl describe job {world.job.name} -n evals" in turn.told("Succeeded").message


def test_a_job_that_the_job_controller_has_not_taken_up_is_no_trouble() -> None:
    world = started(active=0, ready=0, started=None)
    world.seconds = 1000
    turn = world.turn()
    assert turn.looks == [Look.PLAN, Look.JOB]
    assert turn.told("Succeeded").reason == "Progressing"


def test_a_job_whose_only_pod_is_terminating_has_one() -> None:
    world = started(active=0, ready=0, terminating=1)
    world.seconds = 40
    turn = world.turn()
    assert turn.told("Succeeded").reason == "Progressing"
    assert turn.decision.again_after == pytest.approx(15)


def test_a_pause_before_the_next_try_is_no_refusal_of_pods() -> None:
    world = started(active=0, ready=0)
    world.pods = PodsSeen((), 1, made=True)
    world.seconds = 40
    assert world.turn().told("Succeeded").reason == "Progressing"


def test_a_pause_between_two_slices_is_no_trouble() -> None:
    world = started(active=0, ready=0, completed_indexes=1)
    world.seconds = 40
    assert world.turn().told("Succeeded").reason == "Running"


def test_more_than_fifty_disruptions_are_told_until_the_end() -> None:
    world = started(ready=0)
    world.pods = PodsSeen((), 51)
    world.seconds = 40
    turn = world.turn()
    assert turn.told("Succeeded").reason == "RestartedOften"
    assert "51" not in turn.told("Succeeded").message
    world.change_job(ready=1)
    settled = world.turn()
    assert settled.told("Succeeded").reason == "RestartedOften"
    assert Look.PODS not in settled.looks
    world.jobs.clear()
    assert world.turn().told("Succeeded").reason == "Progressing"


def test_fifty_disruptions_are_not_told() -> None:
    world = started(ready=0)
    world.pods = PodsSeen((), 50)
    world.seconds = 40
    assert world.turn().told("Succeeded").reason == "Progressing"


def test_a_job_whose_pods_would_hold_up_the_deletion_of_its_namespace_goes_first() -> None:
    world = started(active=0, ready=0)
    world.pods = PodsSeen((), 0, namespace_ending=True)
    world.seconds = 40
    job = world.job
    turn = world.turn()
    assert turn.actions == [DeleteJob(job.name, job.uid)]
    assert turn.told("Succeeded").message.startswith("The namespace evals is being deleted")


def test_pods_that_come_and_go_do_not_have_the_status_written() -> None:
    world = started(active=0, ready=0)
    world.edit(pods__parallelism=4)
    world.turn()
    world.seconds = 35
    world.pods = PodsSeen((trouble("Unschedulable", since=after(30)),), 0)
    world.change_job(completed_indexes=1)
    world.turn()
    for active, ready in ((1, 0), (2, 1), (4, 4), (3, 3), (4, 2)):
        world.change_job(active=active, ready=ready)
        assert world.turn().writes == 0


def test_a_retry_asked_for_while_it_runs_does_not_disturb_it() -> None:
    world = started()
    world.retry = "now"
    turn = world.turn()
    assert turn.actions == []
    assert world.status.retry in (None, "")
    assert world.turn().looks == [Look.PLAN, Look.JOB]


def test_a_clock_that_runs_behind_does_not_put_anything_off_for_long() -> None:
    world = started(ready=0, started=after(5000))
    turn = world.turn()
    assert turn.decision.again_after is not None
    assert turn.decision.again_after <= 60


def test_a_suspended_job_has_no_pods_to_look_at() -> None:
    world = World(spec=spec())
    world.turn()
    world.change_job(suspended=True, started=after(0))
    world.edit(suspend=True)
    world.seconds = 500
    turn = world.turn()
    assert turn.looks == [Look.PLAN, Look.JOB]
    assert turn.decision.again_after is None


def test_the_lasting_problem_of_a_listing_is_no_end() -> None:
    world = started()
    world.seconds = 60
    world.commits = Problem("StoreDenied", "s3://evals/: access denied")
    turn = world.turn()
    assert turn.told("Succeeded").status == "Unknown"
    assert turn.told("Stalled").status == "True"
    assert turn.told("Planned").status == "True"
    world.commits = commits(3)
    assert world.turn().told("Stalled").status == "False"
