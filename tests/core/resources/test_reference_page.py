"""The reference page leaves nothing out, and its example is a resource."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fineline.resources import crd_documents, read_resources
from fineline.resources.failure_reasons import FAILURE_REASONS
from fineline.resources.reasons import CONDITION_TYPES, EventReason, Reason

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
EXAMPLE = REFERENCE / "checkpointeval.yaml"


def fields(schema: dict[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from fields(field)
    for name in schema.keys() & {"items", "additionalProperties"}:
        yield from fields(schema[name])


@pytest.fixture(scope="module")
def page() -> str:
    return (REFERENCE / "checkpointeval.md").read_text()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = crd_documents()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def test_the_example_is_a_resource_and_stands_on_the_page(page: str) -> None:
    (evaluation,) = read_resources(EXAMPLE).evals
    assert evaluation.spec.checkpoints.positions["ckpt_358"].step == 358_000
    assert EXAMPLE.read_text() in page


def test_the_example_names_every_field_of_the_spec(schema: dict[str, Any]) -> None:
    spec = schema["properties"]["spec"]
    spec["properties"]["pods"]["properties"]["template"].pop("properties")
    text = EXAMPLE.read_text()
    missing = [name for name in fields(spec) if not re.search(rf"\b{name}:", text)]
    assert missing == []


def test_every_field_and_every_rule_has_its_place_on_the_page(page: str, schema: dict[str, Any]) -> None:
    for name in fields({"properties": {part: schema["properties"][part] for part in ("spec", "status")}}):
        assert f"| `{name}` |" in page
    for rule in schema["properties"]["spec"]["x-kubernetes-validations"]:
        assert f"Refused: {rule['message']}." in page


def test_every_reason_failure_and_event_has_a_line(page: str) -> None:
    for word in (*Reason, *EventReason, *(failure.word for failure in FAILURE_REASONS), *CONDITION_TYPES):
        assert f"| `{word}` |" in page


def test_no_placeholder_is_left(page: str) -> None:
    assert "{{" not in page
