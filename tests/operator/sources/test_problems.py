"""What keeps a source from going on is told, and passes by itself once it is mended; other sources go on meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fineline.store import StoreTable, open_store
from fineline.store.table import StoreEntry
from support.arrivals import Arrivals
from support.evaluations import listed_checkpoint
from support.lab import Lab
from support.operator import Operator
from support.versitygw import S3Server

DENIED = "s3://fineline-denied/"


@contextmanager
def right_key(credentials: Path, server: S3Server) -> Iterator[None]:
    """The mounted Secret of the denied bucket's store holds the right key meanwhile."""
    file = credentials / "AWS_SECRET_ACCESS_KEY"
    wrong = file.read_text()
    file.write_text(server.secret_key)
    try:
        yield
    finally:
        file.write_text(wrong)


def test_a_denied_bucket_is_told_and_comes_back_by_itself_and_others_are_unaffected(
    lab: Lab, operator: Operator, versitygw: S3Server, wrong_credentials: Path, tmp_path: Path
) -> None:
    folder = f"{DENIED}{lab.namespace}/"
    uploads = open_store(folder, stores=StoreTable((StoreEntry(DENIED, versitygw.endpoint, "us-east-1"),)))
    for file in listed_checkpoint(tmp_path / "step1").iterdir():
        uploads.put(f"step1/{file.name}", file)
    denied, other = Arrivals(lab, "denied"), Arrivals(lab, "other")
    with right_key(wrong_credentials, versitygw):
        denied.apply(uri=folder)
        denied.wait_for_counts(1, 1, 0, 0, 1)
    denied.wake()
    told = denied.wait_for_reason("StoreDenied")
    assert folder in told
    assert told.endswith("tried again by itself, with growing pauses.")
    assert denied.shown() == {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    assert denied.counts() == (1, 1, 0, 0, 1)
    other.upload(1)
    other.apply()
    other.work()
    other.wait_for_counts(1, 1, 1, 0, 0)
    other.wait_for_reason("UpToDate")
    with right_key(wrong_credentials, versitygw):
        denied.wait_for_reason("Evaluating")
        assert [reason for reason, _ in lab.sources.events("denied")] == ["EvaluationCreated", "StoreDenied"]


def test_what_a_person_must_mend_is_told_and_mended(lab: Lab, operator: Operator) -> None:
    no_suite, few, busy = Arrivals(lab, "no-suite"), Arrivals(lab, "refused"), Arrivals(lab, "queue")
    private, wrong, lost = Arrivals(lab, "private"), Arrivals(lab, "wrong"), Arrivals(lab, "lost")
    quota = f"/api/v1/namespaces/{lab.namespace}/resourcequotas"
    no_suite.upload(1)
    no_suite.apply(template__suite={"configMap": "my-suite"})
    private.apply(uri="s3://fineline-private/")
    wrong.apply(template__engine={"args": {"trust_remote_code": True}})
    lost.apply(uri="s3://fineline-missing/")
    busy.upload(1)
    busy.apply(sqs="https://sqs.eu-central-1.amazonaws.com/1/none")
    busy.wait_for_members([1])
    assert "none of the queues" in busy.wait_for_reason("QueueNotAllowed")
    assert busy.counts() == (1, 1, 0, 0, 1)
    assert "my-suite" in no_suite.wait_for_reason("ConfigMapNotFound")
    assert "may not use the store" in private.wait_for_reason("StoreNotAllowed")
    assert "trust_remote_code" in wrong.wait_for_reason("SpecInvalid")
    lost.wait_for_reason("StoreNotFound")
    for source in (no_suite, busy, private, wrong, lost):
        assert source.shown() == {"Ready": "False", "Reconciling": "False", "Stalled": "True"}, source.name
    counted = {"count/checkpointevals.fineline.dev": "1"}
    lab.api.create(quota, {"metadata": {"name": "one"}, "spec": {"hard": counted}})
    # One is there already; nobody counts here.
    lab.api.patch(f"{quota}/one/status", {"status": {"hard": counted, "used": counted}})
    few.upload(1)
    few.apply()
    assert "exceeded quota" in few.wait_for_reason("EvaluationRefused")
    assert few.members() == []
    lab.api.delete(f"{quota}/one")
    few.wake()
    few.wait_for_members([1])
    data = {"suite.yaml": json.dumps({"tasks": [{"task": "piqa", "domain": "reasoning"}]})}
    lab.add_config_map("my-suite", data)
    no_suite.wake()
    no_suite.wait_for_members([1])
    lab.sources.edit("wrong", template__engine=None)
    wrong.wait_for_reason("NoCheckpoint")


def test_another_suite_is_another_template_and_all_is_evaluated_anew(lab: Lab, operator: Operator) -> None:
    source = Arrivals(lab)
    source.upload(1, 2)
    source.apply(batch=1)
    source.wait_for_members([1], [2])
    before = {body["metadata"]["name"] for body in source.evaluations()}
    source.work()
    source.work()
    source.wait_for_counts(2, 2, 2, 0, 0)
    lab.sources.edit("tiny", pollSeconds=6)
    source.wake()
    source.wait_for_reason("UpToDate")
    lab.sources.edit("tiny", template__suite__tasks=[{"task": "hellaswag", "domain": "reasoning"}])
    lab.wait_until(lambda: len(source.evaluations()) == 4, "two further CheckpointEvals")
    source.wait_for_counts(2, 2, 0, 0, 2)
    after = {body["metadata"]["name"] for body in source.evaluations()}
    assert before < after
    assert len({name.rpartition("-")[0] for name in after}) == 2


def test_what_ended_without_a_word_is_made_again_once_it_is_deleted_and_a_settled_source_asks_for_little(
    lab: Lab, operator: Operator
) -> None:
    source = Arrivals(lab)
    source.upload(1)
    source.apply()
    source.wait_for_members([1])
    (made,) = source.evaluations()
    lab.end_pods(lab.wait_for_job(made["metadata"]["name"]))
    source.wait_for_counts(1, 1, 0, 1, 0)
    assert "1 of them failed" in source.wait_for_reason("UpToDate")
    asked, looks = lab.reads(), operator.metric("fineline_source_lists_total")
    source.wake()
    lab.wait_until(lambda: operator.metric("fineline_source_lists_total") > looks, "a further listing")
    assert lab.reads().count("list checkpointevals") == asked.count("list checkpointevals")
    lab.delete(made["metadata"]["name"])
    lab.wait_until(
        lambda: [body["metadata"]["uid"] for body in source.evaluations()] not in ([], [made["metadata"]["uid"]]),
        "another CheckpointEval",
    )
    assert source.members() == [[1]]
