"""`fineline analyze` and `fineline report`."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

from fineline_analysis.act import REPORT, analyse_store, read
from fineline_analysis.analyse import Analysis
from fineline_analysis.main import horizon_of
from fineline_analysis.report import write_images
from fineline_cli import output
from fineline_cli.evaluations import folder_uri


def analyze_results(uri: str, out: str | None, runs: Sequence[str] | None, horizon: Sequence[str]) -> None:
    """Analyses the results under a URI, writes tables and report, and prints the verdicts. Without `out` they are
    written beside the results, under `analyses/`."""
    horizons = dict(horizon_of(text) for text in horizon)
    print_verdicts(analyse(folder_uri(uri), out, runs, horizons))


def analyse(
    results_uri: str,
    out: str | None,
    runs: Sequence[str] | None,
    horizons: Mapping[str, float] | None = None,
    name: str = "fineline",
) -> Analysis:
    """The analysis of some runs, written to a folder, or without one among the results under `analyses/<name>/`."""
    if out is None:
        return analyse_store(results_uri, results_uri, runs=runs, horizons=horizons, name=name)
    return analyse_store(results_uri, folder_uri(out), runs=runs, horizons=horizons)


def print_verdicts(analysis: Analysis) -> None:
    """The verdict of each run with its facts and what to do next, and where the report is."""
    print_ = output.console().print
    for verdict in analysis.verdicts:
        print_(f"[bold]{output.cell(verdict.series)}[/bold]: {output.cell(verdict.state)}")
        for fact in verdict.facts:
            print_(f"  - {output.cell(fact)}")
        print_(f"  next: {output.cell(verdict.next_step)}")
    for notice in analysis.notices:
        output.say(f"note: {notice.message}")
    print_(f"report: {analysis.report}", markup=False, soft_wrap=True)


def show_report(folder: Path, *, open_browser: bool, png: bool) -> None:
    """Prints the report's path; opens it, or writes its plots as PNG beside it, if asked."""
    analysis = read(folder)
    path = folder / REPORT
    if png:
        for image in write_images(analysis, folder / "images", "png"):
            output.console().print(str(image), markup=False, soft_wrap=True)
    output.console().print(str(path), markup=False, soft_wrap=True)
    if open_browser and not webbrowser.open(path.resolve().as_uri()):
        output.say("no browser could be opened here")
