"""What is known from watching: who is woken by what, and whose turn it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from fineline_operator.admission import room
from fineline_operator.evaluations.observed import JobSeen
from fineline_operator.queue import Key, Queue
from fineline_operator.world import (
    ANALYSIS,
    EVALUATION,
    RESULTS_DELAY_SECONDS,
    SOURCE,
    JobKnown,
    World,
    analysis_known,
    evaluation_known,
    job_known,
    lane,
    source_known,
)
from support import simulated_time

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class Woken:
    """Notes who was woken, and how late."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def __call__(self, key: Key, delay: float) -> None:
        self.calls.append((key.name, delay))

    def taken(self) -> list[tuple[str, float]]:
        calls, self.calls = self.calls, []
        return calls


def key(name: str, kind: str = EVALUATION) -> Key:
    return Key(kind, "evals", name)


def body(name: str, *, second: int = 0, generation: int = 1, succeeded: str = "Unknown", **more: Any) -> dict[str, Any]:
    """A CheckpointEval as the API server gives it."""
    return {
        "metadata": {
            "namespace": "evals",
            "name": name,
            "uid": f"uid-{name}",
            "generation": generation,
            "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
            **more.get("metadata", {}),
        },
        "spec": {"checkpoints": {"uri": "s3://pretrain/amber/"}, **more.get("spec", {})},
        "status": {"conditions": [{"type": "Succeeded", "status": succeeded}], **more.get("status", {})},
    }


def job(name: str, **changes: Any) -> JobKnown:
    seen = JobSeen(
        name=f"{name}-job", uid=f"job-uid-{name}", created=CREATED, deleting=False, suspended=False, parallelism=2,
        completions=4, active=0, ready=0, terminating=0, completed_indexes=0, failed_indexes=0, started=None,
        finished="", finished_reason="", finished_message="", made_from="digest", queue_name="",
    )  # fmt: skip
    return JobKnown(key(name), f"uid-{name}", replace(seen, **changes))


def source(name: str, *, generation: int = 1, wake: str = "", **more: Any) -> dict[str, Any]:
    """A CheckpointSource as the API server gives it."""
    return {
        "metadata": {
            "namespace": "evals",
            "name": name,
            "uid": f"uid-{name}",
            "generation": generation,
            "annotations": {"fineline.dev/wake": wake},
            **more.get("metadata", {}),
        },
        "spec": {"uri": "s3://pretrain/amber/", "template": {"results": "s3://results/"}, **more.get("spec", {})},
        "status": more.get("status", {}),
    }


def analysis(name: str, *, results: str | None = "s3://results/", generation: int = 1, **more: Any) -> dict[str, Any]:
    """A TrajectoryAnalysis as the API server gives it."""
    metadata = {"namespace": "evals", "name": name, "uid": f"uid-{name}", "generation": generation}
    return {
        "metadata": {**metadata, **more.get("metadata", {})},
        "spec": {"runs": {"all": True}, **({} if results is None else {"results": results})},
        "status": more.get("status", {}),
    }


def made_by(source_name: str, name: str, *, succeeded: str = "Unknown", **more: Any) -> dict[str, Any]:
    """A CheckpointEval that a source has made."""
    labels = {"labels": {"fineline.dev/source-uid": f"uid-{source_name}"}, **more.get("metadata", {})}
    return body(name, succeeded=succeeded, metadata=labels)


def publishing(name: str, published: int, *, results: str | None = "s3://results", **more: Any) -> dict[str, Any]:
    """A CheckpointEval that has published so many units."""
    status = {**more.pop("status", {}), "progress": {"published": published}}
    spec = {} if results is None else {"results": results}
    return body(name, spec=spec, **more) | {"status": body(name, **more)["status"] | status}


def world(*names: str, max_active: int = 0) -> tuple[World, Woken]:
    """A world that knows these, created one second after another; nobody is woken any more."""
    woken = Woken()
    made = World(woken, max_active=max_active)
    for second, name in enumerate(names):
        made.put(evaluation_known(body(name, second=second)))
    woken.taken()
    return made, woken


