"""Where analyses lie among the results, and the manifest by which others (the operator) know what one says.

analyses/<name>/<digest>/*.arrow, report.html, manifest.json
analyses/<name>/latest.json      points at the newest
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Self, TypeVar
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from fineline.errors import ObjectNotFound, ResultError, StoreUnavailable
from fineline.results.layout import UNITS, is_commit, run_folder
from fineline.store import Store, StoredObject
from fineline.store.names import is_safe_name

MANIFEST_FILE = "manifest.json"
REPORT_FILE = "report.html"
LATEST_FILE = "latest.json"

WORST_FIRST = (
    "unstable", "regressing", "plateaued", "slowing", "cannot say", "too early to tell", "improving",
)  # fmt: skip
"""Every state of a verdict; the first calls for a person most."""

MOST_BYTES = 16 * 1024 * 1024
"""No pointer and no manifest is larger; what is was written by somebody else."""

MOST_VERDICTS = 2000
MOST_LEFT_OUT = 100
LONGEST_NAME = 256
LONGEST_TEXT = 1024
"""What a manifest is bounded by, in entries and characters: all of these together are within MOST_BYTES, and all there
is stands in the tables beside it."""

_MOST_TRIES = 50
"""Each that fails is another program's success."""

Model = TypeVar("Model", bound=BaseModel)
Count = Annotated[int, Field(ge=0, le=10**12)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunState(_Record):
    """The verdict on one series: its name (run, and branch where there are several), state and deciding fact."""

    run: str
    state: str
    message: str


class AnalysisManifest(_Record):
    """What an analysis is made from and what it says, the worst verdict first.

    `commits_digest` is of the commits that were listed for it (of the named runs, else of all), as `commits_digest`
    makes it; `commits` counts those that it is made from, without those that were left out: none where its runs have
    no results yet. `listed_at` is when the newest that was listed was written, by the store's clock: no time of the
    analysis itself, for the same inputs make the same bytes. `settings_digest` names horizons, references, and which
    runs. `verdicts` are the first MOST_VERDICTS of all. `left_out` has a sentence for each of the first MOST_LEFT_OUT
    results that could not be read, and `left_out_count` counts all. `files` are the names of all files beside the
    manifest. `settings` are the analysis's own, in clear.
    """

    digest: str
    settings_digest: str
    commits_digest: str
    commits: Count
    listed_at: AwareDatetime | None
    files: tuple[str, ...]
    runs: Count
    verdicts: tuple[RunState, ...]
    left_out: tuple[str, ...] = ()
    left_out_count: Count = 0
    settings: dict[str, JsonValue] = Field(default_factory=dict)

    def to_json(self) -> bytes:
        """The manifest as it is stored: the same for the same values."""
        return _json(self)

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Self:
        """`ResultError` names what is no manifest."""
        return _read(cls, data, name)


class Latest(_Record):
    """The pointer: which folder, and what was asked for by it. The manifest in `folder` has the rest.

    `report` is the report's name in the store; `written_at` when the analysis was done.
    """

    digest: str
    folder: str
    settings_digest: str
    commits_digest: str
    report: str = ""
    written_at: AwareDatetime | None = None

    def to_json(self) -> bytes:
        """The pointer as it is stored."""
        return _json(self)

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Self:
        """`ResultError` names what is no pointer."""
        return _read(cls, data, name)


def analysis_folder(name: str) -> str:
    """The folder of an analysis's outcomes and pointer, ending in `/`."""
    return f"analyses/{quote(name, safe='')}/"


def severity(state: str) -> int:
    """The place of a state in `WORST_FIRST`: 0 is the worst. One that is not known comes after all others."""
    return WORST_FIRST.index(state) if state in WORST_FIRST else len(WORST_FIRST)


def listed_commits(store: Store, runs: Sequence[str] = ()) -> Iterator[StoredObject]:
    """The commits (`…/metrics.arrow`) of these runs, or of all where none is named, as a listing has them now.

    Which family a run is of is not in its name: an analysis of families lists all, and so does whoever compares its
    `commits_digest` with it.
    """
    for prefix in sorted({run_folder(run) for run in runs}) or [UNITS]:
        for item in store.list(prefix):
            if is_commit(item.name):
                yield item


class CommitsDigest:
    """Takes commits one by one, in any order, and keeps none of them: of any number it is the same few bytes.

    `newest` is when the newest of them was written, by the store's clock.
    """

    def __init__(self) -> None:
        self.count = 0
        self.newest: datetime | None = None
        self._sum = 0

    def add(self, commit: StoredObject) -> None:
        """One more commit; each counts, so none may be given twice."""
        # A sum knows no order: a store that lists in another one gives the same digest.
        self._sum += int.from_bytes(hashlib.sha256(f"{commit.name}\n{commit.etag}".encode()).digest())
        self.count += 1
        self._written(commit.modified)

    def include(self, other: CommitsDigest) -> None:
        """All that the other one took, none of which may have been given here."""
        self._sum += other._sum
        self.count += other.count
        if other.newest is not None:
            self._written(other.newest)

    def hexdigest(self) -> str:
        """16 hex digits over the names and etags so far."""
        total = self._sum % (1 << 256)
        return hashlib.sha256(f"{self.count}/{total:064x}".encode()).hexdigest()[:16]

    def _written(self, at: datetime) -> None:
        self.newest = at if self.newest is None else max(self.newest, at)


def commits_digest(commits: Iterable[StoredObject]) -> str:
    """16 hex digits over the names and etags of commits (`…/metrics.arrow`), in whatever order they come."""
    digest = CommitsDigest()
    for commit in commits:
        digest.add(commit)
    return digest.hexdigest()


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
    pointer = read_pointer(store, name)
    return read_pointed(store, name, pointer) if pointer is not None else None


def read_pointer(store: Store, name: str) -> Latest | None:
    """What points at the newest analysis of that name; None where nothing does. `ResultError` where it is broken."""
    place = analysis_folder(name) + LATEST_FILE
    data = _bytes(store, place)
    return Latest.from_json(data, store.uri + place) if data is not None else None


def point_at(store: Store, name: str, latest: Latest, stays: Callable[[Latest], bool]) -> bool:
    """Makes this the newest analysis of that name; False where another one is, and `stays`.

    Nothing is overwritten that `stays` was not asked about, whoever writes meanwhile (`Store.put_if_unchanged` says on
    which stores); but for what is no pointer.
    """
    place = analysis_folder(name) + LATEST_FILE
    for _ in range(_MOST_TRIES):
        # Its etag first: where another one is read than it is of, nothing is written.
        found = store.head(place)
        if found is None:
            if store.put_if_absent(place, latest.to_json()):
                return True
            continue
        try:
            there = read_pointer(store, name)
        except ResultError:
            there = None
        if there is not None and stays(there):
            return False
        if store.put_if_unchanged(place, latest.to_json(), found.etag):
            return True
    raise StoreUnavailable(f"{store.uri}{place}: other analyses were in the way each time. Try again later.")


def read_pointed(store: Store, name: str, pointer: Latest) -> AnalysisManifest:
    """The analysis of that name that a pointer points at. `ResultError` where it is broken, or not there."""
    found = read_in(store, name, pointer.folder)
    if found is None:
        raise ResultError(
            f"{store.uri}{analysis_folder(name)}{LATEST_FILE}: points at {pointer.folder[:200]}, where there is no "
            f"{MANIFEST_FILE}"
        )
    return found


def read_in(store: Store, name: str, folder: str) -> AnalysisManifest | None:
    """The analysis in a folder (ending in `/`) of those of that name; None where none is, or elsewhere. `ResultError`
    where it is broken."""
    place = folder + MANIFEST_FILE
    # Whoever may write there must not make its readers look elsewhere.
    manifest = _bytes(store, place) if folder.startswith(analysis_folder(name)) and is_safe_name(place) else None
    return AnalysisManifest.from_json(manifest, store.uri + place) if manifest is not None else None


def _bytes(store: Store, name: str) -> bytes | None:
    """The whole object; None where there is none."""
    found = store.head(name)
    if found is None:
        return None
    if found.size > MOST_BYTES:
        raise ResultError(f"{store.uri}{name}: has {found.size:,} bytes, which no analysis's has")
    try:
        return store.get(name)
    except ObjectNotFound:
        return None


def _json(record: _Record) -> bytes:
    return (json.dumps(record.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _read(model: type[Model], data: bytes, name: str) -> Model:
    try:
        return model.model_validate_json(data)
    except ValidationError:
        raise ResultError(f"{name}: not an analysis's (truncated, or another program's)") from None
