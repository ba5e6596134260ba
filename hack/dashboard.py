"""The Grafana dashboard of the chart: what it shows is a table here, the JSON around it is Grafana's.

Its queries have no matchers but those of the variables on top: the data source, the scrape job, the namespaces.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT = 8, 8
_ACROSS = 3
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_JOB = 'job=~"$job"'
_OBJECT = f'{_JOB},namespace=~"$namespace"'


@dataclass(frozen=True)
class Panel:
    """A chart over time. `queries`: what its legend says, in Grafana's words, by PromQL. `unit` is Grafana's name."""

    title: str
    description: str
    queries: dict[str, str]
    unit: str = "short"
    stacked: bool = False


ROWS: dict[str, tuple[Panel, ...]] = {
    "Results": (
        Panel(
            "From upload to result",
            "From the last change of a checkpoint until all of its results were seen, over the last hour.",
            {
                f"histogram_quantile({share}, "
                f"sum by (le) (rate(fineline_upload_to_result_seconds_bucket{{{_JOB}}}[1h])))": name
                for share, name in ((0.5, "half"), (0.9, "nine of ten"))
            },
            unit="s",
        ),
        Panel(
            "The oldest checkpoint without results",
            "How long it has waited, by source; nothing where all have theirs.",
            {
                f"time() - fineline_source_waiting_since_timestamp_seconds{{{_OBJECT}}}": "{{namespace}}/{{source}}",
            },
            unit="s",
        ),
        Panel(
            "Checkpoints that wait",
            "Complete and selected ones without results, those that are being evaluated included, by source.",
            {
                f'fineline_source_checkpoints{{{_OBJECT},state="waiting"}} > 0': "{{namespace}}/{{source}}",
            },
            stacked=True,
        ),
        Panel(
            "Checkpoints by state",
            "Of all sources.",
            {
                f'sum by (state) (fineline_source_checkpoints{{{_OBJECT},state!="found"}})': "{{state}}",
            },
        ),
        Panel(
            "Units an hour",
            "A unit is one task on one checkpoint; counted as its results are seen in the store.",
            {f"sum(rate(fineline_units_published_total{{{_JOB}}}[15m])) * 3600": "published"},
        ),
        Panel(
            "Runs by verdict",
            "What the newest analysis of each TrajectoryAnalysis says.",
            {f"sum by (state) (fineline_verdicts{{{_OBJECT}}}) > 0": "{{state}}"},
            stacked=True,
        ),
    ),
    "Uploads in, analyses out": (
        Panel(
            "Notices of uploads a minute",
            "By how they came and what came of them.",
            {f"sum by (via, outcome) (rate(fineline_events_total{{{_JOB}}}[5m])) * 60": "{{via}} {{outcome}}"},
        ),
        Panel(
            "Pages of listings a minute",
            "Asked for of the prefixes of CheckpointSources: what the store counts as requests.",
            {f"sum(rate(fineline_source_lists_total{{{_JOB}}}[5m])) * 60": "pages"},
        ),
        Panel(
            "Analyses a day",
            "That ended, by outcome.",
            {f"sum by (outcome) (increase(fineline_analyses_total{{{_JOB}}}[1d]))": "{{outcome}}"},
        ),
    ),
    "The operator": (
        Panel(
            "Replicas that act",
            "One at any time; none for a few seconds when one hands over.",
            {f"sum by (job) (fineline_leader{{{_JOB}}})": "{{job}}"},
        ),
        Panel(
            "Resources to look at",
            "That wait for their turn, that are looked at, and that are looked at later.",
            {
                f"sum(fineline_queue_{state}{{{_JOB}}})": name
                for state, name in (("depth", "waiting"), ("running", "running"), ("delayed", "later"))
            },
        ),
        Panel(
            "Seconds of a look",
            "Nine of ten are shorter, by kind.",
            {
                "histogram_quantile(0.9, "
                f"sum by (le, kind) (rate(fineline_reconcile_seconds_bucket{{{_JOB}}}[5m])))": "{{kind}}"
            },
            unit="s",
        ),
        Panel(
            "Looks that failed, a minute",
            "They are tried again with growing pauses.",
            {f"sum by (kind) (rate(fineline_reconcile_errors_total{{{_JOB}}}[5m])) * 60": "{{kind}}"},
        ),
        Panel(
            "Seconds of work on stores",
            "Nine of ten are shorter, by what is done.",
            {
                "histogram_quantile(0.9, "
                f"sum by (le, what) (rate(fineline_store_seconds_bucket{{{_JOB}}}[5m])))": "{{what}}"
            },
            unit="s",
        ),
        Panel(
            "Work on stores that failed, a minute",
            "By what was done.",
            {
                f'sum by (what) (rate(fineline_store_seconds_count{{{_JOB},outcome="error"}}[5m])) * 60': "{{what}}",
            },
        ),
        Panel(
            "Requests to the API server a second",
            "By HTTP status; none where there was no answer.",
            {f"sum by (code) (rate(fineline_api_requests_total{{{_JOB}}}[5m]))": "{{code}}"},
            unit="reqps",
        ),
        Panel(
            "Age of the watches",
            "Seconds since anything came, of the replica that acts.",
            {
                f"max by (resource) (fineline_watch_age_seconds{{{_JOB}}} "
                f"and on (job, instance) fineline_leader{{{_JOB}}} == 1)": "{{resource}}"
            },
            unit="s",
        ),
        Panel(
            "Memory",
            "Of each replica.",
            {f"process_resident_memory_bytes{{{_JOB}}}": "{{instance}}"},
            unit="bytes",
        ),
        Panel(
            "Processor",
            "Of each replica, in cores.",
            {f"rate(process_cpu_seconds_total{{{_JOB}}}[5m])": "{{instance}}"},
        ),
        Panel(
            "Objects that are watched",
            "By resource.",
            {f"max by (resource) (fineline_objects{{{_JOB}}})": "{{resource}}"},
        ),
        Panel(
            "Events of the watches a second",
            "By resource.",
            {f"sum by (resource) (rate(fineline_watch_events_total{{{_JOB}}}[5m]))": "{{resource}}"},
        ),
    ),
}


def dashboard() -> str:
    """The dashboard as JSON, for Grafana 10 and later."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(_row(title, len(panels) + 1, top))
        for number, panel in enumerate(row):
            place = {
                "x": number % _ACROSS * _WIDTH,
                "y": top + 1 + number // _ACROSS * _HEIGHT,
                "w": _WIDTH,
                "h": _HEIGHT,
            }
            panels.append(_panel(panel, len(panels) + 1, place))
        top += 1 + -(-len(row) // _ACROSS) * _HEIGHT
    document = {
        "uid": "fineline",
        "title": "Fineline",
        "description": "Checkpoints in, results and verdicts out, and how the operator does.",
        "tags": ["fineline"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "templating": {"list": _variables()},
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _row(title: str, number: int, top: int) -> dict[str, Any]:
    place = {"x": 0, "y": top, "w": 24, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    drawn = {"lineWidth": 1, "fillOpacity": 20 if panel.stacked else 5, "showPoints": "never", "spanNulls": True}
    if panel.stacked:
        drawn["stacking"] = {"mode": "normal", "group": "A"}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": drawn}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries.items())
        ],
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _of_labels("job", "Job", "label_values(fineline_leader, job)"),
        _of_labels("namespace", "Namespace", 'label_values(fineline_source_checkpoints{job=~"$job"}, namespace)'),
    ]


def _of_labels(name: str, label: str, query: str) -> dict[str, Any]:
    """A choice of several values of a label, all at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
