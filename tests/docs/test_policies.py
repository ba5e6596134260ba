"""The policies of docs/clouds.md are enough for what the operator and the pods do, and allow no more: tried on a server
that enforces them.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest

from fineline.errors import StoreDenied, TaskError
from fineline.plan import make_plan
from fineline.resources import CheckpointEval
from fineline.results import (
    AttemptRecord,
    check_writable,
    forget_failure,
    publish_documents,
    read_failure,
    read_metrics,
    record_attempt,
    record_failure,
    run_states,
)
from fineline.results.analyses import LATEST_FILE, analysis_folder, read_latest
from fineline.results.schemas import DOCUMENTS
from fineline.store import open_store
from support.checkpoints import llama_files, put_all
from support.pages import REPOSITORY, fences, table_under
from support.publishing import ADDRESS, commit
from support.versitygw import REGION, S3Server, serve

PAGE = REPOSITORY / "docs" / "clouds.md"
BUCKETS = ("pretrain", "evals", "mirror")
RESULTS = "s3://evals/results/"
SECRET = "of-tests-alone"
ACTIONS = {
    "list_objects_v2": "s3:ListBucket",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
}
"""What S3 asks for each call of boto3's, as its documentation has it."""


def policies() -> tuple[dict[str, Any], dict[str, Any]]:
    """The operator's and the evaluations'."""
    found = [
        policy
        for fence in fences("json")
        if fence.page == PAGE and (policy := json.loads(fence.text)).get("Version") == "2012-10-17"
    ]
    operator, evaluations = found
    return operator, evaluations


def for_bucket(policy: dict[str, Any], bucket: str, user: str) -> list[dict[str, Any]]:
    """The statements of an identity's policy that are about a bucket, as the bucket's own policy has them."""
    arn = f"arn:aws:s3:::{bucket}"
    statements = []
    for statement in policy["Statement"]:
        resources = [name for name in statement["Resource"] if name == arn or name.startswith(f"{arn}/")]
        if resources:
            statements.append(
                {**statement, "Sid": user + statement["Sid"], "Principal": {"AWS": [user]}, "Resource": resources}
            )
    return statements


Become = Callable[[str], None]


@pytest.fixture(scope="module")
def server(versitygw_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with the page's buckets, its two identities, and their policies in force."""
    folder = tmp_path_factory.mktemp("policies")
    (folder / "users").mkdir()
    with serve(versitygw_binary, folder / "server", "--iam-dir", str(folder / "users")) as server:
        admin = [str(versitygw_binary), "admin", "--access", server.access_key, "--secret", server.secret_key]
        for user in ("operator", "evals"):
            create = ["create-user", "--access", user, "--secret", SECRET, "--role", "user"]
            subprocess.run([*admin, "--endpoint-url", server.endpoint, *create], check=True, capture_output=True)
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name=REGION,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )
        operator, evaluations = policies()
        for bucket in BUCKETS:
            client.create_bucket(Bucket=bucket)
            statements = for_bucket(operator, bucket, "operator") + for_bucket(evaluations, bucket, "evals")
            client.put_bucket_policy(
                Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements})
            )
        yield server


