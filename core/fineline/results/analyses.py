"""Where analyses lie among the results, and the manifest by which others (the operator) know what one says.

analyses/<name>/<digest>/*.arrow, report.html, manifest.json
analyses/<name>/latest.json      points at the newest
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from fineline.errors import ObjectNotFound, ResultError
from fineline.store import Store, StoredObject

MANIFEST_FILE = "manifest.json"
REPORT_FILE = "report.html"
LATEST_FILE = "latest.json"


Model = TypeVar("Model", bound=BaseModel)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunState(_Record):
    """The verdict on one series: its name (run, and branch where there are several), state and deciding fact."""

    run: str
    state: str
    message: str


class AnalysisManifest(_Record):
    """What an analysis is made from and what it says, the worst verdict first.

    `commits_digest` and `commits` are of the commits that were listed at `listed_at`, as `commits_digest` makes it.
    `settings_digest` names horizons, references, and which runs. `left_out` has a sentence for each result that could
    not be read. `files` are the names of all files beside the manifest.
    """

    digest: str
    settings_digest: str
    commits_digest: str
    commits: int
    listed_at: datetime
    files: tuple[str, ...]
    runs: int
    verdicts: tuple[RunState, ...]
    left_out: tuple[str, ...] = ()


class Latest(_Record):
    """The pointer: which folder, and what was asked for by it. The manifest in `folder` has the rest."""

    digest: str
    folder: str
    settings_digest: str
    commits_digest: str

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Self:
        """`ResultError` names what is no pointer."""
        return _read(cls, data, name)


def analysis_folder(name: str) -> str:
    """The folder of an analysis's outcomes and pointer, ending in `/`."""
    return f"analyses/{quote(name, safe='')}/"


def commits_digest(commits: Iterable[StoredObject]) -> str:
    """16 hex digits over the names and etags of commits (`…/metrics.arrow`), in whatever order they come."""
    digest = hashlib.sha256()
    for name, etag in sorted((item.name, item.etag) for item in commits):
        digest.update(f"{name}\n{etag}\n".encode())
    return digest.hexdigest()[:16]


def settings_digest(
    runs: Iterable[str], families: Iterable[str], horizons: Iterable[tuple[str, float]], references: Iterable[str]
) -> str:
    """16 hex digits over what an analysis is asked for; no runs and no families mean all of them."""
    asked = [
        sorted(runs),
        sorted(families),
        sorted((run, float(tokens)) for run, tokens in horizons),
        sorted(references),
    ]
    return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).hexdigest()[:16]


def read_latest(store: Store, name: str) -> AnalysisManifest | None:
    """The newest analysis of that name; None where there is none. `ResultError` names a broken pointer or manifest."""
    folder = analysis_folder(name)
    if store.head(folder + LATEST_FILE) is None:
        return None
    try:
        latest = Latest.from_json(store.get(folder + LATEST_FILE), f"{store.uri}{folder}{LATEST_FILE}")
        place = latest.folder + MANIFEST_FILE
        return _read(AnalysisManifest, store.get(place), store.uri + place)
    except ObjectNotFound as error:
        raise ResultError(f"{error}: {store.uri}{folder}{LATEST_FILE} points there") from None


def _read(model: type[Model], data: bytes, name: str) -> Model:
    try:
        return model.model_validate_json(data)
    except ValidationError:
        raise ResultError(f"{name}: not an analysis's (truncated, or another program's)") from None
