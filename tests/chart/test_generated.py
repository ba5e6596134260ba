"""What the chart says of its values: that values.yaml, schema and README agree, and leave nothing untold. That they are
as generated is checked by `make lint`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.helm import CHART, PREVIOUS, run
from fineline import __version__
from support.control_plane import REPOSITORY


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return found


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value's schema, those in lists too."""
    for name, node in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, node
        yield from nodes(node, here)
        yield from nodes(node.get("items", {}), f"{here}[]")


def test_every_value_has_a_title_and_a_sentence(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema):
        assert node["description"].rstrip("`)").endswith((".", "…")), path
        assert path == "global" or node["title"], path


def test_every_value_has_its_comment_in_values_yaml() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for above, line in pairwise(lines):
        name = line.strip().partition(":")[0]
        if line.strip() and not line.strip().startswith(("#", "-")) and ":" in line and name.isidentifier():
            inside = ("cpu", "memory", "limits", "requests", "topologyKey", "whenUnsatisfiable")
            assert above.strip().startswith("#") or name in inside, line


def test_values_yaml_gives_every_value_its_default(schema: dict[str, Any], values: dict[str, Any]) -> None:
    def told(node: dict[str, Any]) -> dict[str, Any]:
        return {
            name: told(child) if "properties" in child else child["default"]
            for name, child in node["properties"].items()
            if name != "global"
        }

    assert values == told(schema)


def test_the_examples_of_values_yaml_are_taken(values: dict[str, Any]) -> None:
    """Each of those at the top, with the store that some of them need."""
    text = (CHART / "values.yaml").read_text()
    examples = text.split("\n# Example:\n")[1:]
    assert len(examples) > 8
    for example in examples:
        lines = [line.removeprefix("# ") for line in example.splitlines()]
        own = yaml.safe_load("\n".join(lines[: lines.index("")]))
        given = {"stores": [{"prefix": "s3://evals/"}, {"prefix": "s3://mirror/"}]} | own
        done = run("lint", "--strict", CHART, "--values", "-", given=json.dumps(given))
        assert done.returncode == 0, f"{own}: {done.stdout}{done.stderr}"
        assert set(own) <= set(values)


def test_unknown_values_are_refused_everywhere_but_in_what_kubernetes_defines(schema: dict[str, Any]) -> None:
    free = {path for path, node in nodes(schema) if node.get("type") == "object" and "properties" not in node}
    assert free == {
        "global", "evaluator.template", "analysis.template", "resources", "affinity", "nodeSelector", "podAnnotations",
        "podLabels", "serviceAccount.annotations", "webhook.service.annotations", "webhook.ingress.annotations",
        "workloads[].annotations", "monitoring.serviceMonitor.labels", "monitoring.serviceMonitor.annotations",
        "monitoring.prometheusRule.labels", "monitoring.prometheusRule.annotations", "monitoring.dashboard.labels",
        "monitoring.dashboard.annotations", "commonLabels", "helmTest.resources",
    }  # fmt: skip
    for path, node in nodes(schema):
        for inner in (node, node.get("items", {})):
            assert "properties" not in inner or inner["additionalProperties"] is False, path


def test_the_readme_has_a_row_for_every_value(schema: dict[str, Any]) -> None:
    readme = (CHART / "README.md").read_text()
    for path, node in nodes(schema):
        if "properties" not in node and path != "global":
            assert f"| `{path}` |" in readme


def test_the_readmes_values_are_taken() -> None:
    (values,) = re.findall(r"```yaml\n# values.yaml.*?\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    done = run("lint", "--strict", CHART, "--values", "-", given=values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_chart_that_upgrades_are_tested_from_is_an_older_one() -> None:
    def version(chart: Path) -> tuple[int, ...]:
        told = yaml.safe_load(run("show", "chart", chart).stdout)
        return tuple(map(int, told["version"].split(".")))

    assert version(PREVIOUS) < version(CHART)


def test_the_charts_version_is_the_packages() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert chart["appVersion"] == __version__ == package
    assert chart["kubeVersion"] == ">=1.29.0-0"