def test_a_new_evaluation_is_looked_at() -> None:
    known, woken = world()
    known.put(evaluation_known(body("a")))
    assert woken.taken() == [("a", 0.0)]


def test_an_evaluation_that_ended_before_the_operator_started_is_let_be() -> None:
    known, woken = world()
    known.put(evaluation_known(body("a", succeeded="True")))
    assert woken.taken() == []
    assert not known.unfinished(key("a"))


def test_a_retry_annotation_opens_an_evaluation_that_ended() -> None:
    known, woken = world()

    def ended(retry: str) -> dict[str, Any]:
        annotations = {"fineline.dev/retry": retry}
        return body("a", succeeded="False", status={"retry": "1"}, metadata={"annotations": annotations})

    known.put(evaluation_known(ended("1")))
    assert woken.taken() == []
    known.put(evaluation_known(ended("2")))
    assert woken.taken() == [("a", 0.0)]
    assert known.unfinished(key("a"))


def test_what_the_operator_itself_writes_wakes_nobody() -> None:
    known, woken = world("a")
    known.put(evaluation_known(body("a", status={"progress": {"published": 3}})))
    known.put(evaluation_known(body("a", succeeded="True")))
    assert woken.taken() == []


def test_an_edited_or_deleted_evaluation_is_looked_at() -> None:
    known, woken = world("a")
    known.put(evaluation_known(body("a", generation=2)))
    assert woken.taken() == [("a", 0.0)]
    going = {"deletionTimestamp": "2026-01-02T00:00:00Z"}
    known.put(evaluation_known(body("a", generation=3, metadata=going)))
    assert woken.taken() == [("a", 0.0)]


def test_an_evaluation_whose_status_was_taken_away_is_looked_at() -> None:
    known, woken = world()
    known.put(evaluation_known(body("a", succeeded="True")))
    known.put(evaluation_known(body("a")))
    assert woken.taken() == [("a", 0.0)]


def test_a_namesake_made_after_a_deletion_is_another_evaluation() -> None:
    gone: list[str] = []
    woken = Woken()
    known = World(woken, gone=lambda evaluation: gone.append(evaluation.uid))
    known.put(evaluation_known(body("a", succeeded="True")))
    known.put(evaluation_known(body("a", metadata={"uid": "another"})))
    assert woken.taken() == [("a", 0.0)]
    assert gone == ["uid-a"]


def test_a_job_that_moves_on_is_looked_at_after_a_moment_and_its_end_at_once() -> None:
    known, woken = world("a")
    known.put_job(job("a"))
    known.put_job(job("a", active=2, started=CREATED))
    known.put_job(job("a", active=1, completed_indexes=1, started=CREATED))
    assert {delay for _, delay in woken.taken()} == {1.0}
    known.put_job(job("a", completed_indexes=4, started=CREATED, finished="Complete"))
    assert woken.taken() == [("a", 0.0)]


def test_a_suspended_or_deleted_job_is_looked_at_at_once() -> None:
    known, woken = world("a")
    known.put_job(job("a"))
    woken.taken()
    known.put_job(job("a", suspended=True))
    assert woken.taken() == [("a", 0.0)]
    known.drop_job("evals", "a-job")
    assert woken.taken() == [("a", 0.0)]
    assert known.jobs_of("uid-a") == ()


def test_the_event_of_a_job_that_a_reconcile_has_just_made_wakes_nobody() -> None:
    known, woken = world("a")
    made = job("a")
    known.job_seen_now(key("a"), "uid-a", made.seen)
    known.put_job(made)
    assert woken.taken() == []
    assert known.jobs_of("uid-a") == (made.seen,)


