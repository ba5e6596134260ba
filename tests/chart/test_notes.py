"""What Helm prints after an installation: what is missing yet, and what to do next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from chart.helm import CHART, NAMESPACE, RELEASE, SETS, VALUES, render, run
from chart.release import Release
from support.control_plane import ControlPlane


def notes(values: str | Mapping[str, Any]) -> str:
    given = (VALUES / f"{values}.yaml").read_text() if isinstance(values, str) else json.dumps(values)
    options = ("--namespace", NAMESPACE, "--dry-run=client", "--set", "crds.enabled=true", "--values", "-")
    done = run("install", RELEASE, CHART, *options, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def evaluation(told: str) -> str:
    """The CheckpointEval that they give to start from."""
    manifest: str
    (manifest,) = re.findall(r"kubectl apply -f - <<EOF\n(.*?)\n\s*EOF\n", told, re.DOTALL)
    return manifest


def missing(told: str) -> list[str]:
    return re.findall(r"^  - (.*)$", told, re.MULTILINE)


def test_where_all_is_said_nothing_is_missing() -> None:
    told = notes("minimal")
    assert "Fineline 0.1.0 looks after all namespaces." in told
    assert "Missing yet" not in told
    assert missing(told) == []


def test_what_is_missing_is_said_with_what_comes_of_it() -> None:
    told = missing(notes("defaults"))
    assert [line.partition(":")[0] for line in told] == [
        "images.analysis.repository still is the example's",
        "images.evaluator.repository still is the example's",
        "images.operator.repository still is the example's",
        "stores is empty",
        "results is empty",
    ]
    others = missing(notes({"rbac": {"create": False}, "analysis": {"enabled": False}}))
    assert any(line.startswith("rbac.create is false") for line in others)
    assert not any("images.analysis" in line for line in others)
    assert any("webhook.ingress.tlsSecretName is empty" in line for line in missing(notes("ingress")))


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_a_webhook_that_is_open_to_the_outside_is_warned_of(kind: str) -> None:
    webhook = {"enabled": True, "tokenSecretName": "a", "service": {"type": kind}}
    told = notes({"webhook": webhook})
    assert f"webhook.service.type is {kind}: the operator speaks plain HTTP" in told
    assert "networkPolicy.webhookFrom lets in pods of the cluster alone" in told
    assert "what `kubectl get service fineline-webhook --namespace fineline-system` shows" in told
    for quiet in ({"networkPolicy": {"enabled": False}}, {"networkPolicy": {"webhookFrom": [{"podSelector": {}}]}}):
        assert "networkPolicy.webhookFrom lets in" not in notes({"webhook": webhook} | quiet)
    assert "plain HTTP" not in notes("minio")
    assert "plain HTTP" not in notes("everything")


def test_who_may_make_the_evaluation_is_told_as_the_values_have_it() -> None:
    assert "who has the role edit or admin in a namespace may make this there" in notes("defaults")
    told = notes({"rbac": {"aggregate": False}})
    assert "rbac.aggregate is false, so the cluster's own don't" in told
    assert "may make this there" not in told


def test_the_logs_of_every_replica_are_shown() -> None:
    command = re.search(r"kubectl logs --selector (\S+) --prefix", notes("defaults"))
    assert command
    labels = dict(one.split("=") for one in command[1].split(","))
    assert render("defaults").one("Deployment")["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.parametrize(
    ("looks_after", "allowed", "namespace"),
    [
        ([], ["research"], "research"),
        ([], ["*"], "evals"),
        ([], ["research", "evals"], "evals"),
        (["evals", "research"], ["research"], "research"),
        (["team", "research"], ["*"], "team"),
    ],
)
def test_the_evaluation_is_in_a_namespace_that_may_name_its_store(
    looks_after: list[str], allowed: list[str], namespace: str
) -> None:
    values = {"namespaces": looks_after, "stores": [{"prefix": "s3://a/", "namespaces": allowed}]}
    assert yaml.safe_load(evaluation(notes(values)))["metadata"]["namespace"] == namespace


def test_secrets_that_must_be_there_are_named() -> None:
    assert "fineline-evals, fineline-pretrain, fineline-queue, fineline-token, registry" in notes("everything")
    assert "Secret" not in notes("defaults").partition("1. See")[0]


def test_the_address_of_the_webhook_is_told() -> None:
    assert "https://events.example.org/" in notes("everything")
    assert "http://fineline-webhook.fineline-system.svc:443/" in notes("webhook")
    assert "Stores tell of uploads" not in notes("defaults")


def test_where_the_dashboard_is_is_told() -> None:
    assert 'The dashboard "Fineline" is in the ConfigMap fineline-dashboard' in notes("monitoring")
    assert "monitoring.dashboard.enabled" in notes("defaults")


@pytest.mark.parametrize("name", SETS)
def test_the_evaluation_to_start_with_fits_the_values(name: str) -> None:
    values = yaml.safe_load((VALUES / f"{name}.yaml").read_text())
    found = yaml.safe_load(evaluation(notes(name)))
    assert found["metadata"]["namespace"] == values.get("namespaces", ["evals"])[0]
    assert ("results" in found["spec"]) == ("results" not in values)
    account = values.get("workloads", [{}])[0].get("serviceAccountName")
    assert found["spec"]["pods"] == ({"serviceAccountName": account} if account else {"secretName": "s3-credentials"})
    for store in values.get("stores", ())[:1]:
        assert found["spec"]["checkpoints"]["uri"] == f"{store['prefix']}my-run/"


def test_it_is_taken_by_the_api_server(plane: ControlPlane, release: Release) -> None:
    release.install("minimal")
    for name in ("defaults", "minimal", "eks", "file-store"):
        told = plane.apply(evaluation(notes(name)), "--dry-run=server")
        assert "checkpointeval.fineline.dev/first serverside-applied" in told
