"""Each image's lock holds what its extra asks for, nothing else, by hash, and says nothing of where it was made."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
EXTRAS = ("operator", "analysis", "evaluator", "evaluator-cpu")
TESTED = ("operator", "analysis", "evaluator-cpu")
"""Whose versions are those that the tests of this repository ran with. vLLM for GPUs pins others."""

each_extra = pytest.mark.parametrize("extra", EXTRAS)


@dataclass(frozen=True)
class Entry:
    """A version in a lock; `required_by` are packages, or files with requirements."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    required_by: frozenset[str]


def read_lock(name: str) -> list[Entry]:
    text = (REPOSITORY / f"locks/{name}.txt").read_text(encoding="utf-8")
    entries = []
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        head = re.match(r"(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?: ; (?P<marker>.*?))? \\\n", block)
        assert head, f"locks/{name}.txt: no entry by version and hash: {block.splitlines()[0]}"
        comment = block[block.index("# via") :].removeprefix("# via")
        required_by = {line.strip(" #") for line in comment.splitlines()} - {""}
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
        entries.append(Entry(head["name"], head["version"], head["marker"] or "", hashes, frozenset(required_by)))
    return entries


def requirements_of(extra: str) -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"][extra]]


def left_out(extra: str) -> set[str]:
    """What the override of a lock keeps out of every system."""
    file = REPOSITORY / f"locks/{extra}.override"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {line.split(" ;")[0] for line in lines if line.endswith("sys_platform == 'never'")}


@each_extra
def test_a_lock_holds_each_requirement_of_its_extra_at_a_version_that_fits(extra: str) -> None:
    entries = read_lock(extra)
    for requirement in requirements_of(extra):
        found = [entry for entry in entries if entry.name == canonicalize_name(requirement.name)]
        assert found, f"{requirement} is not in locks/{extra}.txt: make lock"
        assert all(requirement.specifier.contains(entry.version) for entry in found), (requirement, found)


@each_extra
def test_a_lock_holds_nothing_that_its_extra_does_not_lead_to(extra: str) -> None:
    entries = read_lock(extra)
    reached: set[str] = {canonicalize_name(requirement.name) for requirement in requirements_of(extra)}
    required_by: dict[str, set[str]] = {}
    for entry in entries:
        required_by.setdefault(entry.name, set()).update(entry.required_by)
    while more := {name for name, by in required_by.items() if name not in reached and by & reached}:
        reached |= more
    assert sorted(set(required_by) - reached) == []


@each_extra
def test_each_entry_of_a_lock_is_known_by_its_hashes(extra: str) -> None:
    assert [entry.name for entry in read_lock(extra) if not entry.hashes] == []


@each_extra
def test_what_an_override_leaves_out_is_in_no_image(extra: str) -> None:
    never = left_out(extra)
    present = {entry.name for entry in read_lock(extra) if "sys_platform == 'never'" not in entry.marker}
    assert never & present == set()


@pytest.mark.parametrize("extra", TESTED)
def test_images_hold_the_versions_that_the_tests_run_with(extra: str) -> None:
    tested = {(entry.name, entry.version) for entry in read_lock("dev")}
    shipped = {(entry.name, entry.version) for entry in read_lock(extra) if "'never'" not in entry.marker}
    assert sorted(shipped - tested) == []


@pytest.mark.parametrize("name", [*EXTRAS, "build", "dev"])
def test_a_lock_names_no_index_and_no_file(name: str) -> None:
    text = (REPOSITORY / f"locks/{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|file:|@", text)


def test_what_builds_the_wheel_in_an_image_is_what_pyproject_asks_for() -> None:
    asked = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    versions = {entry.name: entry.version for entry in read_lock("build")}
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(versions[requirement.name])
