"""Compacts the metrics of a run, so that whoever reads next reads what is new, and not everything.

Nothing here can lose or double a row, for readers take from compacted files only what the listing of commits confirms,
each commit once, and read the others themselves:

- a file is named by its content and written only if absent, so two writers at once end with both files, or one;
- a writer that is killed leaves a whole file or none, and at worst files that another one replaces;
- a file is deleted only when one that replaces it was found and read in an earlier listing, or when it is torn.

A file is merged into the next one once it is no longer larger than twice all that is smaller: sizes triple from file to
file, so a run of n commits has about log3(n) of them, and a commit is written about as often again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from fineline.errors import StoreError
from fineline.results.compacted import CompactedFile, LeftOut, pack, with_labels_once
from fineline.store import Store

_GROWTH = 2


@dataclass(frozen=True, slots=True)
class Part:
    """What a compacted file holds of the listed commits, but for those that another file gave before it.

    `commits` are those that the rows are of.
    """

    file: CompactedFile
    rows: pl.DataFrame
    commits: frozenset[str]
    left_out: Mapping[str, LeftOut]
    replaces: frozenset[str]

    @property
    def size(self) -> int:
        """In commits."""
        return len(self.commits) + len(self.left_out)


@dataclass(slots=True)
class Seen:
    """The compacted files of a run as one look found them. `superseded` are replaced by one that was read."""

    files: list[CompactedFile] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    superseded: set[str] = field(default_factory=set)
    torn: set[str] = field(default_factory=set)


class Compactor:
    """Writes compacted files. The first thing that hinders it is kept in `hindrance`, and nothing more is tried."""

    def __init__(self) -> None:
        self.hindrance = ""

    def compact(
        self, store: Store, run_folder: str, fresh: pl.DataFrame, left_out: Mapping[str, LeftOut], seen: Seen
    ) -> None:
        """Writes rows that were read from their commits into a file, and which of them were left out, with what is to
        be merged, and removes files that are of no use any more. What hinders it is no error here: a store that
        refuses, or more text in a column than a file can hold."""
        if self.hindrance:
            return
        try:
            if fresh.height or left_out:
                _write(store, run_folder, fresh, left_out, seen)
        except (StoreError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            self.hindrance = f"metrics could not be compacted, so the next analysis reads these again: {error}"
            return
        # Who may write and not delete leaves them: they are not read again where another one replaces them.
        with contextlib.suppress(StoreError):
            for file in seen.files:
                if file.name in seen.superseded or file.name in seen.torn:
                    store.delete(file.name)


def to_merge(fresh: int, sizes: Sequence[int]) -> list[int]:
    """Which files, by their place, are written anew together with `fresh` commits; sizes are in commits.

    All up to the largest that is not larger than twice the sum of the smaller ones and the fresh: what is left grows
    threefold from file to file, whoever wrote it.
    """
    ascending = sorted(range(len(sizes)), key=lambda place: sizes[place])
    merged, below = 0, fresh
    for count, place in enumerate(ascending, start=1):
        if sizes[place] <= _GROWTH * below:
            merged = count
        below += sizes[place]
    return ascending[:merged]


def _write(store: Store, run_folder: str, fresh: pl.DataFrame, left_out: Mapping[str, LeftOut], seen: Seen) -> None:
    new = fresh["commit"].n_unique() + len(left_out)
    merged = [seen.parts[place] for place in to_merge(new, [part.size for part in seen.parts])]
    rows = pl.concat([fresh, *(part.rows for part in merged)]).sort("commit", maintain_order=True)
    all_left_out = {commit: item for part in merged for commit, item in part.left_out.items()} | dict(left_out)
    there = {file.name for file in seen.files}
    replaces = {part.file.name for part in merged}.union(*(part.replaces & there for part in merged))
    generation = 1 + max((part.file.generation for part in merged), default=0)
    name, data = pack(with_labels_once(rows), all_left_out, run_folder, generation, replaces)
    if name in seen.torn:
        store.put(name, data)
        seen.torn.remove(name)
    else:
        store.put_if_absent(name, data)
