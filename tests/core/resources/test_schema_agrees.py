"""What the model takes the CRD's schema takes, and the other way round; rules (CEL) are tested on an API server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from pydantic import ValidationError

from fineline.resources import CheckpointEvalSpec, crd_documents
from support.specs import specs
from support.structural import violations

SCHEMA = crd_documents()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
MINIMAL = {"run": {"name": "a"}, "checkpoints": {"uri": "s3://b"}, "suite": {"name": "loss"}}


def refused_by_the_model(spec: Any) -> list[str]:
    """The model's errors, but for those that are rules in the CRD."""
    try:
        CheckpointEvalSpec.model_validate(spec)
    except ValidationError as error:
        return [
            str(detail["loc"])
            for detail in error.errors(include_url=False)
            if detail["type"] != "value_error" and detail["loc"][-1] != "[key]"
        ]
    return []


@settings(max_examples=400)
@given(specs())
@example(MINIMAL | {"engine": {"maxModelLen": 10**7 + 1}})
@example(MINIMAL | {"run": {"name": "a", "parameters": 10**15 + 1}})
@example(MINIMAL | {"queueName": "q" * 64})
def test_the_model_and_the_schema_take_the_same(spec: Any) -> None:
    assert bool(refused_by_the_model(spec)) == bool(list(violations(SCHEMA, spec)))


@pytest.mark.parametrize(
    "spec",
    [
        MINIMAL | {"run": None},
        MINIMAL | {"engine": None, "pods": None, "queueName": None},
        MINIMAL | {"suite": {"name": "loss", "tasks": None, "allowCodeExecution": None}},
        MINIMAL | {"tokenPerStep": None},
        MINIMAL | {"pods": {"template": {"spec": None}}},
    ],
)
def test_null_stands_for_absent_in_both(spec: Any) -> None:
    assert bool(refused_by_the_model(spec)) == bool(list(violations(SCHEMA, spec)))


def test_null_for_a_plain_field_is_its_default() -> None:
    spec = CheckpointEvalSpec.model_validate(MINIMAL | {"suspend": None, "pods": {"attempts": None}})
    assert (spec.suspend, spec.pods.attempts) == (False, 3)
