"""A release of the chart on a real API server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chart.helm import CHART, RELEASE, VALUES, on
from support.control_plane import ControlPlane


@dataclass(frozen=True)
class Release:
    """The release `fineline` in `fineline-system`. Each call returns what Helm printed, or fails with it."""

    plane: ControlPlane

    def install(self, values: str | Mapping[str, Any], *options: str, chart: Path = CHART) -> str:
        return self._with_values("install", values, *options, chart=chart)

    def upgrade(self, values: str | Mapping[str, Any], *options: str, chart: Path = CHART) -> str:
        return self._with_values("upgrade", values, *options, chart=chart)

    def rollback(self, revision: int) -> str:
        return self._helm("rollback", RELEASE, str(revision))

    def test(self) -> str:
        """Without a kubelet its pod never ends, so that it isn't waited for."""
        return self._helm("test", RELEASE, "--timeout", "1s")

    def uninstall(self) -> str:
        return self._helm("uninstall", RELEASE, "--ignore-not-found")

    def objects(self) -> list[dict[str, Any]]:
        """What the release's manifest names, as it is on the API server now."""
        return there(self.plane, self.manifest())

    def manifest(self) -> str:
        return self._helm("get", "manifest", RELEASE)

    def _with_values(self, verb: str, values: str | Mapping[str, Any], *options: str, chart: Path) -> str:
        given = (VALUES / f"{values}.yaml").read_text() if isinstance(values, str) else json.dumps(values)
        # The API server judges by itself; for Helm to do it before takes longer than all the rest.
        options = (*options, "--disable-openapi-validation")
        return self._helm(verb, RELEASE, str(chart), "--values", "-", *options, given=given)

    def _helm(self, *arguments: str, given: str | None = None) -> str:
        return on(self.plane.kubeconfig, *arguments, given=given)


def there(plane: ControlPlane, manifest: str) -> list[dict[str, Any]]:
    """Which of a manifest's objects exist, as they are now."""
    told = plane.kubectl("get", "-f", "-", "-o", "json", "--ignore-not-found", given=manifest)
    found = json.loads(told) if told else {"items": []}
    # kubectl makes no list of a single one.
    objects: list[dict[str, Any]] = found.get("items", [found])
    return objects
