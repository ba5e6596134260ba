"""Numbers and names as a person reads them, the same in verdicts, sentences and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

UNKNOWN = "\N{EN DASH}"
"""What stands where there is no number."""

MINUS = "\N{MINUS SIGN}"

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def amount(value: float | None) -> str:
    """A count in three digits at most: 299.9 billion is `300B`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for size, unit in _UNITS:
        if abs(value) >= size * 0.9995:
            return f"{_three(value / size)}{unit}"
    return _three(value)


def position(value: float | None, axis: str) -> str:
    """A place in a run: `64B tokens`, `step 3,000`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if axis == "tokens":
        return f"{amount(value)} tokens"
    return f"step {value:,.0f}"


def points(value: float | None) -> str:
    """A difference of scores in points of a hundred, signed, with a real minus sign."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def range_of(low: float | None, high: float | None) -> str:
    """An interval of differences in points."""
    return f"{points(low)} to {points(high)}"


def share(probability: float) -> str:
    """A probability as a percentage that never claims certainty."""
    if probability > 0.99:
        return "over 99%"
    if probability < 0.01:
        return "under 1%"
    return f"{100 * probability:.0f}%"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _three(value: float) -> str:
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{min(digits, 2)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
