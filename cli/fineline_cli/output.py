"""How commands print: tables for people, plain lines for logs, JSON and CSV for programs; errors as one line."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Row = dict[str, Any]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--output", "-o", help="How to print: table, json or csv.")]


def console() -> Console:
    """Standard output. In a log (no terminal) lines are not wrapped and carry no colour."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else 200, highlight=False, emoji=False, soft_wrap=not terminal)


def terminal_width(shown_on: Console) -> int | None:
    """In columns; None for a log."""
    return shown_on.width if shown_on.is_terminal else None


def say(text: str) -> None:
    """A line for the person, on standard error: standard output is for what was asked for."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(harmless(text), markup=False, emoji=False)


def emit(rows: Sequence[Row], columns: Sequence[str], output: Format, title: str = "") -> None:
    """Prints rows. JSON has every value of a row, tables and CSV the named columns."""
    match output:
        case Format.JSON:
            json.dump(_plain(rows), sys.stdout, indent=2, allow_nan=False, default=str)
            sys.stdout.write("\n")
        case Format.CSV:
            writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        case Format.TABLE:
            console().print(table(rows, columns, title))


def table(rows: Sequence[Row], columns: Sequence[str], title: str = "") -> Table:
    drawn = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = any(isinstance(row.get(column), int | float) for row in rows)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(cell(row.get(column)) for column in columns))
    return drawn


def cell(value: Any) -> str:
    """A value as people read it: thousands apart, four digits of a fraction, nothing for None."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4f}"
        case _:
            return escape(harmless(str(value)))


def harmless(text: str) -> str:
    """Text that may hold names from a store: control characters in them must not reach the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _plain(value: Any) -> Any:
    """The value as JSON knows it: what is not a finite number is null."""
    match value:
        case dict():
            return {name: _plain(child) for name, child in value.items()}
        case list() | tuple():
            return [_plain(child) for child in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def size(count: int) -> str:
    """Bytes with a binary unit."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def tokens(count: int | None) -> str:
    """A number of tokens with its SI prefix, as in 1.26 T."""
    if count is None:
        return "?"
    value = float(count)
    for unit in ("", "k", "M", "B"):
        if value < 1000:
            return f"{value:.0f}" if not unit else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} T"


def parameters(count: int) -> str:
    return tokens(count)