@pytest.fixture
def become(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Become:
    """Acts as one of the identities from then on, or as who made the server: `root`."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)

    def act_as(user: str) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key if user == "root" else user)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key if user == "root" else SECRET)

    return act_as


@pytest.fixture
def checkpoint(become: Become) -> str:
    """A checkpoint in the bucket, uploaded by somebody else."""
    become("root")
    store = open_store("s3://pretrain/tiny/")
    put_all(store, "step1000", llama_files() | {"tokenizer.json": b"{}"})
    return store.uri


def evaluation(uri: str) -> CheckpointEval:
    return CheckpointEval.model_validate(
        {
            "apiVersion": "fineline.dev/v1alpha1",
            "kind": "CheckpointEval",
            "metadata": {"name": "tiny"},
            "spec": {
                "run": {"name": "tiny"},
                "checkpoints": {"uri": uri},
                "suite": {"name": "fine-line-mini", "datasets": "s3://mirror/"},
            },
        }
    )


def test_the_operator_can_plan_and_follow(become: Become, checkpoint: str) -> None:
    become("operator")
    plan = make_plan(evaluation(checkpoint), results_uri=RESULTS)
    assert plan.units == 8
    results = open_store(RESULTS)
    run_states(results, "tiny")
    assert read_failure(results, ADDRESS) is None
    assert read_latest(results, "evals.sevens") is None


def test_the_operator_can_change_nothing(become: Become, checkpoint: str) -> None:
    become("operator")
    for store in (open_store(f"s3://{bucket}/") for bucket in BUCKETS):
        with pytest.raises(StoreDenied):
            store.put("x", b"x")
        with pytest.raises(StoreDenied):
            store.put_if_absent("x", b"x")
        with pytest.raises(StoreDenied):
            store.delete("x")


def test_a_pod_can_fetch_publish_and_try_again(become: Become, checkpoint: str, tmp_path: Path) -> None:
    become("evals")
    source = open_store(checkpoint)
    for item in source.list():
        source.download(item, tmp_path / item.name.rpartition("/")[2])
    results = open_store(RESULTS)
    check_writable(results)
    assert not [item for item in results.list() if "probe" in item.name]
    record_attempt(results, ADDRESS, AttemptRecord.now(1, "pod", doing="scoring"))
    record_failure(results, ADDRESS, TaskError("no such split", reason="SplitMissing"), "task", 1)
    forget_failure(results, ADDRESS, 1)
    assert read_failure(results, ADDRESS) is None
    publish_documents(results, "piqa", pa.Table.from_pylist([], schema=DOCUMENTS))
    assert commit(results)
    assert not commit(results, prediction="2")


def test_an_analysis_can_read_compact_and_report(become: Become) -> None:
    become("evals")
    results = open_store(RESULTS)
    commit(results)
    assert read_metrics(results, compact=True).hindrance == ""
    assert list(results.list("tables/metrics/"))
    results.put(f"{analysis_folder('evals.sevens')}{LATEST_FILE}", b"{}")


def test_nobody_can_delete_a_result_or_touch_what_training_wrote(become: Become, checkpoint: str) -> None:
    become("evals")
    results = open_store(RESULTS)
    commit(results)
    weights, elsewhere = open_store(checkpoint), open_store("s3://evals/")
    changes: tuple[Callable[[], object], ...] = (
        lambda: results.delete(ADDRESS.metrics),
        lambda: results.delete(ADDRESS.samples),
        lambda: weights.put("step1000/model.safetensors", b"x"),
        lambda: weights.delete("step1000/model.safetensors"),
        lambda: elsewhere.put("other/object", b"x"),
        lambda: open_store("s3://mirror/").put("mirror.json", b"{}"),
    )
    for change in changes:
        with pytest.raises(StoreDenied):
            change()
    assert results.head(ADDRESS.metrics) is not None


def test_without_the_right_to_delete_all_goes_on_but_a_retry(become: Become, server: S3Server) -> None:
    become("root")
    _, evaluations = policies()
    kept = [statement for statement in for_bucket(evaluations, "evals", "evals") if "Forget" not in statement["Sid"]]
    # Of a session of its own: the default one keeps its keys for all tests behind this one.
    client = boto3.session.Session().client("s3", endpoint_url=server.endpoint, region_name=REGION)
    before = client.get_bucket_policy(Bucket="evals")["Policy"]
    try:
        client.put_bucket_policy(Bucket="evals", Policy=json.dumps({"Version": "2012-10-17", "Statement": kept}))
        become("evals")
        results = open_store(RESULTS)
        check_writable(results)
        commit(results)
        assert read_metrics(results, compact=True).hindrance == ""
        with pytest.raises(StoreDenied):
            forget_failure(results, ADDRESS, 1)
    finally:
        client.put_bucket_policy(Bucket="evals", Policy=before)


def test_the_page_names_what_the_store_asks_for() -> None:
    source = (REPOSITORY / "core" / "fineline" / "store" / "s3.py").read_text()
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "_client"
    }
    told = {
        action for row in table_under(PAGE, "What is asked of a store")[1:] for action in re.findall(r"s3:\w+", row[1])
    }
    assert calls <= ACTIONS.keys(), "a call that the page's policies don't know of"
    assert told == {ACTIONS[call] for call in calls} | {"s3:AbortMultipartUpload"}
