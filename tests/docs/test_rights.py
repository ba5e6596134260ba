"""The table of the operator's rights in docs/install.md is rbac.yaml, no more and no less."""

from __future__ import annotations

import re

import yaml

from support.pages import REPOSITORY, table_under

RBAC = REPOSITORY / "operator" / "fineline_operator" / "rbac.yaml"
RESOURCES = {
    "CheckpointEvals": ("checkpointevals",),
    "CheckpointSources": ("checkpointsources",),
    "TrajectoryAnalyses": ("trajectoryanalyses",),
    "the status of all three": ("checkpointevals/status", "checkpointsources/status", "trajectoryanalyses/status"),
    "Jobs": ("jobs",),
    "ConfigMaps": ("configmaps",),
    "Pods": ("pods",),
    "Namespaces": ("namespaces",),
    "Events": ("events",),
    "Kueue's Workloads": ("workloads",),
    "Kueue's LocalQueues": ("localqueues",),
    "Leases, in its own namespace": ("leases",),
}
"""What the table's words stand for."""


def granted() -> dict[str, set[str]]:
    rights: dict[str, set[str]] = {}
    for document in yaml.safe_load_all(RBAC.read_text()):
        for rule in document.get("rules", ()):
            for resource in rule["resources"]:
                rights.setdefault(resource, set()).update(rule["verbs"])
    return rights


def told() -> dict[str, set[str]]:
    rows = table_under(REPOSITORY / "docs" / "install.md", "What it may do")[1:]
    verbs = {row[0]: set(re.sub(r"\(.*\)", "", row[1]).replace(",", " ").split()) for row in rows}
    return {resource: verbs[words] for words in verbs for resource in RESOURCES[words]}


def test_the_page_tells_each_right_that_there_is() -> None:
    assert told() == granted()
