"""What the pages advise a cluster's owner to do can be done, and does no harm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from support.pages import PAGES, REPOSITORY, fences

DOCS = REPOSITORY / "docs"


def sections(page: Path) -> dict[str, str]:
    """The text under each heading of the second level."""
    parts = re.split(r"^## (.+)\n", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_nobody_is_told_to_install_a_package_that_is_not_published(page: Path) -> None:
    """Whoever registers its name would run code on the reader's machine."""
    assert re.findall(r"pip install .*\bfineline\b.*", page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_logs_are_those_of_every_replica(page: Path) -> None:
    """`kubectl logs deployment/…` shows one of two, most often the one that waits."""
    assert "logs deployment/" not in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_metrics_are_asked_by_a_way_that_the_network_policy_leaves_open(page: Path) -> None:
    assert "/proxy/metrics" not in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_an_option_of_helm_4_is_called_one(page: Path) -> None:
    """Kubectl has one of this name too."""
    for line in page.read_text().splitlines():
        assert "--force-conflicts" not in line or "kubectl apply" in line or "Helm 4" in line


@pytest.mark.parametrize("section", ["EKS with IRSA", "EKS with Pod Identity", "GKE, reading and writing S3"])
def test_a_policy_is_made_before_it_is_attached(section: str) -> None:
    text = sections(DOCS / "clouds.md")[section].replace("$name", "operator").replace("\\\n", " ")
    made = [(found.start(), found[1]) for found in re.finditer(r"create-policy --policy-name ([\w-]+)", text)]
    attached = [(found.start(), found[1]) for found in re.finditer(r":policy/([\w-]+)", text)]
    assert attached
    for place, name in attached:
        assert any(before < place and made_name == name for before, made_name in made), name


def test_namespaces_are_made_in_one_place_with_their_pod_security() -> None:
    assert "create namespace" not in (DOCS / "clouds.md").read_text()
    install = (DOCS / "install.md").read_text()
    for namespace in re.findall(r"kubectl create namespace (\S+)", install):
        assert f"kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=restricted" in install


def test_a_proxy_is_told_to_everything_that_reaches_a_store() -> None:
    (values,) = (
        yaml.safe_load(fence.text)
        for fence in fences("yaml")
        if fence.page.name == "air-gapped.md" and "HTTPS_PROXY" in fence.text
    )
    told = [
        values["extraEnv"],
        *(values[program]["template"]["spec"]["containers"][0]["env"] for program in ("evaluator", "analysis")),
    ]
    for variables in told:
        named = {one["name"]: one["value"] for one in variables}
        assert named["HTTPS_PROXY"] == "http://proxy.internal:3128"
        # Ranges are nothing to the S3 client.
        assert {"minio.internal", "10.0.7.9"} <= set(named["NO_PROXY"].split(","))


@pytest.mark.parametrize("page", ["README.md", "docs/operator.md", "charts/fineline/README.md"])
def test_who_is_told_of_no_right_on_secrets_is_told_what_that_is_worth(page: str) -> None:
    (paragraph,) = (text for text in (REPOSITORY / page).read_text().split("\n\n") if "no right on Secrets" in text)
    assert "install.md#what-it-may-do" in paragraph
    told = sections(DOCS / "install.md")["What it may do"]
    assert "who may create Jobs can mount any Secret of their namespace" in " ".join(told.split())


def test_a_load_balancer_asks_where_the_webhook_answers_without_a_token() -> None:
    text = sections(DOCS / "events.md")["The webhook"]
    assert "alb.ingress.kubernetes.io/healthcheck-path: /healthz" in text
    assert "requestPath: /healthz, port: 8443" in text


def test_how_to_upgrade_and_to_uninstall_is_told_once() -> None:
    operator = (DOCS / "operator.md").read_text()
    assert "(install.md#upgrade)" in operator
    for told in ("Upgrade", "Roll back", "Uninstall"):
        assert told in sections(DOCS / "install.md")
        assert told not in sections(DOCS / "operator.md")
