"""Carries an analysis out: reads the results of a store, analyses them, writes tables, report and manifest.

What lies in the folder that its digest names is a function of the inputs, and no time, so that a program that was
ended while it wrote is followed by one that writes the same bytes. The pointer to it is written last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fineline.errors import ResultError, SpecError
from fineline.results.analyses import (
    LONGEST_NAME,
    LONGEST_TEXT,
    MANIFEST_FILE,
    MOST_LEFT_OUT,
    MOST_VERDICTS,
    REPORT_FILE,
    AnalysisManifest,
    Latest,
    RunState,
    analysis_folder,
    point_at,
    read_pointed,
    read_pointer,
    settings_digest,
    severity,
)
from fineline.results.reading import Metrics, read_metrics
from fineline.store import Store, open_store, uri_of
from fineline_analysis.analyse import Analysis, analyse, with_report
from fineline_analysis.metrics import Notice
from fineline_analysis.report import render
from fineline_analysis.settings import Settings
from fineline_analysis.tables import TABLES_VERSION, decode, encode_all
from fineline_analysis.verdicts import from_table

REPORT = REPORT_FILE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: which runs (none named, and no family, are all), to which horizons, against what."""

    runs: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    horizons: Mapping[str, float] = dataclasses.field(default_factory=dict)
    references: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return settings_digest(self.runs, self.families, self.horizons.items(), self.references)


def analyse_store(
    results: str,
    output: str | Path,
    *,
    runs: Sequence[str] | None = None,
    families: Sequence[str] | None = None,
    horizons: Mapping[str, float] | None = None,
    references: Sequence[str] = (),
    name: str | None = None,
    settings: Settings | None = None,
    compact: bool = False,
    may_wait: bool = False,
) -> Analysis:
    """Analyses the results at a URI (or folder) and writes the outcome to `output`, a URI or a folder.

    With a `name` the output is laid out as results are: `analyses/<name>/<digest>/…`, and `latest.json` points there.
    Without one everything lies directly in `output`. The analysis that is returned knows where its report is. With
    `compact` the results are compacted, so that the next analysis reads what is new. With `may_wait` runs that have no
    results yet make an analysis of nothing, for somebody who looks again when there are some.
    Raises SpecError where there is nothing to analyse, ResultError where nothing can be read, StoreError where a store
    can't be read or written.
    """
    settings = settings or Settings(horizons=dict(horizons or {}))
    request = Request(tuple(runs or ()), tuple(families or ()), settings.horizons, tuple(references))
    place = open_store(uri_of(str(output)))
    before = None if name is None else _pointer(place, name)
    found = read_metrics(open_store(uri_of(results)), runs or None, families=families or None, compact=compact)
    if found.hindrance:
        log.warning("%s", found.hindrance)
    _must_have_rows(found, request, results, may_wait=may_wait)
    notices = (*(Notice("Reading", message) for message in found.notices), *_about(request, found))
    analysis = analyse(found.frame, settings, notices, _digest(settings, request, found))
    return write(analysis, request, found, place, name, before)


def write(
    analysis: Analysis,
    request: Request,
    found: Metrics,
    store: Store,
    name: str | None = None,
    before: Latest | None = None,
) -> Analysis:
    """Writes tables, report and manifest, the manifest last, and with a name the pointer to it after all.

    `before` is what pointed at the newest analysis before the results were listed: one that was published since then,
    and saw newer results, stays the newest.
    """
    folder = "" if name is None else f"{analysis_folder(name)}{analysis.digest}/"
    files = encode_all(analysis.tables) | {REPORT_FILE: render(analysis).encode()}
    for file_name in sorted(files):
        store.put(folder + file_name, files[file_name])
    manifest = _manifest(analysis, request, found, sorted(files))
    store.put(folder + MANIFEST_FILE, manifest.to_json())
    if name is not None:
        latest = Latest(
            digest=analysis.digest,
            folder=folder,
            settings_digest=manifest.settings_digest,
            commits_digest=manifest.commits_digest,
            report=folder + REPORT_FILE,
            written_at=datetime.now(UTC),
        )
        if not point_at(store, name, latest, lambda other: _overtakes(other, before, store, name, manifest)):
            log.warning("an analysis of newer results was published meanwhile: it stays the newest")
    return with_report(analysis, f"{store.uri}{folder}{REPORT_FILE}".removeprefix("file://"))


def _pointer(store: Store, name: str) -> Latest | None:
    """What points at the newest analysis; a broken pointer points at none."""
    try:
        return read_pointer(store, name)
    except ResultError:
        return None