def test_the_jobs_of_a_deleted_evaluation_wake_nobody() -> None:
    known, woken = world("a")
    known.put_job(job("a"))
    known.drop(key("a"))
    woken.taken()
    known.drop_job("evals", "a-job")
    assert woken.taken() == []


def test_a_late_word_of_an_older_namesake_deletes_nothing() -> None:
    known, _ = world("a")
    known.put_job(job("a"))
    known.drop_job("evals", "a-job", uid="an older one")
    known.drop(key("a"), uid="an older one")
    assert known.jobs_of("uid-a")
    assert known.evaluation(key("a"))


def test_without_a_bound_there_is_always_room() -> None:
    known, _ = world("a")
    assert room(known, key("a"), 0) == (True, "")


def test_active_jobs_take_the_places_and_those_of_kueue_or_suspended_ones_do_not() -> None:
    known, _ = world("a", "b", "c", "d", max_active=2)
    known.put_job(job("a"))
    known.put_job(job("b", queue_name="research"))
    known.put_job(job("c", suspended=True))
    assert room(known, key("d"), 2)[0]
    known.put_job(job("c"))
    assert not room(known, key("d"), 2)[0]


def test_an_evaluation_is_not_in_its_own_way() -> None:
    known, _ = world("a", max_active=1)
    known.put_job(job("a"))
    assert room(known, key("a"), 1)[0]


def test_a_job_that_is_being_made_takes_its_place_before_it_is_seen() -> None:
    known, _ = world("a", "b", max_active=1)
    with known.starting(key("a")):
        assert not room(known, key("b"), 1)[0]
    assert room(known, key("b"), 1)[0]


def test_the_oldest_that_waits_is_woken_when_a_job_ends() -> None:
    known, woken = world("a", "b", "c", "d", max_active=1)
    known.put_job(job("a"))
    for name in ("d", "c", "b"):
        known.set_waiting(key(name), waiting=True)
    woken.taken()
    assert room(known, key("c"), 1) == (
        False,
        "one evaluation runs at once at most (the operator's maxActive), and the oldest comes first",
    )
    known.put_job(job("a", finished="Complete"))
    assert ("b", 0.0) in woken.taken()
    assert room(known, key("b"), 1)[0]
    assert not room(known, key("c"), 1)[0]


def test_one_that_waits_no_more_lets_the_next_one_go() -> None:
    known, woken = world("a", "b", max_active=1)
    known.set_waiting(key("a"), waiting=True)
    known.set_waiting(key("b"), waiting=True)
    assert not room(known, key("b"), 1)[0]
    known.put(evaluation_known(body("a", generation=2, spec={"suspend": True})))
    assert ("b", 0.0) in woken.taken()
    assert room(known, key("b"), 1)[0]


def test_who_waited_before_a_restart_waits_in_the_same_place_after_it() -> None:
    waits = {"conditions": [{"type": "Admitted", "status": "False", "reason": "Waiting"}]}
    known, _ = world(max_active=1)
    known.put(evaluation_known(body("younger", second=9)))
    known.put(evaluation_known(body("older", second=1, status=waits)))
    assert not room(known, key("younger"), 1)[0]
    assert room(known, key("older"), 1)[0]


def test_a_deleted_evaluation_gives_its_place_up() -> None:
    known, woken = world("a", "b", max_active=1)
    known.set_waiting(key("a"), waiting=True)
    known.set_waiting(key("b"), waiting=True)
    known.drop(key("a"))
    assert ("b", 0.0) in woken.taken()
    assert len(known) == 1


def test_a_lane_is_a_namespace_and_the_buckets_that_an_evaluation_waits_for() -> None:
    assert lane("evals", "s3://pretrain/a/") == lane("evals", "s3://pretrain/b/")
    assert len({lane("evals", "s3://pretrain/"), lane("other", "s3://pretrain/"), lane("evals", "s3://slow/")}) == 3
    body = {
        "metadata": {"namespace": "evals", "name": "a"},
        "spec": {
            "checkpoints": {"uri": "s3://pretrain/a/"},
            "results": "s3://results/",
            "suite": {"datasets": "s3://mirror/"},
        },
    }
    assert evaluation_known(body).lane == "evals/pretrain/results/mirror"


