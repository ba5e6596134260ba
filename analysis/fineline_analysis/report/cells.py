"""The cells of the page's tables: numbers as they are read, with their interval beside them."""

from __future__ import annotations

from dataclasses import dataclass

from fineline_analysis.words import MINUS, UNKNOWN, amount, points


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title; `text` is set to the left, numbers to the right."""

    title: str
    text: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as it is read, and its interval beside it."""

    value: str
    interval: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page; the first cell of a row is its header."""

    columns: list[Column]
    rows: list[list[Cell]]


def score_cell(found: tuple[float | None, ...] | None) -> Cell:
    if found is None or found[0] is None:
        return Cell(UNKNOWN)
    value, low, high = found
    interval = f"{points_of(low)} to {points_of(high)}" if low is not None and high is not None else ""
    return Cell(points_of(value), interval)


def value_cell(found: tuple[float | None, ...] | None) -> Cell:
    if found is None or found[0] is None:
        return Cell(UNKNOWN)
    value, low, high = found[:3]
    half = (high - low) / 2 if low is not None and high is not None else None
    return Cell(number(value), f"± {number(half)}" if half is not None else "")


def interval_cell(row: dict[str, float | None], name: str, scale: float) -> Cell:
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return Cell(UNKNOWN)
    digits = 1 if scale == 100 else 2
    ends = "" if low is None or high is None else f"{fixed(scale * low, digits)} to {fixed(scale * high, digits)}"
    return Cell(fixed(scale * value, digits), ends)


def gain_cell(row: dict[str, float | None], name: str) -> Cell:
    value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return Cell(points(value), f"{points(low)} to {points(high)}" if value is not None else "")


def time_cell(row: dict[str, float | str | None]) -> Cell:
    if row["status"] != "known":
        return Cell("no gain" if row["status"] == "no gain" else UNKNOWN)
    if row["censored"] == "right":
        return Cell("not yet")
    low, high = row["low"], row["high"]
    ends = f"{amount(_float(low))} to {amount(_float(high))}" if high is not None else f"from {amount(_float(low))}"
    return Cell(amount(_float(row["estimate"])), ends)


def _float(value: float | str | None) -> float | None:
    return value if isinstance(value, float) else None


def points_of(value: float | None) -> str:
    return UNKNOWN if value is None else fixed(100 * value, 1)


def fixed(value: float, digits: int) -> str:
    """A number with a real minus sign, and none on zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text.replace("-", MINUS)


def number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return fixed(value, 3) if abs(value) < 10 else f"{value:,.1f}"


def count(how_many: int, one: str, many: str | None = None) -> str:
    return f"{how_many:,} {one if how_many == 1 else (many or one + 's')}"
