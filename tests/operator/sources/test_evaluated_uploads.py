"""Checkpoints arrive in a bucket, and nobody applies anything: a CheckpointSource on a real API server and S3 server,
the operator as a process. Pods are played, results are committed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fineline.checkpoints import find
from fineline.results import committed
from support.arrivals import Arrivals, pinned
from support.lab import TASKS, Lab
from support.operator import Operator

Kubectl = Callable[..., str]


def told_of(operator: Operator, lab: Lab, source: str) -> list[str]:
    """The names of the metrics that are told of a source, one a series: none is not the same as 0."""
    labels = f'{{namespace="{lab.namespace}",source="{source}"'
    lines = operator.get("/metrics")[1].splitlines()
    return [name for name, found, _ in (line.partition(labels) for line in lines) if found]


def test_an_upload_is_evaluated_and_counted(lab: Lab, operator: Operator, kubectl: Kubectl) -> None:
    measured = operator.metric("fineline_upload_to_result_seconds_count")
    listed = operator.metric("fineline_source_lists_total")
    source = Arrivals(lab)
    source.upload(1, 2)
    source.apply()
    source.wait_for_members([1, 2])
    (made,) = source.evaluations()
    digests = {item.position.step: item.digest for item in find(source.uploads).checkpoints}
    assert pinned(made) == [
        {"branch": "main", "step": step, "digest": digests[step], "folder": f"step{step}"} for step in (1, 2)
    ]
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("CheckpointSource", "tiny", True)
    assert made["spec"]["run"] == {"name": "tiny", "tokensPerStep": 1000}
    source.wait_for_counts(2, 2, 0, 0, 2)
    of_it = {"namespace": lab.namespace, "source": "tiny"}
    assert operator.metric("fineline_source_checkpoints", state="waiting", **of_it) == 2
    since = operator.metric("fineline_source_waiting_since_timestamp_seconds", **of_it)
    created = datetime.fromisoformat(lab.sources.get()["metadata"]["creationTimestamp"])
    assert since == created.timestamp(), "they lay there before anybody asked for their results"
    assert datetime.fromisoformat(source.status()["waitingSince"]) == created
    assert source.wait_for_reason("Evaluating") == "2 checkpoints wait for results."
    source.work()
    source.wait_for_counts(2, 2, 2, 0, 0)
    source.wait_for_reason("UpToDate")
    assert source.shown() == {"Ready": "True", "Reconciling": "False", "Stalled": "False"}
    newest = source.status()["newest"]
    assert (newest["branch"], newest["step"], newest["tokens"]) == ("main", 2, 2000)
    assert newest["seenAt"] <= newest["evaluatedAt"]
    assert operator.metric("fineline_upload_to_result_seconds_count") - measured == 2
    assert operator.metric("fineline_source_lists_total") > listed
    assert operator.metric("fineline_source_checkpoints", state="evaluated", **of_it) == 2
    assert told_of(operator, lab, "tiny") == ["fineline_source_checkpoints"] * 5, "nothing waits"
    assert "waitingSince" not in source.status()
    source.upload(3)
    source.wake()
    source.wait_for_members([1, 2], [3])
    # Events come after what they tell of, and the status after them.
    source.wait_for_counts(3, 3, 2, 0, 1)
    assert [reason for reason, _ in lab.sources.events()] == ["EvaluationCreated"] * 2
    assert lab.sources.events()[0][1].endswith(": step 1, step 2.")
    headings, values = kubectl("get", "cksrc", "-o", "wide").splitlines()
    assert headings.split()[:6] == ["NAME", "RUN", "FOUND", "EVALUATED", "FAILED", "NEWEST"]
    assert values.split()[:6] == ["tiny", "tiny", "3", "2", "0", "3"]


def test_what_is_incomplete_is_told_and_waited_for(lab: Lab, operator: Operator) -> None:
    source = Arrivals(lab)
    source.uploads.put("step7/config.json", b"{}")
    source.uploads.put("step7/model-00001-of-00002.safetensors", b"0" * 64)
    source.apply(complete={"settleSeconds": 1, "marker": "_SUCCESS"})
    source.wait_for_counts(1, 0, 0, 0, 0)
    (waiting,) = source.status()["waitingOn"]
    assert (waiting["checkpoint"], waiting["reason"]) == ("step7", "ShardMissing")
    assert "model-00002-of-00002.safetensors" in waiting["message"]
    source.delete(7)
    source.upload(7)
    source.wake()
    lab.wait_until(lambda: "_SUCCESS" in source.status()["waitingOn"][0]["message"], "the marker to be missed")
    assert source.members() == []
    source.uploads.put("step7/_SUCCESS", b"")
    source.wake()
    source.wait_for_members([7])
    source.wait_for_counts(1, 1, 0, 0, 1)
    assert source.status()["waitingOn"] == []


def test_a_batch_fills_while_others_run_and_nothing_waits_while_none_does(lab: Lab, operator: Operator) -> None:
    source = Arrivals(lab)
    source.upload(1)
    source.apply(batch=2, maxWaitSeconds=3600)
    source.wait_for_members([1])
    source.upload(2)
    source.wake()
    source.wait_for_counts(2, 2, 0, 0, 2)
    assert source.members() == [[1]]
    source.upload(3, 4)
    source.wake()
    source.wait_for_members([1], [2, 3])
    source.work()
    source.work()
    source.wait_for_members([1], [2, 3], [4])
    lab.sources.edit("tiny", maxWaitSeconds=1)
    source.upload(5)
    source.wake()
    source.wait_for_members([1], [2, 3], [4], [5])


def test_an_overwritten_checkpoint_is_evaluated_again_and_both_results_stay(lab: Lab, operator: Operator) -> None:
    source = Arrivals(lab)
    source.upload(1, 2)
    source.apply(complete={"settleSeconds": 0})
    source.work()
    source.wait_for_counts(2, 2, 2, 0, 0)
    lab.overwrite_checkpoint(1)
    source.wake()
    source.wait_for_members([1, 2], [1])
    first, second = (pinned(body)[0]["digest"] for body in source.evaluations())
    assert first != second
    assert "step 1 has other bytes now" in lab.sources.wait_for_event("CheckpointChanged")
    source.work()
    source.wait_for_counts(2, 2, 2, 0, 0)
    assert sorted(address.step for address in committed(lab.results)) == sorted([1, 1, 2] * len(TASKS))


def test_one_that_training_deletes_is_a_failure_of_its_own(lab: Lab, operator: Operator) -> None:
    source = Arrivals(lab)
    source.upload(1, 2)
    source.apply()
    source.wait_for_members([1, 2])
    source.delete(1)
    source.work(fail={(1, task) for task in TASKS})
    source.wake()
    source.wait_for_counts(1, 1, 1, 0, 0)
    source.wait_for_reason("UpToDate")
    source.upload(3)
    source.wake()
    source.wait_for_members([1, 2], [3])


def test_ended_ones_beyond_the_history_go_and_their_results_stay(lab: Lab, operator: Operator) -> None:
    source = Arrivals(lab)
    source.apply(history={"succeeded": 1})
    for step in (1, 2, 3):
        source.upload(step)
        source.wake()
        lab.wait_until(lambda step=step: [step] in source.members(), f"step {step} to be evaluated")  # type: ignore[misc]
        source.work()
        source.wait_for_counts(step, step, step, 0, 0)
    source.wait_for_members([3])
    source.wake()
    source.wait_for_counts(3, 3, 3, 0, 0)
    assert source.members() == [[3]]
    assert {address.step for address in committed(lab.results)} == {1, 2, 3}


def test_a_suspended_source_makes_nothing_and_takes_up_what_came_meanwhile(lab: Lab, operator: Operator) -> None:
    source = Arrivals(lab)
    source.upload(1)
    source.apply(suspend=True)
    assert "1 checkpoint waits" in source.wait_for_reason("Suspended")
    assert source.shown() == {"Ready": "False", "Reconciling": "False", "Stalled": "False"}
    source.upload(2)
    source.wake()
    source.wait_for_counts(2, 2, 0, 0, 2)
    assert source.members() == []
    lab.sources.edit("tiny", suspend=False)
    source.wait_for_members([1, 2])
    source.wait_for_reason("Evaluating")
    assert [reason for reason, _ in lab.sources.events()] == ["Suspended", "Resumed", "EvaluationCreated"]
    assert "fineline_source_waiting_since_timestamp_seconds" in told_of(operator, lab, "tiny")
    lab.sources.delete()
    lab.wait_until(lambda: not lab.api.items(lab.path()), "its CheckpointEvals to go with it")
    lab.wait_until(lambda: not told_of(operator, lab, "tiny"), "what is told of it in /metrics to go too")
