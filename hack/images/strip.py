"""In a build: takes symbols and debugging sections out of shared libraries, as `strip` does, which slim bases lack.

Whoever loads a library reads its segments; what lies behind the last of them is for debuggers and linkers. It is cut
off, and the table of sections written again without it. A library that keeps symbols between its segments stays as
it is.
"""

import struct
from pathlib import Path
from typing import NamedTuple

MAGIC = b"\x7fELF\x02\x01"
"""64 bits, the low byte first: x86-64 and arm64."""

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
FIRST_SEGMENT, FIRST_SECTION, SEGMENTS, SECTIONS, NAMES = 5, 6, 10, 12, 13
"""Where in it is told where the tables are, how long they are, and which section holds the names of sections."""

SEGMENT = struct.Struct("<IIQQQQQQ")
SECTION = struct.Struct("<IIQQQQIIQQ")
LOADED = 0x2
REFERS_TO_A_SECTION = 0x40
NO_BYTES = 8


class Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def strip(path: Path) -> int:
    """Tells how many bytes it saved."""
    whole = path.read_bytes()
    if not whole.startswith(MAGIC):
        return 0
    fields = list(HEADER.unpack_from(whole))
    if not fields[FIRST_SECTION] or not fields[SECTIONS]:
        return 0
    table = [Section(*entry) for entry in _table(SECTION, whole, fields[FIRST_SECTION], fields[SECTIONS])]
    segments = _table(SEGMENT, whole, fields[FIRST_SEGMENT], fields[SEGMENTS])
    end = max(offset + size for _, _, offset, _, _, size, _, _ in segments)
    kept = [n for n, section in enumerate(table) if n == 0 or section.flags & LOADED]
    if any(table[n].offset + table[n].size > end for n in kept if table[n].kind != NO_BYTES):
        return 0

    names_at = fields[NAMES]
    names = table[names_at]
    tail = b"\0" * (-end % 8) + whole[names.offset : names.offset + names.size]
    tail += b"\0" * (-(end + len(tail)) % 8)
    number = {old: new for new, old in enumerate([*kept, names_at])}
    moved = names._replace(offset=end + -end % 8)
    written = b"".join(SECTION.pack(*_renumbered(section, number)) for section in [*(table[n] for n in kept), moved])
    fields[FIRST_SECTION], fields[SECTIONS], fields[NAMES] = end + len(tail), len(number), number[names_at]
    result = HEADER.pack(*fields) + whole[HEADER.size : end] + tail + written
    if len(result) >= len(whole):
        return 0
    path.write_bytes(result)
    return len(whole) - len(result)


def _table(entry: struct.Struct, whole: bytes, first: int, length: int) -> list[tuple[int, ...]]:
    return [entry.unpack_from(whole, first + entry.size * number) for number in range(length)]


def _renumbered(section: Section, number: dict[int, int]) -> Section:
    info = number.get(section.info, 0) if section.flags & REFERS_TO_A_SECTION else section.info
    return section._replace(link=number.get(section.link, 0), info=info)