def _overtakes(other: Latest, before: Latest | None, store: Store, name: str, manifest: AnalysisManifest) -> bool:
    """Whether another program of the same settings published meanwhile what it made of newer results."""
    if other == before or other.settings_digest != manifest.settings_digest:
        return False
    try:
        listed_at = read_pointed(store, name, other).listed_at
    except ResultError:
        return False
    return listed_at is not None and (manifest.listed_at is None or listed_at > manifest.listed_at)


def read(output: str | Path) -> Analysis:
    """The analysis that was written to a folder or URI. `SpecError` where none was, `ResultError` for a broken file."""
    store = open_store(uri_of(f"{str(output).rstrip('/')}/"))
    if store.head(MANIFEST_FILE) is None:
        raise SpecError(f"{store.uri}: holds no analysis ({MANIFEST_FILE} is not there)")
    manifest = AnalysisManifest.from_json(store.get(MANIFEST_FILE), store.uri + MANIFEST_FILE)
    names = [name for name in manifest.files if name.endswith(".arrow")]
    tables = {name.removesuffix(".arrow"): decode(store.get(name), store.uri + name) for name in names}
    missing = [name for name in ("verdicts", "notices") if name not in tables]
    if missing:
        raise ResultError(f"{store.uri}{MANIFEST_FILE}: names no table of {' and '.join(missing)}")
    notices = tuple(Notice(code, message) for code, message in tables["notices"].select("code", "message").iter_rows())
    report = f"{store.uri}{REPORT_FILE}".removeprefix("file://")
    settings = Settings.from_values(manifest.settings)
    return Analysis(tables, from_table(tables["verdicts"]), notices, settings, manifest.digest, report)


def _must_have_rows(found: Metrics, request: Request, results: str, *, may_wait: bool) -> None:
    """Nothing at all can be read: an error. Nothing of these runs, while others have results: it may wait for some."""
    if found.frame.height:
        return
    if found.notices and not found.others:
        more = f" (and {len(found.notices) - 1} more)" if len(found.notices) > 1 else ""
        raise ResultError(f"--results: no result at {results} can be read: {found.notices[0]}{more}")
    if may_wait:
        return
    if request.runs:
        raise SpecError(f"--run: there are no results of {', '.join(sorted(set(request.runs)))} at {results}")
    if request.families:
        raise SpecError(f"--family: there are no results of {', '.join(sorted(set(request.families)))} at {results}")
    raise SpecError(f"--results: there are no results at {results}")


def _about(request: Request, found: Metrics) -> list[Notice]:
    """What was asked for and can't be had."""
    notices = []
    if request.runs:
        there = set(found.frame["run"].unique())
        notices += [
            Notice("NoResults", f"there are no results of the run {run}: it takes no part")
            for run in sorted(set(request.runs) - there)
        ]
    if request.families:
        there = {labels.family for labels in found.labels.values()}
        notices += [
            Notice("NoResults", f"there are no results of the family {family}: it takes no part")
            for family in sorted(set(request.families) - there)
        ]
    if request.references:
        named = ", ".join(sorted(set(request.references)))
        notices.append(
            Notice(
                "ReferencesNotUsed",
                f"no analysis judges against references yet: {named} changed nothing of what is said here",
            )
        )
    return notices


def _digest(settings: Settings, request: Request, found: Metrics) -> str:
    """Names the analysis: the commits that were listed for it, what was asked for, and how it is made."""
    inputs = f"{TABLES_VERSION}\n{settings.to_json()}\n{request.digest}\n{found.commits_digest}\n"
    return hashlib.sha256(inputs.encode()).hexdigest()[:16]


def _manifest(analysis: Analysis, request: Request, found: Metrics, files: Sequence[str]) -> AnalysisManifest:
    verdicts = sorted(analysis.verdicts, key=lambda verdict: (severity(verdict.state), verdict.series))
    return AnalysisManifest(
        digest=analysis.digest,
        settings_digest=request.digest,
        commits_digest=found.commits_digest,
        commits=found.commits,
        listed_at=found.newest,
        files=tuple(files),
        runs=len({verdict.run for verdict in verdicts}),
        verdicts=tuple(
            RunState(run=_cut(one.series, LONGEST_NAME), state=one.state, message=_cut(one.facts[0], LONGEST_TEXT))
            for one in verdicts[:MOST_VERDICTS]
        ),
        left_out=tuple(_cut(text, LONGEST_TEXT) for text in found.notices[:MOST_LEFT_OUT]),
        left_out_count=len(found.notices),
        settings=json.loads(analysis.settings.to_json()),
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
