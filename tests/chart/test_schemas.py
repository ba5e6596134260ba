"""The chart and all that it renders, by Helm's own lint and by kubeconform with the schemas of a real API server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chart.helm import CHART, NAMESPACE, SETS, VALUES, run, template
from chart.schemas import LOCATION
from support.control_plane import REPOSITORY


def conform(kubeconform: Path, folder: Path, *files: Path, given: str = "") -> dict[str, Any]:
    """What kubeconform says of files or of its input, strict and without any schema from elsewhere."""
    done = subprocess.run(
        [kubeconform, "-strict", "-schema-location", str(folder / LOCATION), "-output", "json", "-summary", *files],
        check=False,
        input=given,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_there_are_sets_of_values_for_each_way_to_install_it() -> None:
    assert len(SETS) >= 12


@pytest.mark.parametrize("name", SETS)
def test_lint_has_nothing_to_say(name: str) -> None:
    done = run("lint", "--strict", CHART, "--namespace", NAMESPACE, "--values", VALUES / f"{name}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


def test_all_objects_of_all_sets_have_their_kinds_schema(
    kubeconform: Path, schema_folder: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"{name}.yaml" for name in SETS]
    for file in files:
        file.write_text(template(file.stem).stdout)
    told = conform(kubeconform, schema_folder, *files)
    assert told["resources"] == []
    assert told["summary"].pop("valid") > 10 * len(SETS)
    assert told["summary"] == {"invalid": 0, "errors": 0, "skipped": 0}


def test_the_examples_have_their_kinds_schema(kubeconform: Path, schema_folder: Path) -> None:
    files = [
        file
        for file in sorted((REPOSITORY / "examples" / "operator").glob("*.yaml"))
        if "kind: CheckpointEval" in file.read_text() or "kind: CheckpointSource" in file.read_text()
    ]
    told = conform(kubeconform, schema_folder, *files)
    assert (told["resources"], told["summary"]["valid"]) == ([], len(files))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("replicas: 2", "replicas: two"),
        ("automountServiceAccountToken: true", "automountServiceAccountTokens: true"),
        ("maxUnavailable: 1", "maxUnavailable: {}"),
        ("shortNames:", "shortname:"),
    ],
)
def test_an_object_that_is_wrong_would_be_seen(before: str, after: str, kubeconform: Path, schema_folder: Path) -> None:
    rendered = template("defaults").stdout
    assert before in rendered
    assert conform(kubeconform, schema_folder, given=rendered.replace(before, after, 1))["summary"]["invalid"] == 1


def test_the_chart_can_be_a_part_of_another(tmp_path: Path) -> None:
    """Helm then adds `global` to its values."""
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: platform, version: 1.0.0}")
    (tmp_path / "values.yaml").write_text("{global: {region: eu}, fineline: {replicas: 1}}")
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "fineline").symlink_to(CHART)
    done = run("template", "platform", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "name: platform-fineline-operator" in done.stdout


def test_a_package_of_it_is_small_and_whole(tmp_path: Path) -> None:
    assert run("package", CHART, "--destination", tmp_path).returncode == 0
    (package,) = tmp_path.glob("*.tgz")
    # A release is kept in a Secret of at most 1 MiB, with the chart in it.
    assert package.stat().st_size < 200_000
    assert run("template", "fineline", package).stdout == run("template", "fineline", CHART).stdout
