"""How the plots look: colours that colour-blind readers can tell apart, on light and on dark.

Up to eight runs get the hues of Okabe and Ito (2008), made readable on each background. More runs are ordered by size
and get a ramp whose lightness grows evenly, so that the order can be seen without hue.
"""

from __future__ import annotations

from typing import Any

MOST_HUES = 8

_FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_HUES = {
    "light": ["#0072B2", "#D55E00", "#009E73", "#B6568F", "#C98500", "#3D9BD9", "#5A5A5A", "#7B2D5B"],
    "dark": ["#5AB0F2", "#FF9152", "#35CFA6", "#EBA3C9", "#F2C14E", "#9AD8F7", "#C9C9C9", "#D58BB5"],
}
_RAMP = {
    "light": ["#E5A23A", "#D9694B", "#A83F78", "#5E2D88", "#1B1F5E"],
    "dark": ["#7B6BE0", "#BC67C6", "#EA7A90", "#F7A865", "#FBE69A"],
}
_INK = {
    "light": {"text": "#1d2330", "muted": "#606a7b", "grid": "#e7eaf0", "rule": "#aab2c0", "page": "#ffffff"},
    "dark": {"text": "#e8ebf2", "muted": "#9ba5b7", "grid": "#2a303c", "rule": "#5b6577", "page": "#171b23"},
}


def config(theme: str, runs: int) -> dict[str, Any]:
    """The Vega-Lite config of a theme (`light` or `dark`) for a number of runs."""
    ink = _INK[theme]
    return {
        "background": None if theme == "dark" else "#ffffff",
        "font": _FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": ink["muted"],
            "titleColor": ink["muted"],
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "gridColor": ink["grid"],
            "domainColor": ink["rule"],
            "tickColor": ink["rule"],
            "tickSize": 4,
            "labelPadding": 4,
        },
        "axisY": {"domain": False, "ticks": False},
        "header": {
            "labelColor": ink["text"],
            "labelFontSize": 12,
            "labelFontWeight": 600,
            "labelAnchor": "start",
            "labelPadding": 6,
            "title": None,
        },
        "legend": {
            "labelColor": ink["text"],
            "titleColor": ink["muted"],
            "labelFontSize": 11,
            "symbolStrokeWidth": 3,
            "symbolSize": 90,
            "columnPadding": 14,
            "labelLimit": 240,
            "title": None,
        },
        "range": {"category": _HUES[theme], "ordinal": ramp(theme, runs)},
        "rule": {"color": ink["rule"]},
        "text": {"color": ink["muted"], "fontSize": 11},
    }


def ramp(theme: str, count: int) -> list[str]:
    """`count` colours evenly along the theme's ramp."""
    stops = [tuple(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color in _RAMP[theme]]
    colors = []
    for k in range(count):
        place = (len(stops) - 1) * k / max(count - 1, 1)
        left = min(int(place), len(stops) - 2)
        part = place - left
        mixed = (round(a + (b - a) * part) for a, b in zip(stops[left], stops[left + 1], strict=True))
        colors.append("#" + "".join(f"{channel:02x}" for channel in mixed))
    return colors


def legend_entry(names: list[str]) -> int:
    """The pixels that the widest entry of a legend takes."""
    return 45 + min(200, int(6.4 * max((len(name) for name in names), default=0)))
