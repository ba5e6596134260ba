"""Carries an analysis out: reads the results of a store, analyses them, writes tables, report and manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from fineline.errors import ResultError, SpecError
from fineline.results.reading import read_metrics
from fineline.store import Store, open_store, uri_of
from fineline_analysis.analyse import Analysis, analyse, with_report
from fineline_analysis.metrics import Notice
from fineline_analysis.report import render
from fineline_analysis.settings import Settings
from fineline_analysis.tables import decode, encode_all
from fineline_analysis.verdicts import from_table

REPORT = "report.html"
MANIFEST = "manifest.json"


def analyse_store(
    results: str,
    output: str | Path,
    *,
    runs: Sequence[str] | None = None,
    horizons: Mapping[str, float] | None = None,
    name: str | None = None,
    settings: Settings | None = None,
) -> Analysis:
    """Analyses the results at a URI (or folder) and writes the outcome to `output`, a URI or a folder.

    With a `name` the output is laid out as results are: `analyses/<name>/<digest>/…`, and `latest.json` points there.
    Without one everything lies directly in `output`. The analysis that is returned knows where its report is.
    Raises SpecError for a run that has no results, StoreError where a store can't be read or written.
    """
    found = read_metrics(open_store(uri_of(results)), runs)
    missing = sorted(set(runs or ()) - set(found.frame["run"].to_list()))
    if missing:
        raise SpecError(f"--run: there are no results of {', '.join(missing)} at {results}")
    if not found.frame.height:
        raise SpecError(f"--results: there are no results at {results}")
    given = settings or Settings(horizons=dict(horizons or {}))
    return write(analyse(found.frame, given, found.notices), open_store(uri_of(str(output))), name)


def write(analysis: Analysis, store: Store, name: str | None = None) -> Analysis:
    """Writes tables, report and manifest, the manifest last, and with a name the pointer to it after all."""
    folder = "" if name is None else f"analyses/{quote(name, safe='')}/{analysis.digest}/"
    files = encode_all(analysis.tables) | {REPORT: render(analysis).encode()}
    for file_name in sorted(files):
        store.put(folder + file_name, files[file_name])
    report = store.uri + folder + REPORT
    store.put(folder + MANIFEST, _manifest(analysis, sorted(files)))
    if name is not None:
        pointer = {"digest": analysis.digest, "folder": folder, "report": folder + REPORT}
        store.put(f"analyses/{quote(name, safe='')}/latest.json", _json(pointer))
    return with_report(analysis, report.removeprefix("file://"))


def read(output: str | Path) -> Analysis:
    """The analysis that was written to a folder or URI. `SpecError` where none was, `ResultError` for a broken file."""
    store = open_store(uri_of(f"{str(output).rstrip('/')}/"))
    if store.head(MANIFEST) is None:
        raise SpecError(f"{store.uri}: holds no analysis ({MANIFEST} is not there)")
    try:
        manifest = json.loads(store.get(MANIFEST))
        names = [name for name in manifest["files"] if name.endswith(".arrow")]
        settings = Settings.from_values(manifest["settings"])
        notices = tuple(Notice(notice["code"], notice["message"]) for notice in manifest["notices"])
        digest = str(manifest["digest"])
    except (ValueError, KeyError, TypeError):
        raise ResultError(f"{store.uri}{MANIFEST}: not the manifest of an analysis") from None
    tables = {name.removesuffix(".arrow"): decode(store.get(name), store.uri + name) for name in names}
    report = f"{store.uri}{REPORT}".removeprefix("file://")
    return Analysis(tables, from_table(tables["verdicts"]), notices, settings, digest, report)


def _manifest(analysis: Analysis, files: Sequence[str]) -> bytes:
    return _json(
        {
            "digest": analysis.digest,
            "files": list(files),
            "settings": json.loads(analysis.settings.to_json()),
            "verdicts": {verdict.series: verdict.state for verdict in analysis.verdicts},
            "notices": [{"code": notice.code, "message": notice.message} for notice in analysis.notices],
        }
    )


def _json(values: Mapping[str, object]) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
