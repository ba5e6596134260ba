"""Every values.yaml in the pages is one that the chart's schema takes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from support.pages import REPOSITORY, Fence, fences
from support.tools import find_tool

CHART = REPOSITORY / "charts" / "fineline"
SCHEMA = CHART / "values.schema.json"
FENCES = [fence for fence in fences("yaml") if fence.text.startswith("# values.yaml")]


def over_the_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """What Helm validates: the values over the chart's own; maps merge, lists are replaced."""
    merged: dict[str, Any] = _over(yaml.safe_load((CHART / "values.yaml").read_text()), values)
    return merged


def _over(base: Any, values: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(values, dict)):
        return values
    return base | {name: _over(base.get(name), value) for name, value in values.items()}


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: nothing to compare values with")
    if not SCHEMA.exists():
        pytest.skip("the chart has no values.schema.json yet")
    return jsonschema.validators.validator_for(schema := json.loads(SCHEMA.read_text()))(schema)


def test_the_pages_have_values_to_check() -> None:
    pages = {fence.page.name for fence in FENCES}
    assert pages >= {"README.md", "install.md", "clouds.md", "gpus.md", "air-gapped.md"}


@pytest.mark.parametrize("fence", FENCES, ids=str)
def test_the_schema_takes_them(fence: Fence, validator: Any) -> None:
    values = over_the_defaults(yaml.safe_load(fence.text))
    wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(values)]
    assert wrong == []


@pytest.fixture(scope="module")
def helm() -> str:
    binary, reason = find_tool("helm")
    if binary is None:
        pytest.skip(f"no helm to render the chart with: {reason}")
    return str(binary)


@pytest.mark.parametrize("fence", FENCES, ids=str)
def test_the_chart_finds_sense_in_them_together(fence: Fence, helm: str) -> None:
    render = [helm, "template", "fineline", str(CHART), "--namespace", "fineline-system", "--values", "-"]
    rendered = subprocess.run(render, input=fence.text, check=False, capture_output=True, text=True)
    assert rendered.returncode == 0, rendered.stderr


def test_a_value_that_is_not_there_would_be_seen(validator: Any) -> None:
    (error,) = validator.iter_errors(over_the_defaults({"store": []}))
    assert "store" in error.message
