"""Helm on the chart: what it renders, as dicts, and what it says where it refuses."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from support.tools import tool_to_test_with

CHART = Path(__file__).parents[2] / "charts" / "fineline"
PREVIOUS = Path(__file__).with_name("previous") / "fineline-0.1.0.tgz"
"""The chart before the one in the tree, as a package: what upgrades come from."""

VALUES = Path(__file__).with_name("values")
SETS = sorted(path.stem for path in VALUES.glob("*.yaml"))
RELEASE, NAMESPACE = "fineline", "fineline-system"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Object = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """The objects of a release."""

    objects: tuple[Object, ...]

    def all(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] == kind]

    def names(self, kind: str) -> list[str]:
        return sorted(one["metadata"]["name"] for one in self.all(kind))

    def one(self, kind: str, name: str | None = None) -> Object:
        (found,) = (one for one in self.all(kind) if name in (None, one["metadata"]["name"]))
        return found

    @property
    def pod(self) -> Object:
        """The pod template of the Deployment."""
        template: Object = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Object:
        (container,) = self.pod["spec"]["containers"]
        return dict(container)

    @property
    def settings_text(self) -> str:
        text: str = self.one("ConfigMap", f"{self.one('Deployment')['metadata']['name']}")["data"]["operator.yaml"]
        return text


@cache
def helm() -> Path:
    """The program; the test is skipped where it can't be had."""
    return tool_to_test_with("helm")


def run(*arguments: str | Path, given: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """`helm ARGUMENTS`, whatever comes of it. Nothing of the user's own Helm is read."""
    own = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HELM_NO_PLUGINS": "1"}
    return subprocess.run(
        [str(helm()), *map(str, arguments)],
        check=False,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        env=own | environment,
    )


def on(kubeconfig: Path, *arguments: str | Path, given: str | None = None) -> str:
    """What `helm ARGUMENTS` prints, in the release's namespace of a cluster; RuntimeError with what it says where it
    fails."""
    # A home of its own: Helm keeps what it found out about the API server there.
    where = ("--namespace", NAMESPACE, "--kubeconfig", kubeconfig)
    done = run(*arguments, *where, given=given, HOME=str(kubeconfig.parent))
    if done.returncode:
        raise RuntimeError(f"helm {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def template(
    values: str | Mapping[str, Any], *options: str, release: str = RELEASE
) -> subprocess.CompletedProcess[str]:
    """`helm template` with a named set of values, or with these."""
    given = (VALUES / f"{values}.yaml").read_text() if isinstance(values, str) else json.dumps(values)
    return run("template", release, CHART, "--namespace", NAMESPACE, "--values", "-", *options, given=given)


def render(values: str | Mapping[str, Any], *, release: str = RELEASE, crds: bool = False) -> Rendered:
    """The objects that come of values; without CRDs, which nothing in the values changes."""
    found = _render(values if isinstance(values, str) else json.dumps(values), release, crds=crds)
    return Rendered(tuple(json.loads(json.dumps(found))))


@cache
def _render(values: str, release: str, *, crds: bool) -> tuple[Object, ...]:
    left_out = () if crds else ("--set", "crds.enabled=false")
    done = template(json.loads(values) if values.startswith("{") else values, *left_out, release=release)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def documents(manifest: str) -> tuple[Object, ...]:
    """The objects of a manifest."""
    return tuple(document for document in yaml.load_all(manifest, _Loader) if document)


def refusal(values: Mapping[str, Any], *options: str) -> str:
    """What Helm says of values that it must not take."""
    done = template(values, *options)
    assert done.returncode != 0, "was taken"
    return done.stderr
