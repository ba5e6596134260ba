"""The reference page of each kind leaves nothing out, and its example is a resource."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fineline.resources import read_resources
from fineline.resources.crd import crd_document
from fineline.resources.failure_reasons import FAILURE_REASONS
from fineline.resources.kinds import Kind
from support.resource_rules import KEYS
from support.resources import KIND, NAMES

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KIND[request.param]


@pytest.fixture
def example(kind: Kind) -> Path:
    return REFERENCE / f"{kind.singular}.yaml"


@pytest.fixture
def page(kind: Kind) -> str:
    return (REFERENCE / f"{kind.singular}.md").read_text()


@pytest.fixture
def schema(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = crd_document(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def fields(schema: dict[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from fields(field)
    for name in schema.keys() & {"items", "additionalProperties"}:
        yield from fields(schema[name])


def rules(schema: dict[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    for child in schema.get("properties", {}).values():
        yield from rules(child)
    for name in schema.keys() & {"items", "additionalProperties"}:
        yield from rules(schema[name])


def without_pod_template(schema: dict[str, Any]) -> dict[str, Any]:
    """The example shows no more of a pod template than people need."""
    properties = {
        name: child if name != "pods" else {"properties": {**child["properties"], "template": {}}}
        for name, child in schema["properties"].items()
    }
    if "template" in properties:
        properties["template"] = without_pod_template(properties["template"])
    return {"properties": properties}


def test_the_example_is_a_resource_and_stands_on_the_page(kind: Kind, example: Path, page: str) -> None:
    read = read_resources(example, needed=kind.name)
    (only,) = (*read.evals, *read.sources, *read.analyses)
    assert isinstance(only, kind.model)
    assert example.read_text() in page


def test_the_example_names_every_field_of_the_spec(example: Path, schema: dict[str, Any]) -> None:
    text = example.read_text()
    missing = [
        name
        for name in fields(without_pod_template(schema["properties"]["spec"]))
        if not re.search(rf"\b{name}:", text)
    ]
    assert missing == []


def test_every_field_and_every_rule_has_its_place_on_the_page(page: str, schema: dict[str, Any]) -> None:
    for name in fields({"properties": {part: schema["properties"][part] for part in ("spec", "status")}}):
        assert f"| `{name}` |" in page
    told = [message for message in rules(schema["properties"]["spec"]) if not message.startswith(KEYS)]
    assert told
    for message in told:
        assert f"Refused: {message}." in page


def test_every_reason_event_and_condition_has_a_line(kind: Kind, page: str) -> None:
    for word in (*kind.reasons, *kind.events, *kind.conditions):
        assert f"| `{word}` |" in page


def test_every_failure_has_a_line_on_the_page_of_evaluations() -> None:
    page = (REFERENCE / "checkpointeval.md").read_text()
    for failure in FAILURE_REASONS:
        assert f"| `{failure.word}` |" in page


def test_no_placeholder_is_left(page: str) -> None:
    assert "{{" not in page