def test_a_body_that_lacks_everything_can_still_be_told_of() -> None:
    known = evaluation_known({"metadata": {"name": "a", "namespace": "evals"}, "spec": None, "status": None})
    assert known.unfinished
    assert known.lane == "evals"


def test_a_source_is_looked_at_when_new_edited_deleted_or_told_of_an_upload() -> None:
    known, woken = world()
    going = {"deletionTimestamp": "2026-01-02T00:00:00Z"}
    for changed in (
        source("s"),
        source("s", generation=2),
        source("s", generation=2, wake="2026-01-01T00:00:00Z"),
        source("s", generation=2, wake="2026-01-01T00:00:01Z"),
    ):
        known.read(SOURCE, changed)
        assert woken.taken() == [("s", 0.0)]
        assert known.unfinished(key("s", SOURCE))
    known.read(SOURCE, source("s", generation=2, metadata=going))
    assert woken.taken() == [("s", 0.0)]
    assert not known.unfinished(key("s", SOURCE))


def test_the_status_of_a_source_or_analysis_wakes_nobody() -> None:
    known, woken = world()
    known.read(SOURCE, source("s"))
    known.read(ANALYSIS, analysis("t"))
    woken.taken()
    known.read(SOURCE, source("s", status={"checkpoints": {"found": 3}}))
    known.read(ANALYSIS, analysis("t", status={"worst": "plateaued"}))
    assert woken.taken() == []


def test_a_source_is_looked_at_when_one_of_its_evaluations_ends_or_is_deleted() -> None:
    known, woken = world()
    known.read(SOURCE, source("s"))
    known.read(EVALUATION, made_by("s", "a"))
    known.read(EVALUATION, made_by("s", "b"))
    woken.taken()
    known.read(EVALUATION, made_by("s", "a", succeeded="False"))
    assert woken.taken() == [("s", 0.0)]
    known.drop(key("a"))
    assert woken.taken() == [("s", 0.0)]
    known.drop(key("b"))
    assert woken.taken() == [("s", 0.0)]


def test_the_progress_of_its_evaluations_and_those_of_others_are_nothing_to_a_source() -> None:
    known, woken = world("by-hand")
    known.read(SOURCE, source("s"))
    known.read(EVALUATION, made_by("s", "a"))
    known.read(EVALUATION, made_by("another", "b"))
    woken.taken()
    progress = {"conditions": [{"type": "Succeeded", "status": "Unknown"}], "progress": {"published": 3}}
    known.read(EVALUATION, made_by("s", "a") | {"status": progress})
    known.read(EVALUATION, made_by("another", "b", succeeded="True"))
    known.read(EVALUATION, body("by-hand", succeeded="True"))
    assert woken.taken() == []


def test_an_evaluation_in_another_namespace_wakes_no_source_whatever_its_label_says() -> None:
    known, woken = world()
    known.read(SOURCE, source("s"))
    woken.taken()
    known.read(EVALUATION, made_by("s", "a", succeeded="True", metadata={"namespace": "elsewhere"}))
    known.drop(Key(EVALUATION, "elsewhere", "a"))
    assert woken.taken() == []


def test_an_analysis_is_looked_at_when_new_edited_or_deleted() -> None:
    known, woken = world()
    for changed in (
        analysis("t"),
        analysis("t", generation=2),
        analysis("t", generation=2, metadata={"deletionTimestamp": "2026-01-02T00:00:00Z"}),
    ):
        known.read(ANALYSIS, changed)
        assert woken.taken() == [("t", 0.0)]
    assert not known.unfinished(key("t", ANALYSIS))


