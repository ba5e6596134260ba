"""What holds of every decision, whatever is observed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from hypothesis import assume, given
from hypothesis import strategies as st

from fineline.resources.reasons import CONDITION_TYPES, Reason
from fineline.resources.status import CheckpointEvalStatus, Condition, Failure, PlanStatus, ProgressStatus
from fineline_operator.evaluations.decide import decide
from fineline_operator.evaluations.decision import CreateJob, Decision, Look, MakePlan
from fineline_operator.evaluations.observed import (
    NOT_LOOKED,
    CommitsSeen,
    EvaluationSeen,
    JobSeen,
    Observed,
    PlanSeen,
    PodsSeen,
    PodTrouble,
    WorkloadSeen,
)
from fineline_operator.evaluations.status import next_status
from fineline_operator.telling.problems import Problem
from support.deciding import START, World, after, commits, job, plan, spec

REASONS = [reason.value for reason in Reason]
NOT_PLANNED = [reason.value for reason in Reason if {"Planned=False", "Stalled=True"} <= set(reason.shown)]
TROUBLES = ["Unschedulable", "OOMKilled", "NodeLost", "ImagePullBackOff", "PodFailed"]

moments = st.integers(-100, 400).map(after)
small = st.integers(0, 5)
texts = st.text(max_size=12)
words = st.one_of(st.sampled_from(REASONS), st.text(max_size=5))
problems = st.builds(Problem, reason=words, message=texts, lasting=st.booleans())
passing = st.builds(Problem, st.sampled_from(["StoreUnavailable", "StoreFailed"]), texts, st.just(value=False))
not_planned = st.builds(Problem, st.sampled_from(NOT_PLANNED), texts)
not_listed = st.builds(Problem, st.sampled_from(["StoreDenied", "StoreNotFound"]), texts)
no_job = st.builds(Problem, st.sampled_from(["JobRefused", "TemplateInvalid"]), texts)
no_queue = st.builds(Problem, st.sampled_from(["QueueNotFound", "KueueNotInstalled"]), texts)
retries = st.sampled_from(["", "1", "2"])
specs = st.sampled_from(
    [
        spec(suspend=suspend, queueName=queue, pods__parallelism=parallelism)
        for suspend in (False, True)
        for queue in (None, "research")
        for parallelism in (1, 3)
    ]
)


@st.composite
def statuses(draw: st.DrawFn) -> CheckpointEvalStatus:
    """Also such as no operator of ours would write."""
    conditions = tuple(
        Condition(
            type=kind,
            status=draw(st.sampled_from(["True", "False", "Unknown"])),
            reason=draw(st.sampled_from(REASONS)),
            message="as it was said before",
            last_transition_time=START,
        )
        for kind in CONDITION_TYPES
        if draw(st.booleans())
    )
    planned = PlanStatus(digest=draw(st.sampled_from(["d" * 64, "e" * 64])), checkpoints=1, units=4, reused=0)
    return CheckpointEvalStatus(
        observed_generation=draw(st.sampled_from([None, 1, 2])),
        conditions=conditions,
        plan=draw(st.sampled_from([None, planned])),
        progress=draw(st.sampled_from([None, ProgressStatus(published=1, failed=0, of=4, text="1/4")])),
        job_name=draw(st.sampled_from([None, "amber-dd", "amber-ee"])),
        retry=draw(st.sampled_from([None, "", "1"])),
        start_time=draw(st.sampled_from([None, START])),
    )


evaluations = st.builds(
    EvaluationSeen,
    namespace=st.just("evals"),
    name=st.just("amber"),
    uid=st.just("uid-1"),
    generation=st.sampled_from([1, 2]),
    created=st.just(START),
    deleting=st.booleans(),
    retry=retries,
    spec=st.one_of(st.none(), specs),
    problem=st.one_of(st.none(), problems),
    status=statuses(),
)
plans = st.builds(
    plan,
    todo=small,
    failed_before=small,
    reused=small,
    put_aside=small,
    put_aside_for_good=small,
    slices=small,
    made=moments,
)


def jobs(**values: Any) -> st.SearchStrategy[JobSeen]:
    fields: dict[str, Any] = {
        "name": st.sampled_from(["amber-dd", "amber-ee"]),
        "created": moments,
        "deleting": st.booleans(),
        "suspended": st.booleans(),
        "parallelism": small,
        "completions": small,
        "active": small,
        "ready": small,
        "terminating": small,
        "completed_indexes": small,
        "failed_indexes": small,
        "failed_pods": small,
        "started": st.one_of(st.none(), moments),
        "finished": st.sampled_from(["", "", "Complete", "Failed"]),
        "finished_reason": st.sampled_from(["", "FailedIndexes", "DeadlineExceeded"]),
        "made_from": st.sampled_from(["", "spec-1", "spec-2"]),
        "queue_name": st.sampled_from(["", "research"]),
        "ttl_seconds": st.sampled_from([None, 300, 604_800]),
    }
    return st.builds(job, **{**fields, **values})


listings = st.builds(commits, published=small, failed=small, at=moments, ended=small)
troubles = st.builds(PodTrouble, pod=texts, reason=words, message=texts, since=moments)
pods = st.builds(PodsSeen, troubles=st.lists(troubles, max_size=3).map(tuple), restarts=st.sampled_from([0, 50, 51]))
workloads = st.builds(
    WorkloadSeen,
    name=st.sampled_from(["", "job-amber"]),
    active=st.booleans(),
    admitted=st.booleans(),
    evicted=st.sampled_from(["", "Preempted", "Deactivated", "ClusterQueueStopped"]),
    message=texts,
    problem=st.one_of(st.none(), problems),
)
everything = st.builds(
    Observed,
    now=moments,
    evaluation=evaluations,
    not_allowed=st.one_of(st.none(), problems),
    room=st.booleans(),
    room_message=texts,
    wanted_from=st.sampled_from(["spec-1", "spec-2"]),
    plan=st.one_of(st.just(NOT_LOOKED), st.none(), plans),
    plan_problem=st.one_of(st.none(), problems),
    job=st.one_of(st.just(NOT_LOOKED), st.none(), jobs()),
    job_problem=st.one_of(st.none(), problems),
    job_created=st.booleans(),
    other_jobs=st.lists(jobs(), max_size=2).map(tuple),
    commits=st.one_of(st.just(NOT_LOOKED), problems, listings),
    last_commits=st.one_of(st.none(), listings),
    pods=st.one_of(st.just(NOT_LOOKED), pods),
    workload=st.one_of(st.just(NOT_LOOKED), workloads),
)


def conditions_of(decision: Decision) -> dict[str, str]:
    return {item.type: item.status for item in decision.status.conditions} if decision.status is not None else {}


def kstatus(conditions: dict[str, str]) -> str:
    """As kstatus reads it, in its order."""
    if conditions["Reconciling"] == "True":
        return "InProgress"
    return "Failed" if conditions["Stalled"] == "True" else "Current"


@given(everything)
def test_the_same_is_decided_about_the_same_and_nothing_raises(observed: Observed) -> None:
    assert decide(observed) == decide(observed)


@given(everything)
def test_a_look_is_only_asked_for_what_was_not_looked_at_and_comes_alone(observed: Observed) -> None:
    decision = decide(observed)
    if decision.look is not None:
        assert getattr(observed, decision.look.value) is NOT_LOOKED
        assert decision == Decision(look=decision.look)


@given(everything)
def test_conditions_are_whole_and_agree_with_each_other(observed: Observed) -> None:
    decision = decide(observed)
    assume(decision.status is not None)
    conditions = conditions_of(decision)
    assert tuple(conditions) == CONDITION_TYPES
    assert (conditions["Reconciling"], conditions["Stalled"]) != ("True", "True")
    match conditions["Succeeded"]:
        case "True":
            assert kstatus(conditions) == "Current"
        case "False":
            assert kstatus(conditions) == "Failed"
        case _:
            assert kstatus(conditions) in ("InProgress", "Failed")


@given(everything)
def test_every_status_can_be_written(observed: Observed) -> None:
    decision = decide(observed)
    assume(decision.status is not None)
    assert decision.status is not None
    next_status(observed.evaluation, decision.status, observed.now)  # pydantic checks reasons and lengths
    assert all(item.message for item in decision.status.conditions)
    assert all(len(event.message.encode()) <= 1024 for event in decision.events)


@given(everything, st.sampled_from(["True", "False"]))
def test_what_has_ended_starts_nothing_without_a_new_retry_value(
    observed: Observed, verdict: Literal["True", "False"]
) -> None:
    status = observed.evaluation.status
    end = Condition(type="Succeeded", status=verdict, reason="Succeeded", last_transition_time=START)
    conditions = (*(item for item in status.conditions if item.type != "Succeeded"), end)
    ended = status.model_copy(update={"conditions": conditions, "retry": observed.evaluation.retry or status.retry})
    evaluation = replace(observed.evaluation, status=ended)
    decision = decide(replace(observed, evaluation=evaluation))
    assert decision.look is None
    assert decision.actions == ()
    if decision.status is not None:
        assert ended.observed_generation != evaluation.generation
        assert conditions_of(decision)["Succeeded"] == verdict


@given(everything)
def test_a_job_is_only_made_where_its_pods_may_run_and_have_something_to_do(observed: Observed) -> None:
    decision = decide(observed)
    if any(isinstance(action, CreateJob) for action in decision.actions):
        evaluation = observed.evaluation
        assert decision == Decision(actions=(CreateJob(suspended=evaluation.spec.queue_name is not None),))  # type: ignore[union-attr]
        assert not evaluation.spec.suspend  # type: ignore[union-attr]
        assert evaluation.spec.queue_name is not None or observed.room  # type: ignore[union-attr]
        assert isinstance(observed.plan, PlanSeen)
        assert observed.plan.todo > 0
        assert observed.job is None
        assert observed.other_jobs == ()


@given(everything)
def test_an_end_rests_on_a_listing_and_on_no_work_in_progress(observed: Observed) -> None:
    evaluation = observed.evaluation
    assume(not evaluation.status.finished)
    verdict = conditions_of(decide(observed)).get("Succeeded")
    if verdict not in ("True", "False"):
        return
    seen = observed.plan
    assert isinstance(seen, PlanSeen)
    if seen.todo == 0:
        assert (verdict == "True") is not seen.lacks
        return
    assert isinstance(observed.commits, CommitsSeen)
    assert observed.job is None or (isinstance(observed.job, JobSeen) and observed.job.finished)
    all_published = observed.commits.published >= seen.todo
    assert not (verdict == "True" and (seen.lacks or observed.commits.failed or not all_published))


@given(everything)
def test_pauses_are_never_negative(observed: Observed) -> None:
    decision = decide(observed)
    assert decision.again_after is None or 0 <= decision.again_after <= 300
    assert not (decision.backoff and decision.again_after is not None)


@given(everything, plans, jobs(), listings, pods, workloads)
def test_each_thing_is_looked_at_once_at_most(
    observed: Observed, planned: PlanSeen, made: JobSeen, listed: CommitsSeen, seen: PodsSeen, workload: WorkloadSeen
) -> None:
    looks: list[Look] = []
    answers: dict[Look, Any] = {
        Look.PLAN: planned,
        Look.JOB: made,
        Look.COMMITS: listed,
        Look.PODS: seen,
        Look.WORKLOAD: workload,
    }
    for _ in range(8):
        decision = decide(observed)
        if decision.look is not None:
            looks.append(decision.look)
            observed = replace(observed, **{decision.look.value: answers[decision.look]})
        elif any(isinstance(action, MakePlan) for action in decision.actions):
            assert observed.plan is None
            observed = replace(observed, plan=planned)
        elif any(isinstance(action, CreateJob) for action in decision.actions):
            observed = replace(observed, job=made)
        else:
            break
    else:
        raise AssertionError(f"no end: {looks}")
    assert len(looks) == len(set(looks))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Worlds whose parts fit together: the Job is the plan's, counts agree, problems are such as there are."""
    planned = draw(
        st.builds(
            plan,
            todo=small,
            failed_before=small,
            put_aside=small,
            put_aside_for_good=small,
            slices=st.integers(1, 4),
            failures=st.lists(st.just(Failure(checkpoint="step12", reason="PickleRefused")), max_size=3).map(tuple),
        )
    )
    planned = replace(planned, units=planned.todo + planned.failed_before + planned.reused)
    world = World(
        spec=draw(specs),
        seconds=draw(st.integers(0, 400)),
        retry=draw(retries),
        not_allowed=draw(st.sampled_from([None, None, None, Problem("StoreNotAllowed", "no store covers it")])),
        room=draw(st.booleans()),
        to_plan=draw(st.one_of(st.just(planned), not_planned, passing)),
        refuse_job=draw(st.one_of(st.none(), no_job)),
        commits=draw(st.one_of(st.builds(commits, published=small, failed=small), not_listed, passing)),
        pods=PodsSeen(
            tuple(PodTrouble("p", draw(st.sampled_from(TROUBLES)), "words", draw(moments)) for _ in range(draw(small))),
            draw(st.sampled_from([0, 51])),
        ),
        workload=replace(draw(workloads), problem=draw(st.one_of(st.none(), no_queue))),
    )
    if draw(st.booleans()):
        world.turn()  # a Job may be there, as old as the world
    for name in list(world.jobs):
        counts = draw(jobs(name=st.just(name)))
        there = world.jobs[name]
        world.jobs[name] = replace(counts, uid=there.uid, made_from=there.made_from, queue_name=there.queue_name)
    if draw(st.booleans()):
        queue = draw(st.sampled_from([None, "research"]))
        world.edit(remake=draw(st.booleans()), suspend=draw(st.booleans()), queueName=queue)
    return world


