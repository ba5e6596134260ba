"""Reads the documentation's pages: their fences, tables and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "bench/*.md", "charts/*/*.md")
    for path in REPOSITORY.glob(pattern)
)
"""Every page that a person reads."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code: its language, its text, and the line of the page that it starts at."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def fences(*languages: str) -> list[Fence]:
    """The blocks of these languages in all pages."""
    return [fence for page in PAGES for fence in _fences_of(page) if fence.language in languages]


def _fences_of(page: Path) -> Iterator[Fence]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        yield Fence(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def table_under(page: Path, heading: str) -> list[list[str]]:
    """The first table below a heading: rows of cells, the head first."""
    _, _, below = prose(page).partition(f"# {heading}\n")
    assert below, f"{page.name} has no heading {heading!r}"
    lines = below.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]