def test_an_analysis_is_looked_at_a_moment_after_results_were_published_where_it_looks() -> None:
    known, woken = world()
    known.read(ANALYSIS, analysis("t"))
    known.read(ANALYSIS, analysis("elsewhere", results="s3://results/other/"))
    known.read(EVALUATION, publishing("a", 0))
    woken.taken()
    known.read(EVALUATION, publishing("a", 4))
    assert woken.taken() == [("t", RESULTS_DELAY_SECONDS)]
    known.read(EVALUATION, publishing("a", 4, succeeded="True"))
    assert woken.taken() == [("t", RESULTS_DELAY_SECONDS)]
    known.read(EVALUATION, publishing("a", 4, succeeded="True", status={"startTime": "2026-01-01T00:00:00Z"}))
    assert woken.taken() == []


def test_results_that_nobody_names_are_those_of_the_settings() -> None:
    woken = Woken()
    known = World(woken, results="s3://default/results/")
    known.read(ANALYSIS, analysis("named", results="s3://default/results"))
    known.read(ANALYSIS, analysis("not-named", results=None))
    known.read(ANALYSIS, analysis("elsewhere"))
    known.read(EVALUATION, publishing("a", 0, results=None))
    woken.taken()
    known.read(EVALUATION, publishing("a", 1, results=None))
    assert sorted(woken.taken()) == [("named", RESULTS_DELAY_SECONDS), ("not-named", RESULTS_DELAY_SECONDS)]
    assert known.lane_of(key("not-named", ANALYSIS)) == "evals/default"


def test_an_analysis_that_is_edited_follows_its_new_results_alone_and_one_that_is_gone_none() -> None:
    known, woken = world()
    known.read(ANALYSIS, analysis("t"))
    known.read(ANALYSIS, analysis("t", results="s3://elsewhere/", generation=2))
    woken.taken()
    known.read(EVALUATION, publishing("a", 1, succeeded="True"))
    assert woken.taken() == []
    known.read(EVALUATION, publishing("b", 1, results="s3://elsewhere", succeeded="True"))
    assert woken.taken() == [("t", RESULTS_DELAY_SECONDS)]
    known.drop(key("t", ANALYSIS))
    known.read(EVALUATION, publishing("c", 1, results="s3://elsewhere", succeeded="True"))
    assert woken.taken() == []


def test_the_job_of_an_analysis_wakes_it_and_takes_no_place_of_an_evaluation() -> None:
    known, woken = world("e", max_active=1)
    known.read(ANALYSIS, analysis("t"))
    woken.taken()
    running = replace(job("t"), owner=key("t", ANALYSIS))
    known.put_job(running)
    assert [name for name, _ in woken.taken()] == ["t"]
    assert room(known, key("e"), 1)[0]
    assert known.jobs_of("uid-t") == (running.seen,)
    known.put_job(replace(running, seen=replace(running.seen, finished="Failed")))
    assert woken.taken() == [("t", 0.0)]
    known.drop_job("evals", "t-job")
    assert woken.taken() == [("t", 0.0)]


def test_only_a_job_that_one_of_our_kinds_controls_is_known() -> None:
    def owned(**owner: Any) -> dict[str, Any]:
        usual = {"apiVersion": "fineline.dev/v1alpha1", "kind": ANALYSIS, "name": "t", "uid": "u", "controller": True}
        metadata = {"namespace": "evals", "name": "j", "uid": "v", "ownerReferences": [usual | owner]}
        return {"metadata": metadata, "spec": {}, "status": {}}

    ours = job_known(owned())
    assert ours is not None
    assert (ours.owner, ours.owner_uid) == (key("t", ANALYSIS), "u")
    for foreign in ({"controller": False}, {"kind": "CronJob"}, {"kind": SOURCE}, {"apiVersion": "other.dev/v1"}):
        assert job_known(owned(**foreign)) is None
    assert job_known({"metadata": {"namespace": "evals", "name": "j", "uid": "v"}, "spec": {}}) is None


