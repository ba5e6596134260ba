"""The report's plots as PNG or SVG files, made by vl-convert without a browser or network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import vl_convert

from fineline.errors import SpecError
from fineline_analysis.analyse import Analysis
from fineline_analysis.report import charts, data, theme
from fineline_analysis.report.look import Plot, series_by_size

FORMATS = ("png", "svg")

_WIDTH = 980


def write_images(analysis: Analysis, folder: Path, format: str = "png") -> list[Path]:  # noqa: A002 - its name in files
    """Writes every plot as `<folder>/<plot>.<format>` and returns the paths. SpecError for another format."""
    if format not in FORMATS:
        raise SpecError(f"format: {format!r} is none of {', '.join(FORMATS)}")
    folder.mkdir(parents=True, exist_ok=True)
    frames = data.frames(analysis)
    paths = []
    for plot in charts.plots(analysis):
        spec = fitted(plot, _WIDTH)
        spec["datasets"] = {name: data.records(frames[name]) for name in plot.datasets}
        spec["config"] = theme.config("light", len(analysis.tables["runs"]))
        spec["config"]["legend"]["columns"] = max(1, (_WIDTH - 60) // theme.legend_entry(series_by_size(analysis)))
        path = folder / f"{plot.name}.{format}"
        if format == "png":
            path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
        else:
            path.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
        paths.append(path)
    return paths


def fitted(plot: Plot, width: int) -> dict[str, Any]:
    """A plot's specification with sizes for a width, as the page's script does it."""
    spec = copy.deepcopy(plot.spec)
    layout = spec["usermeta"]["fineline"]
    if not layout["facet"]:
        spec.update({"width": width - 150, "height": layout["height"]})
        return spec
    columns = max(1, min(width // (layout["least"] + 60), plot.panels))
    spec["columns"] = columns
    spec["spec"].update({"width": min(460, (width - plot.margin) // columns - plot.gap), "height": layout["height"]})
    return spec
