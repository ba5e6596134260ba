"""The chart's alerts and dashboard, by Prometheus' own tool and engine, on what the operator really exposes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from support.tools import tool_to_test_with

MONITORING = Path(__file__).parents[2] / "charts" / "fineline" / "monitoring"
TARGET = {"job": "fineline", "instance": "10.0.0.1:8080"}
"""Labels that a scrape adds."""

# In a process of its own: the registry is the process's.
EXPOSED = """
from datetime import UTC, datetime
from fineline.resources.source_status import SourceCounts
from fineline_operator import metrics
from fineline_operator.analyses.outcome import STATES

for kind in ("CheckpointEval", "CheckpointSource"):
    metrics.RECONCILE_SECONDS.labels(kind).observe(0.1)
    metrics.RECONCILE_ERRORS.labels(kind).inc()
for outcome in ("ok", "error"):
    metrics.STORE_SECONDS.labels("plan", outcome).observe(0.1)
metrics.WATCH_AGE.labels("jobs").set(3)
metrics.WATCH_EVENTS.labels("jobs").inc()
metrics.OBJECTS.labels("jobs").set(3)
metrics.API_REQUESTS.labels("create", "jobs", "201").inc()
metrics.EVENTS.labels("webhook", "woken").inc()
metrics.ANALYSES.labels("published").inc()
metrics.UPLOAD_TO_RESULT.observe(100)
metrics.LEADER.set(1)
metrics.tell_source("runs", "main", SourceCounts(found=9, complete=8, evaluated=5, failed=1, waiting=2),
                    datetime(1970, 1, 1, tzinfo=UTC))
metrics.tell_verdicts("runs", "all", dict.fromkeys(STATES, 1))
print(metrics.exposition().decode())
"""
Series = list[tuple[str, dict[str, str], str]]


@pytest.fixture(scope="module")
def promtool() -> Path:
    return tool_to_test_with("promtool")


@pytest.fixture(scope="module")
def exposition() -> str:
    return subprocess.run([sys.executable, "-c", EXPOSED], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def ask(promtool: Path, *arguments: object, stdin: str = "") -> str:
    """What it says; an assertion where it is not content."""
    words = [str(promtool), *map(str, arguments)]
    done = subprocess.run(words, check=False, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_the_rules(promtool: Path) -> None:
    assert "SUCCESS: 10 rules found" in ask(
        promtool, "check", "rules", "--lint=all", "--lint-fatal", MONITORING / "alerts.yaml"
    )


def test_each_alert_fires_where_it_should_and_nowhere_else(promtool: Path, alerts: list[dict[str, Any]]) -> None:
    cases = Path(__file__).with_name("alerts_test.yaml")
    assert "SUCCESS" in ask(promtool, "test", "rules", cases)
    text = cases.read_text()
    assert [rule["alert"] for rule in alerts if f'"{rule["alert"]}"' not in text] == []


def test_the_operators_metrics_are_named_as_prometheus_wants_it(promtool: Path, exposition: str) -> None:
    """`*_created` is the client library's."""
    own = [line for line in exposition.splitlines() if "fineline_" in line and "_created" not in line]
    assert ask(promtool, "check", "metrics", stdin="\n".join(own) + "\n") == ""


def test_every_metric_that_alerts_and_dashboard_name_is_exposed(
    exposition: str, alerts: list[dict[str, Any]], dashboard: dict[str, Any]
) -> None:
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels, TARGET)
    queries = [rule["expr"] for rule in alerts] + [target["expr"] for target in targets(dashboard)]
    for query in queries:
        names = re.findall(r"\b(?:fineline|process)_\w+", query)
        assert names, query
        for name in names:
            assert name in labels, query
        for matchers in re.findall(r"\{([^}]*)\}", query):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers))
            assert asked <= set.union(*(labels[name] for name in names)), query
        for told in re.findall(r"\bby \(([^)]*)\)", query):
            assert set(re.split(r",\s*", told)) <= set.union(*(labels[name] for name in names)) | {"namespace"}, query


def test_every_query_of_the_dashboard_has_an_answer(
    promtool: Path, exposition: str, dashboard: dict[str, Any], tmp_path: Path
) -> None:
    """In Prometheus' engine, on the series that the operator exposes: counters grow, all else stays."""
    rules = [
        {"alert": f"Query{number}", "expr": f"count({filled(target['expr'])}) > 0"}
        for number, target in enumerate(targets(dashboard))
    ]
    assert len(rules) > 20
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name + "{" + ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items()) + "}",
             "values": values}
            for name, labels, values in scraped(exposition)
        ],
        "alert_rule_test": [
            {"alertname": rule["alert"], "eval_time": "90m", "exp_alerts": [{"exp_labels": {}}]} for rule in rules
        ],
    }  # fmt: skip
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    assert "SUCCESS" in ask(promtool, "test", "rules", tmp_path / "test.yaml")


def test_legends_name_labels_that_the_answer_has(dashboard: dict[str, Any]) -> None:
    for target in targets(dashboard):
        asked = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        grouped = re.search(r"\bby \(([^)]*)\)", target["expr"])
        has = set(re.split(r",\s*", grouped[1])) if grouped else {"namespace", "source", "job", "instance"}
        assert asked <= has, target["expr"]


def test_panels_have_their_place(dashboard: dict[str, Any]) -> None:
    """Each with an id and a source of its own, within the 24 columns and beside each other."""
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or (panel["description"] and panel["datasource"]["uid"] == "${datasource}")
    variables = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert variables == ["datasource", "job", "namespace"]


def targets(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [target for panel in dashboard["panels"] for target in panel.get("targets", [])]


def filled(query: str) -> str:
    """As Grafana asks where everything is chosen."""
    return query.replace("$job", ".*").replace("$namespace", ".*")


def scraped(exposition: str) -> Series:
    """Series of 90 minutes, in promtool's words."""
    series: Series = []
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            grows = family.type in {"counter", "histogram"} and not sample.name.endswith("_created")
            start, step = (0, sample.value) if grows else (sample.value, 0)
            series.append((sample.name, {**TARGET, **sample.labels}, f"{start}+{step}x90"))
    return series
