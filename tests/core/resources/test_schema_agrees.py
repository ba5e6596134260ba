"""What the model takes the CRD's schema takes, and the other way round; rules (CEL) are tested on an API server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fineline.resources import CheckpointEvalSpec, CheckpointSourceSpec, TrajectoryAnalysisSpec
from fineline.resources.kinds import KINDS
from fineline.resources.schemas import structural_schema
from support.resources import KIND, MINIMAL, NAMES
from support.specs import SPECS
from support.structural import violations

SCHEMA = {kind.name: structural_schema(kind.spec) for kind in KINDS}
EVAL, SOURCE, ANALYSIS = (MINIMAL[name] for name in NAMES)


def refused_by_the_model(kind: str, spec: Any) -> list[str]:
    """The model's errors, but for those that are rules in the CRD."""
    try:
        KIND[kind].spec.model_validate(spec)
    except ValidationError as error:
        return [
            str(detail["loc"])
            for detail in error.errors(include_url=False)
            if detail["type"] != "value_error" and detail["loc"][-1] != "[key]"
        ]
    return []


def both(kind: str, spec: Any) -> tuple[bool, bool]:
    return bool(refused_by_the_model(kind, spec)), bool(list(violations(SCHEMA[kind], spec)))


@pytest.mark.parametrize("kind", NAMES)
@settings(max_examples=400)
@given(data=st.data())
def test_the_model_and_the_schema_take_the_same(kind: str, data: st.DataObject) -> None:
    by_model, by_schema = both(kind, data.draw(SPECS[kind]()))
    assert by_model == by_schema


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("CheckpointEval", EVAL | {"engine": {"maxModelLen": 10**7 + 1}}),
        ("CheckpointEval", EVAL | {"run": {"name": "a", "parameters": 10**15 + 1}}),
        ("CheckpointEval", EVAL | {"queueName": "q" * 64}),
        ("CheckpointSource", SOURCE | {"pollSeconds": 4}),
        ("CheckpointSource", SOURCE | {"fullWalkSeconds": 59}),
        ("CheckpointSource", SOURCE | {"batch": 1025}),
        ("CheckpointSource", SOURCE | {"history": {"failed": 1001}}),
        ("CheckpointSource", SOURCE | {"complete": {"marker": "a/b"}}),
        ("CheckpointSource", SOURCE | {"complete": {"settleSeconds": 86_401}}),
        ("CheckpointSource", SOURCE | {"sqs": "https://key:secret@host/1/q"}),
        ("CheckpointSource", SOURCE | {"select": {"last": 1}}),
        ("TrajectoryAnalysis", ANALYSIS | {"history": 0}),
        ("TrajectoryAnalysis", ANALYSIS | {"horizon": {"a": 0}}),
        ("TrajectoryAnalysis", ANALYSIS | {"references": ["s3://b/"] * 17}),
        ("TrajectoryAnalysis", ANALYSIS | {"runs": {"names": []}}),
        ("TrajectoryAnalysis", {}),
    ],
)
def test_both_refuse_what_is_out_of_bounds(kind: str, spec: Any) -> None:
    assert both(kind, spec) == (True, True)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("CheckpointEval", EVAL | {"run": None}),
        ("CheckpointEval", EVAL | {"engine": None, "pods": None, "queueName": None}),
        ("CheckpointEval", EVAL | {"suite": {"name": "loss", "tasks": None, "allowCodeExecution": None}}),
        ("CheckpointEval", EVAL | {"tokenPerStep": None}),
        ("CheckpointEval", EVAL | {"pods": {"template": {"spec": None}}}),
        ("CheckpointSource", SOURCE | {"uri": None}),
        ("CheckpointSource", SOURCE | {"complete": None, "history": None, "select": None, "sqs": None}),
        ("CheckpointSource", SOURCE | {"complete": {"marker": None, "settleSeconds": None}}),
        ("TrajectoryAnalysis", ANALYSIS | {"runs": {"names": ["a"], "families": None, "all": None}}),
        ("TrajectoryAnalysis", ANALYSIS | {"horizon": None, "references": None, "results": None}),
        ("TrajectoryAnalysis", ANALYSIS | {"horizon": {"a": None}}),
    ],
)
def test_null_stands_for_absent_in_both(kind: str, spec: Any) -> None:
    by_model, by_schema = both(kind, spec)
    assert by_model == by_schema


def test_null_for_a_plain_field_is_its_default() -> None:
    spec = CheckpointEvalSpec.model_validate(EVAL | {"suspend": None, "pods": {"attempts": None}})
    assert (spec.suspend, spec.pods.attempts) == (False, 3)
    source = CheckpointSourceSpec.model_validate(SOURCE | {"batch": None, "history": {"failed": None}})
    assert (source.batch, source.history.failed) == (8, 10)
    analysis = TrajectoryAnalysisSpec.model_validate(ANALYSIS | {"debounceSeconds": None})
    assert analysis.debounce_seconds == 120
