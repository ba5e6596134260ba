"""Stores, ConfigMaps and checkpoints that are missing, denied or wrong are told, and evaluation goes on once mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fineline.store import open_store
from support.faults import FaultProxy
from support.lab import Lab
from support.operator import Operator
from support.versitygw import S3Server

DENIED = "s3://fineline-denied/"
SUITE = {"suite.yaml": "tasks: [{task: piqa, domain: reasoning}, {task: winogrande, domain: reasoning}]"}


@pytest.fixture
def flaky(lab: Lab, store_faults: FaultProxy) -> Iterator[Lab]:
    """The lab in a store that the operator reaches through the proxy. It is in order again afterwards."""
    yield replace(lab, uri=lab.uri.replace("s3://fineline-tests/", "s3://fineline-tests/flaky/"))
    store_faults.heal()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"checkpoints__uri": "s3://elsewhere/run/"}, "spec.checkpoints.uri: s3://elsewhere/run/: none of the"),
        ({"results": "s3://elsewhere/results/"}, "spec.results: s3://elsewhere/results/: none of the"),
        ({"suite__datasets": "s3://elsewhere/mirror/"}, "spec.suite.datasets: s3://elsewhere/mirror/: none of the"),
        ({"checkpoints__uri": "s3://fineline-private/run/"}, "may not use the store s3://fineline-private/"),
    ],
)
def test_a_store_that_may_not_be_named_is_told_by_its_field(
    lab: Lab, operator: Operator, spec: dict[str, Any], message: str
) -> None:
    lab.apply(**spec)
    told = lab.wait("Stalled", "True", "StoreNotAllowed")
    assert message in told["message"]
    assert lab.condition("Planned")["status"] == "False"
    assert message in lab.wait_for_event("StoreNotAllowed")
    assert lab.plan_config_maps() == lab.jobs() == []


def test_a_bucket_that_is_not_there_is_told(lab: Lab, operator: Operator) -> None:
    lab.apply(checkpoints__uri="s3://fineline-missing/run/")
    assert "s3://fineline-missing/run/" in lab.wait("Stalled", "True", "StoreNotFound")["message"]


def test_without_a_results_uri_anywhere_it_is_told_to_set_one(lab: Lab, operator: Operator) -> None:
    lab.apply(results=None)
    assert lab.wait("Stalled", "True", "ResultsNotSet")["message"].startswith("spec.results: is not set")


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ({"other.yaml": "a: b"}, "suite.yaml"),
        ({"suite.yaml": "tasks: [{"}, "suite.yaml"),
    ],
)
def test_a_suite_that_can_not_be_meant_is_told(
    lab: Lab, operator: Operator, suite: dict[str, str], message: str
) -> None:
    lab.add_checkpoints(1)
    lab.add_config_map("own", suite)
    lab.apply(suite={"configMap": "own"})
    assert message in lab.wait("Stalled", "True", "SpecInvalid")["message"]


def test_positions_come_from_a_config_map(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    positions = "step1: {step: 7000, tokens: 7000000}\nstep2: {step: 9000, branch: annealed}\n"
    lab.add_config_map("where", {"positions.yaml": positions})
    lab.apply(checkpoints__positionsFrom={"configMap": "where"})
    lab.work()
    lab.wait("Succeeded", "True")
    assert {(address.branch, address.step) for address in lab.addresses()} == {("main", 7000), ("annealed", 9000)}


@pytest.mark.parametrize(
    ("data", "message"),
    [({}, "has no key positions.yaml"), ({"positions.yaml": "step1: {step: many}"}, "positions.yaml")],
)
def test_positions_that_can_not_be_read_are_told(
    lab: Lab, operator: Operator, data: dict[str, str], message: str
) -> None:
    lab.add_checkpoints(1)
    lab.add_config_map("where", data)
    lab.apply(checkpoints__positionsFrom={"configMap": "where"})
    assert message in lab.wait("Stalled", "True", "SpecInvalid")["message"]


def test_what_was_missing_is_found_by_itself(
    lab: Lab, operator: Operator, wrong_credentials: Path, versitygw: S3Server
) -> None:
    """No edit, no restart: it is looked at again now and then (within 5 minutes; the tests' operator is quicker)."""
    lab.add_checkpoints(1, run="good")
    denied = replace(lab, uri=f"{DENIED}{lab.namespace}/")
    denied.add_checkpoints(1, run="denied")
    good = f"{lab.uri}checkpoints/good/"
    lab.apply("suiteless", checkpoints__uri=good, suite={"configMap": "late"})
    lab.apply("positionless", checkpoints__uri=good, checkpoints__positionsFrom={"configMap": "late-positions"})
    lab.apply("empty", run="empty")
    lab.apply("denied", checkpoints__uri=f"{denied.uri}checkpoints/denied/")
    for name, reason, message in (
        ("suiteless", "ConfigMapNotFound", "spec.suite.configMap: there is no ConfigMap late in the namespace"),
        ("positionless", "ConfigMapNotFound", "spec.checkpoints.positionsFrom.configMap: there is no ConfigMap late-"),
        ("empty", "NoCheckpoint", "no checkpoint is there"),
        ("denied", "StoreDenied", DENIED),
    ):
        assert message in lab.wait("Stalled", "True", reason, name=name)["message"]

    lab.add_config_map("late", SUITE)
    lab.add_config_map("late-positions", {"positions.yaml": "step1: {step: 1, tokens: 1000}"})
    lab.add_checkpoints(1, run="empty")
    (wrong_credentials / "AWS_SECRET_ACCESS_KEY").write_text(versitygw.secret_key)
    try:
        for name in ("suiteless", "positionless", "empty", "denied"):
            lab.wait("Planned", "True", name=name)
            lab.wait("Stalled", "False", name=name)
            lab.wait_for_job(name)
    finally:
        (wrong_credentials / "AWS_SECRET_ACCESS_KEY").write_text("wrong")


def test_a_store_that_is_down_is_told_and_waited_for(flaky: Lab, operator: Operator, store_faults: FaultProxy) -> None:
    lab = flaky
    lab.add_checkpoints(1)
    store_faults.answer(503, "SlowDown", times=1_000_000)
    lab.apply()
    told = lab.wait("Reconciling", "True", "StoreUnavailable")
    assert "tried again by itself" in told["message"]
    assert lab.condition("Stalled")["status"] == "False"
    store_faults.heal()
    lab.work()
    lab.wait("Succeeded", "True")


def test_a_store_that_goes_down_while_it_runs_ends_nothing(
    flaky: Lab, operator: Operator, store_faults: FaultProxy
) -> None:
    lab = flaky
    lab.add_checkpoints(1)
    lab.apply()
    lab.wait_for_job()
    store_faults.refuse(times=1_000_000)
    lab.work()
    lab.wait("Succeeded", "Unknown", "StoreUnavailable")
    store_faults.heal()
    lab.wait("Succeeded", "True")
    assert len(lab.jobs()) == 1


def test_incomplete_checkpoints_are_put_aside_and_told(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    open_store(f"{lab.uri}checkpoints/tiny/step3/").put("config.json", b'{"vocab_size": 8}')
    index = b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    open_store(f"{lab.uri}checkpoints/tiny/step3/").put("model.safetensors.index.json", index)
    lab.apply()
    lab.work()
    told = lab.wait("Succeeded", "True", "Succeeded")
    assert "1 checkpoint put aside, such as step3: ShardMissing: " in told["message"]
    assert lab.status()["plan"]["putAside"] == 1
    assert "step3" in lab.wait_for_event("CheckpointsPutAside")
    assert lab.status().get("failures", []) == []


def test_a_fault_that_all_checkpoints_have_is_the_reason(lab: Lab, operator: Operator) -> None:
    for step in (1, 2):
        broken = open_store(f"{lab.uri}checkpoints/tiny/step{step}/")
        broken.put("pytorch_model.bin", b"\x80\x02}q\x00.")
        broken.put("config.json", b'{"vocab_size": 8}')
        broken.put("tokenizer.json", b"{}")
    lab.apply()
    told = lab.wait("Stalled", "True", "PickleRefused")
    assert "none of 2 checkpoints can be evaluated" in told["message"]


def test_pins_that_are_all_gone_are_the_end_and_no_stop(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1)
    lab.apply(checkpoints__pinned=[{"step": 1, "digest": "0" * 64}])
    lab.wait("Succeeded", "False", "SomeUnitsFailed")
    assert [(item["checkpoint"], item["reason"]) for item in lab.status()["failures"]] == [
        ("step 1", "CheckpointChanged")
    ]
    assert lab.jobs() == []


def test_a_vanished_pin_is_a_failure_of_that_checkpoint_and_no_stop(lab: Lab, operator: Operator) -> None:
    lab.add_checkpoints(1, 2)
    lab.apply(checkpoints__select={"steps": [1, 2, 3]})
    lab.work()
    lab.wait("Succeeded", "False", "SomeUnitsFailed")
    assert [(item["checkpoint"], item["reason"]) for item in lab.status()["failures"]] == [
        ("step 3", "CheckpointVanished")
    ]
    assert lab.status()["progress"]["text"] == "4/4"
