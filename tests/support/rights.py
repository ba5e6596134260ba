"""What operators did to API servers in a run of the tests, held against rbac.yaml: no request outside of its rules, and
each rule used.

A control plane of tests leaves a summary of its audit log when it ends (`leave`), in a folder that all processes of the
run share; at the run's end all of them are put together (`gathered`) and judged (support/rights_check.py).
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

RBAC = Path(__file__).parents[2] / "operator" / "fineline_operator" / "rbac.yaml"
ACCOUNT = "fineline-operator"
FOLDER = "FINELINE_TEST_RIGHTS"
"""The variable with the run's folder; without it nothing is left."""

_DISCOVERY = ("/api", "/apis", "/version", "/openapi")
"""What Kubernetes lets every service account read (the ClusterRole system:discovery), and so stands in no rules."""


@dataclass(frozen=True)
class Right:
    """One API group, resource and verb of a rule. `own` is one for the operator's own namespace alone."""

    group: str
    resource: str
    verb: str
    names: tuple[str, ...] = ()
    own: bool = False

    def __str__(self) -> str:
        resource, _, subresource = self.resource.partition("/")
        words = f"{self.verb} {resource}{'.' if self.group else ''}{self.group}"
        return f"{words}/{subresource}" if subresource else words

    def covers(self, event: Mapping[str, Any]) -> bool:
        """Whether it allows the request of an audit event of one of the operators."""
        about = event.get("objectRef", {})
        own = event["user"]["username"].split(":")[2]
        return (
            (self.group, self.resource, self.verb) == (about.get("apiGroup", ""), _resource(about), event["verb"])
            and (not self.names or about.get("name") in self.names)
            and (not self.own or about.get("namespace") == own)
        )


@dataclass
class Done:
    """Which rights were used how often, and what was asked for outside of them."""

    used: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: Done) -> None:
        self.used.update(other.used)
        self.faults.update(other.faults)


def rights(documents: Iterable[Mapping[str, Any]] | None = None) -> tuple[Right, ...]:
    """Every right of rbac.yaml, or of these documents."""
    found = yaml.safe_load_all(RBAC.read_text()) if documents is None else documents
    return tuple(
        Right(group, resource, verb, tuple(rule.get("resourceNames", ())), own=document["kind"] == "Role")
        for document in found
        for rule in document.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def done(
    events: Iterable[Mapping[str, Any]], known: Sequence[Right], expected: Sequence[tuple[datetime, datetime]] = ()
) -> Done:
    """What operators did in these audit events. Refusals at the times in `expected` are none of their faults."""
    found = Done()
    for event in events:
        right = next((one for one in known if one.covers(event)), None)
        notes = event.get("annotations", {})  # none where it got no answer before it was asked who may
        refused = notes.get("authorization.k8s.io/decision", "allow") != "allow"
        if refused and _is_within(event, expected):
            continue
        if refused:
            reason = notes.get("authorization.k8s.io/reason") or "no rule allows it"
            found.faults[f"{_words(event)}: refused: {reason}"] += 1
        elif right is not None:
            found.used[str(right)] += 1
        elif not _is_discovery(event):
            found.faults[f"{_words(event)}: allowed, but by no rule of {RBAC.name}"] += 1
    return found


def leave(audit_log: Path, expected: Sequence[tuple[datetime, datetime]]) -> None:
    """Writes what operators did into the run's folder, if there is one."""
    folder = os.environ.get(FOLDER)
    if folder and audit_log.exists():
        found = done(_operators_events(audit_log), rights(), expected)
        if found.used or found.faults:
            left = {"used": found.used, "faults": found.faults}
            (Path(folder) / f"{secrets.token_hex(8)}.json").write_text(json.dumps(left))


def gathered(folder: Path) -> Done:
    """All that was left in a run's folder."""
    found = Done()
    for file in sorted(folder.glob("*.json")):
        left = json.loads(file.read_text())
        found.add(Done(Counter(left["used"]), Counter(left["faults"])))
    return found


def _operators_events(audit_log: Path) -> Iterator[dict[str, Any]]:
    with audit_log.open() as lines:
        for line in lines:
            # Reading all of a log of other people's requests as JSON takes long; a cut last line is none.
            if f':{ACCOUNT}"' in line and line.endswith("\n"):
                event = json.loads(line)
                if event["user"]["username"].endswith(f":{ACCOUNT}"):
                    yield event


def _resource(about: Mapping[str, Any]) -> str:
    return "/".join(part for part in (about.get("resource", ""), about.get("subresource", "")) if part)


def _is_discovery(event: Mapping[str, Any]) -> bool:
    path = str(event["requestURI"]).partition("?")[0]
    return event["verb"] == "get" and "objectRef" not in event and path.startswith(_DISCOVERY)


def _is_within(event: Mapping[str, Any], times: Sequence[tuple[datetime, datetime]]) -> bool:
    moment = datetime.fromisoformat(event["requestReceivedTimestamp"])
    return any(begin <= moment <= end for begin, end in times)


def _words(event: Mapping[str, Any]) -> str:
    return f"{event['verb']} {event['requestURI'].partition('?')[0]} by {event['user']['username']}"
