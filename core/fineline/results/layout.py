"""Where a unit's files lie under the results URI: Hive-style folders, so that polars, DuckDB and pandas read them.

    units/run=<run>/branch=<branch>/step=<12 digits>/task=<task>/key=<16 hex>/

Values are percent-encoded, so no name can leave its folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

UNITS = "units/"
COMPACTED = "tables/metrics/"
"""Metrics of many commits in one file, a folder a run: see `compacted`."""

METRICS_FILE = "metrics.arrow"
SAMPLES_FILE = "samples.arrow"
FAILED_FILE = "failed.json"
_ATTEMPT = re.compile(r"attempt-(\d{1,4})\.json")
_FOLDER = re.compile(
    r"units/run=(?P<run>[^/]+)/branch=(?P<branch>[^/]+)/step=(?P<step>\d{12})/task=(?P<task>[^/]+)/key=(?P<key>[0-9a-f]{16})/"
)


@dataclass(frozen=True, slots=True, order=True)
class UnitAddress:
    """One unit's place among the results. `key` is the digest of all that its numbers depend on."""

    run: str
    branch: str
    step: int
    task: str
    key: str

    @property
    def checkpoint_name(self) -> str:
        """The checkpoint, as messages call it."""
        return checkpoint_name(self.branch, self.step)

    @property
    def folder(self) -> str:
        return f"{checkpoint_folder(self.run, self.branch, self.step)}task={_encoded(self.task)}/key={self.key}/"

    @property
    def metrics(self) -> str:
        """The commit: the unit has a result when this object exists."""
        return self.folder + METRICS_FILE

    @property
    def samples(self) -> str:
        return self.folder + SAMPLES_FILE

    @property
    def failed(self) -> str:
        return self.folder + FAILED_FILE

    def attempt(self, number: int) -> str:
        """The record of try `number`, counted from 1."""
        return f"{self.folder}attempt-{number}.json"


def checkpoint_name(branch: str, step: int) -> str:
    return f"step {step}" if branch == "main" else f"{branch}, step {step}"


def run_folder(run: str) -> str:
    return f"{UNITS}run={_encoded(run)}/"


def checkpoint_folder(run: str, branch: str, step: int) -> str:
    return f"{run_folder(run)}branch={_encoded(branch)}/step={step:012d}/"


def documents_name(task: str, digest: str) -> str:
    """Where the documents of a task lie, once for all checkpoints; `digest` is of their content."""
    return f"docs/task={_encoded(task)}/{digest[:16]}.arrow"


def parse(name: str) -> tuple[UnitAddress, str] | None:
    """The unit that an object's name belongs to and the file's name in it; None for a name that is no unit's."""
    match = _FOLDER.match(name)
    if match is None:
        return None
    file_name = name[match.end() :]
    if not file_name or "/" in file_name:
        return None
    values = {field: unquote(match[field]) for field in ("run", "branch", "task")}
    return UnitAddress(step=int(match["step"]), key=match["key"], **values), file_name


def is_commit(name: str) -> bool:
    """Whether an object is a unit's commit, `…/metrics.arrow`.

    >>> is_commit(UnitAddress("tiny", "main", 1000, "piqa", "0123456789abcdef").metrics)
    True
    """
    # The end is looked at first: it is quick, and half of what lies among units is samples.
    return name.endswith(f"/{METRICS_FILE}") and _FOLDER.fullmatch(name, 0, len(name) - len(METRICS_FILE)) is not None


def attempt_number(file_name: str) -> int | None:
    """The number of the try that a file records; None for another file."""
    match = _ATTEMPT.fullmatch(file_name)
    return int(match[1]) if match else None


def _encoded(value: str) -> str:
    return quote(value, safe="")