def test_lanes_of_sources_and_analyses_are_made_as_those_of_evaluations() -> None:
    assert source_known(source("s")).lane == "evals/pretrain/results"
    bare = source("s", spec={"template": {"suite": {"datasets": "s3://mirror/"}}})
    assert source_known(bare, "s3://default/").lane == "evals/pretrain/default/mirror"
    assert analysis_known(analysis("t")).lane == "evals/results"


def test_what_is_gone_is_told_with_its_kind() -> None:
    gone: list[Key] = []
    known = World(Woken(), gone=lambda one: gone.append(one.key))
    known.read(SOURCE, source("s"))
    known.read(ANALYSIS, analysis("t"))
    known.read(SOURCE, source("s", metadata={"uid": "another"}))
    known.drop(key("t", ANALYSIS), "an older one")
    known.drop(key("t", ANALYSIS), "uid-t")
    assert gone == [key("s", SOURCE), key("t", ANALYSIS)]
    assert len(known) == 1


def test_bodies_of_every_kind_that_lack_everything_can_still_be_told_of() -> None:
    empty: dict[str, Any] = {"metadata": {"name": "a", "namespace": "evals"}, "spec": None}
    assert source_known(empty).lane == "evals"
    assert analysis_known(empty).lane == "evals"


def test_a_job_of_what_has_ended_wakes_nobody_unless_a_retry_is_asked_for() -> None:
    woken = Woken()
    world = World(woken)
    world.put(evaluation_known(body("done", succeeded="True")))
    world.put_job(job("done", finished="Complete"))
    world.drop_job("evals", "done-job")
    assert woken.taken() == []
    again = {"annotations": {"fineline.dev/retry": "1"}}
    world.put(evaluation_known(body("done", succeeded="True", metadata=again)))
    assert woken.taken() == [("done", 0.0)]
    world.put_job(job("done"))
    assert [name for name, _ in woken.taken()] == ["done"]


def test_however_many_publish_an_analysis_is_looked_at_every_few_seconds_at_most() -> None:
    looks: list[float] = []

    async def look(key: Key) -> float | None:
        if key.kind == ANALYSIS:
            looks.append(asyncio.get_running_loop().time())
        return None

    async def run() -> None:
        def wake(key: Key, delay: float) -> None:
            queue.wake(key, delay)

        known = World(wake)
        queue = Queue(look, lane_of=known.lane_of, unfinished=known.unfinished, resync_seconds=300)
        queue.start()
        known.read(ANALYSIS, analysis("t"))
        for second in range(100):
            for number in range(50):
                known.read(EVALUATION, publishing(f"e-{number}", second))
            await asyncio.sleep(1)
        await asyncio.sleep(RESULTS_DELAY_SECONDS)
        await queue.stop()

    simulated_time.run(run())
    assert 100 / RESULTS_DELAY_SECONDS - 5 <= len(looks) <= 100 / RESULTS_DELAY_SECONDS + 2
    assert min(after - before for before, after in pairwise(looks[1:])) >= RESULTS_DELAY_SECONDS


def test_a_source_with_many_evaluations_that_end_at_once_is_looked_at_once() -> None:
    looks: list[Key] = []

    async def look(key: Key) -> float | None:
        looks.append(key)
        return None

    async def run() -> None:
        def wake(key: Key, delay: float) -> None:
            queue.wake(key, delay)

        known = World(wake)
        queue = Queue(look, lane_of=known.lane_of, unfinished=lambda _: False, resync_seconds=300)
        known.read(SOURCE, source("s"))
        for number in range(50):
            known.read(EVALUATION, made_by("s", f"e-{number}"))
        queue.start()
        await asyncio.sleep(1)
        looks.clear()
        for number in range(50):
            known.read(EVALUATION, made_by("s", f"e-{number}", succeeded="True"))
        await asyncio.sleep(1)
        await queue.stop()

    simulated_time.run(run())
    assert looks == [key("s", SOURCE)]