@given(worlds())
def test_carrying_a_decision_out_leaves_nothing_more_to_do(world: World) -> None:
    world.turn_until_quiet()  # fails where it never is
    jobs_there, status = dict(world.jobs), world.status
    assert world.turn().writes == 0
    assert (world.jobs, world.status) == (jobs_there, status)


@given(worlds(), st.lists(st.sampled_from(["turn", "forget", "gone"]), max_size=6))
def test_whatever_is_lost_there_is_one_job_at_a_time(world: World, happenings: list[str]) -> None:
    for happening in happenings:
        if happening == "forget":
            world.last_commits = None
        if happening == "gone":
            world.jobs.clear()
        world.turn()  # the world refuses to make a Job where one is
    assert len([item for item in world.jobs.values() if not item.finished]) <= 1


@given(worlds())
def test_every_reason_shows_as_its_page_says(world: World) -> None:
    """The reference page is made from `Reason.shown`."""
    for turn in world.turn_until_quiet():
        if turn.decision.status is None:
            continue
        for item in turn.decision.status.conditions:
            if item.status != "Unknown" or item.type == "Succeeded":
                shown = next(reason.shown for reason in Reason if reason == item.reason)
                assert f"{item.type}={item.status}" in shown, item


@given(
    st.builds(plan, todo=small, failed_before=small),
    st.builds(commits, published=small, failed=small),
    jobs(name=st.just("amber-dd"), finished=st.sampled_from(["Complete", "Failed"])),
    pods,
)
def test_every_judgement_is_final(planned: PlanSeen, listed: CommitsSeen, last: JobSeen, seen: PodsSeen) -> None:
    world = World(to_plan=planned, commits=listed, pods=seen)
    world.turn()
    world.jobs = {"amber-dd": last}
    world.turn()
    assert world.status.finished
    assert world.turn().decision == Decision()
    world.seconds += 10_000_000
    world.jobs.clear()
    world.plans.clear()
    assert world.turn().decision == Decision()
