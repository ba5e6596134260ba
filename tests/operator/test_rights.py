"""The operator's rights: what rbac.yaml gives, that no more is asked for, and that the tests' run would tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import rights
from support.control_plane import REPOSITORY, ControlPlane
from support.lab import Lab, operator_settings
from support.operator import install_operator, start_operator
from support.rights import Right, done
from support.rights_check import verdict
from support.versitygw import S3Server

HOME = "fineline-system"
USER = f"system:serviceaccount:{HOME}:{rights.ACCOUNT}"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

# Whoever gives the operator a right says so twice.
GIVEN = {
    "get checkpointevals.fineline.dev",
    "list checkpointevals.fineline.dev",
    "watch checkpointevals.fineline.dev",
    "create checkpointevals.fineline.dev",
    "delete checkpointevals.fineline.dev",
    "patch checkpointevals.fineline.dev/status",
    "get checkpointsources.fineline.dev",
    "list checkpointsources.fineline.dev",
    "watch checkpointsources.fineline.dev",
    "patch checkpointsources.fineline.dev",
    "patch checkpointsources.fineline.dev/status",
    "get trajectoryanalyses.fineline.dev",
    "list trajectoryanalyses.fineline.dev",
    "watch trajectoryanalyses.fineline.dev",
    "patch trajectoryanalyses.fineline.dev/status",
    "get jobs.batch",
    "list jobs.batch",
    "watch jobs.batch",
    "create jobs.batch",
    "patch jobs.batch",
    "delete jobs.batch",
    "get configmaps",
    "create configmaps",
    "list pods",
    "get namespaces",
    "create events",
    "list workloads.kueue.x-k8s.io",
    "patch workloads.kueue.x-k8s.io",
    "get localqueues.kueue.x-k8s.io",
    "get leases.coordination.k8s.io",
    "create leases.coordination.k8s.io",
    "update leases.coordination.k8s.io",
}


def event(verb: str, resource: str, *, group: str = "", namespace: str = "evals", **further: Any) -> dict[str, Any]:
    """A line of the audit log, as the API server writes it."""
    name, _, subresource = resource.partition("/")
    about = {"apiGroup": group, "resource": name, "subresource": subresource, "namespace": namespace, **further}
    return {
        "verb": verb,
        "user": {"username": USER},
        "requestURI": f"/some/{resource}?limit=500",
        "objectRef": {key: value for key, value in about.items() if value},
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        "requestReceivedTimestamp": NOW.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }


def refused(line: dict[str, Any]) -> dict[str, Any]:
    return line | {"annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""}}


def test_rbac_gives_exactly_these_rights() -> None:
    assert Counter(str(right) for right in rights.rights()) == Counter(GIVEN)


def test_rbac_gives_no_wildcard_and_nothing_to_anybody_else() -> None:
    for document in yaml.safe_load_all(rights.RBAC.read_text()):
        for rule in document.get("rules", ()):
            assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
            assert not any("*" in word for words in rule.values() for word in words)
            assert not {"secrets", "pods/exec", "serviceaccounts/token"} & set(rule["resources"])
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
        for subject in document.get("subjects", ()):
            assert (subject["kind"], subject["name"]) == ("ServiceAccount", rights.ACCOUNT)


def test_the_lease_is_the_operators_own_alone() -> None:
    known = rights.rights()
    lease = event("get", "leases", group="coordination.k8s.io", namespace=HOME, name=rights.ACCOUNT)
    others = [
        event("get", "leases", group="coordination.k8s.io", namespace=HOME, name="another"),
        event("get", "leases", group="coordination.k8s.io", namespace="evals", name=rights.ACCOUNT),
    ]
    assert not done([lease], known).faults
    assert done(others, known).faults.total() == 2


@pytest.mark.parametrize(
    "line",
    [
        event("get", "secrets"),
        event("patch", "checkpointevals", group="fineline.dev"),
        event("delete", "configmaps"),
        event("deletecollection", "jobs", group="batch"),
        event("list", "jobs", group="extensions"),
        event("create", "pods/eviction"),
        event("get", "pods"),
    ],
    ids=lambda line: f"{line['verb']} {line['objectRef']['resource']}",
)
def test_a_request_outside_of_the_rules_is_a_fault_even_if_somebody_allowed_it(line: dict[str, Any]) -> None:
    found = done([line], rights.rights())
    assert (found.used.total(), found.faults.total()) == (0, 1)
    assert verdict(found, [], "part of it")[0]


def test_a_refused_request_is_a_fault_unless_a_test_expects_it() -> None:
    line = refused(event("list", "jobs", group="batch"))
    second = timedelta(seconds=1)

    assert done([line], rights.rights()).faults.total() == 1
    assert done([line], rights.rights(), [(NOW + second, NOW + 2 * second)]).faults.total() == 1
    assert done([line], rights.rights(), [(NOW - second, NOW + second)]).faults.total() == 0


def test_what_every_service_account_may_read_is_no_fault() -> None:
    discovery = event("get", "") | {"requestURI": "/apis/fineline.dev/v1alpha1?timeout=32s"}
    del discovery["objectRef"]
    logs = discovery | {"requestURI": "/logs/"}

    assert not done([discovery], rights.rights()).faults
    assert done([logs], rights.rights()).faults


def test_an_unused_right_fails_a_whole_run_alone() -> None:
    rule = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}
    known = rights.rights([{"kind": "ClusterRole", "rules": [rule]}])
    assert known == tuple(Right("", name, verb) for name in ("pods", "pods/log") for verb in ("get", "list"))
    names = [str(right) for right in known]
    used = done([event("get", "pods"), event("list", "pods"), event("get", "pods/log")], known)

    failed, lines = verdict(used, names, "")
    assert failed
    assert "  not used: list pods/log" in lines
    assert not verdict(used, names, "one file alone")[0]
    assert not verdict(used, names[:3], "")[0]


def test_a_run_of_tests_fails_by_a_request_outside_of_the_rules(tmp_path: Path) -> None:
    environment = {**os.environ, rights.FOLDER: str(tmp_path)}
    (tmp_path / "of-a-plane.json").write_text('{"used": {"list pods": 3}, "faults": {"get secrets by somebody": 2}}')

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/operator/test_logs.py"],
        cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "2 x get secrets by somebody" in run.stdout
    assert "not all of tests/operator was asked for" in run.stdout


def test_a_control_plane_leaves_what_its_operators_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv(rights.FOLDER, str(folder))
    people = event("get", "secrets") | {"user": {"username": "admin"}}
    audit_log = tmp_path / "audit.log"
    lines = [event("list", "pods"), people, refused(event("get", "secrets")), event("list", "pods")]
    audit_log.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"user": "cut:fineline-operator"')

    rights.leave(audit_log, [])
    rights.leave(audit_log, [])

    left = rights.gathered(folder)
    assert left.used == {"list pods": 4}
    assert left.faults.total() == 2


def test_an_operator_of_two_namespaces_asks_nowhere_else(
    own_plane: ControlPlane, versitygw: S3Server, s3_prefix: str, tmp_path: Path
) -> None:
    home, first, second, other = (own_plane.make_namespace() for _ in range(4))
    labs = {name: Lab(own_plane, name, f"{s3_prefix}{name}/", tmp_path / name) for name in (first, second, other)}
    for lab in labs.values():
        lab.add_checkpoints(1000)
        lab.apply()
    kubeconfig = install_operator(own_plane, home, watched=[first, second])
    settings = operator_settings(versitygw, s3_prefix, tmp_path, namespaces=[first, second])

    with start_operator(tmp_path / "operator", kubeconfig, settings=settings):
        for name in (first, second):
            labs[name].work()
            labs[name].wait("Succeeded", "True")

    user = f"system:serviceaccount:{home}:{rights.ACCOUNT}"
    asked = {request["objectRef"].get("namespace") for request in own_plane.requests(user) if "objectRef" in request}
    assert asked == {home, first, second}
    assert "status" not in labs[other].get()
    assert not done(own_plane.requests(user), rights.rights()).faults
    for namespace in (home, first, second, other):
        own_plane.delete_namespace(namespace)
