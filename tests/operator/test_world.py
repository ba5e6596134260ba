"""What is known from watching: who is woken by what, and whose turn it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fineline_operator.admission import room
from fineline_operator.evaluations.observed import JobSeen
from fineline_operator.queue import Key
from fineline_operator.world import JobKnown, World, evaluation_known, lane

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


def key(name: str) -> Key:
    return Key("CheckpointEval", "evals", name)


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
    return JobKnown("evals", f"uid-{name}", name, replace(seen, **changes))


def world(*names: str, max_active: int = 0) -> tuple[World, Woken]:
    """A world that knows these, created one second after another; nobody is woken any more."""
    woken = Woken()
    made = World(woken, max_active=max_active)
    for second, name in enumerate(names):
        made.put_evaluation(evaluation_known(body(name, second=second)))
    woken.taken()
    return made, woken


def test_a_new_evaluation_is_looked_at() -> None:
    known, woken = world()
    known.put_evaluation(evaluation_known(body("a")))
    assert woken.taken() == [("a", 0.0)]


def test_an_evaluation_that_ended_before_the_operator_started_is_let_be() -> None:
    known, woken = world()
    known.put_evaluation(evaluation_known(body("a", succeeded="True")))
    assert woken.taken() == []
    assert not known.unfinished(key("a"))


def test_a_retry_annotation_opens_an_evaluation_that_ended() -> None:
    known, woken = world()

    def ended(retry: str) -> dict[str, Any]:
        annotations = {"fineline.dev/retry": retry}
        return body("a", succeeded="False", status={"retry": "1"}, metadata={"annotations": annotations})

    known.put_evaluation(evaluation_known(ended("1")))
    assert woken.taken() == []
    known.put_evaluation(evaluation_known(ended("2")))
    assert woken.taken() == [("a", 0.0)]
    assert known.unfinished(key("a"))


def test_what_the_operator_itself_writes_wakes_nobody() -> None:
    known, woken = world("a")
    known.put_evaluation(evaluation_known(body("a", status={"progress": {"published": 3}})))
    known.put_evaluation(evaluation_known(body("a", succeeded="True")))
    assert woken.taken() == []


def test_an_edited_or_deleted_evaluation_is_looked_at() -> None:
    known, woken = world("a")
    known.put_evaluation(evaluation_known(body("a", generation=2)))
    assert woken.taken() == [("a", 0.0)]
    going = {"deletionTimestamp": "2026-01-02T00:00:00Z"}
    known.put_evaluation(evaluation_known(body("a", generation=3, metadata=going)))
    assert woken.taken() == [("a", 0.0)]


def test_an_evaluation_whose_status_was_taken_away_is_looked_at() -> None:
    known, woken = world()
    known.put_evaluation(evaluation_known(body("a", succeeded="True")))
    known.put_evaluation(evaluation_known(body("a")))
    assert woken.taken() == [("a", 0.0)]


def test_a_namesake_made_after_a_deletion_is_another_evaluation() -> None:
    gone: list[str] = []
    woken = Woken()
    known = World(woken, gone=lambda evaluation: gone.append(evaluation.uid))
    known.put_evaluation(evaluation_known(body("a", succeeded="True")))
    known.put_evaluation(evaluation_known(body("a", metadata={"uid": "another"})))
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
    known.job_seen_now("evals", "uid-a", "a", made.seen)
    known.put_job(made)
    assert woken.taken() == []
    assert known.jobs_of("uid-a") == (made.seen,)


def test_the_jobs_of_a_deleted_evaluation_wake_nobody() -> None:
    known, woken = world("a")
    known.put_job(job("a"))
    known.drop_evaluation(key("a"))
    woken.taken()
    known.drop_job("evals", "a-job")
    assert woken.taken() == []


def test_a_late_word_of_an_older_namesake_deletes_nothing() -> None:
    known, _ = world("a")
    known.put_job(job("a"))
    known.drop_job("evals", "a-job", uid="an older one")
    known.drop_evaluation(key("a"), uid="an older one")
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
    known.put_evaluation(evaluation_known(body("a", generation=2, spec={"suspend": True})))
    assert ("b", 0.0) in woken.taken()
    assert room(known, key("b"), 1)[0]


def test_who_waited_before_a_restart_waits_in_the_same_place_after_it() -> None:
    waits = {"conditions": [{"type": "Admitted", "status": "False", "reason": "Waiting"}]}
    known, _ = world(max_active=1)
    known.put_evaluation(evaluation_known(body("younger", second=9)))
    known.put_evaluation(evaluation_known(body("older", second=1, status=waits)))
    assert not room(known, key("younger"), 1)[0]
    assert room(known, key("older"), 1)[0]


def test_a_deleted_evaluation_gives_its_place_up() -> None:
    known, woken = world("a", "b", max_active=1)
    known.set_waiting(key("a"), waiting=True)
    known.set_waiting(key("b"), waiting=True)
    known.drop_evaluation(key("a"))
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
