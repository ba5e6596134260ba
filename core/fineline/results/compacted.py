"""A compacted file: the metrics of many commits of one run in one Arrow file, named by its content.

    tables/metrics/run=<run>/<generation, 8 digits>-<32 hex of its SHA-256>.arrow

Its rows are those of the commits' metrics.arrow, and behind them `commit` (the unit's folder below the run's), the
`etag` under which it was listed when it was read, and on a commit's first row `labels` (the run's, as the commit's
manifest has them). Its schema metadata names the files that it `replaces`. Whoever reads a file checks its name against
its content, so that a torn one is never believed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from fineline.errors import ResultError
from fineline.results import arrow
from fineline.results.layout import COMPACTED
from fineline.results.schemas import METRICS
from fineline.store import Store

COMPACTED_METRICS = pa.schema(
    [
        *METRICS,
        pa.field("commit", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("labels", pa.string()),
    ]
)
"""METRICS, and which commit each row is of."""

_COMPACTION_VERSION = 1
_VERSION_KEY = b"fineline.compaction_version"
_REPLACES_KEY = b"fineline.replaces"
_DIGEST_DIGITS = 32
_NAME = re.compile(r"(?P<generation>\d{8})-(?P<digest>[0-9a-f]{32})\.arrow")


@dataclass(frozen=True, slots=True)
class CompactedFile:
    """What a compacted file's name says. One that replaces others is of a higher generation than all of them."""

    name: str
    generation: int
    digest: str


@dataclass(frozen=True, slots=True)
class Compacted:
    """A file's rows, with the columns of COMPACTED_METRICS, and the names of the files that it replaces."""

    rows: pl.DataFrame
    replaces: frozenset[str]


class TornError(ResultError):
    """The content is not what the file's name says: it was cut or overwritten."""


def compacted_files(store: Store, run_folder: str) -> list[CompactedFile]:
    """The compacted files of a run, as a listing has them now, the highest generation first.

    `run_folder` is the last part of the run's folder, `run=<run>`.
    """
    found = _named(item.name for item in store.list(f"{COMPACTED}{run_folder}/"))
    return sorted(found, key=lambda file: (-file.generation, file.name))


def pack(rows: pl.DataFrame, run_folder: str, generation: int, replaces: Iterable[str]) -> tuple[str, bytes]:
    """A compacted file's name and content; the same rows and `replaces` give the same."""
    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(COMPACTED_METRICS)
    metadata = {
        _VERSION_KEY: str(_COMPACTION_VERSION).encode(),
        _REPLACES_KEY: json.dumps(sorted(replaces)).encode(),
    }
    data = arrow.to_file(table, metadata)
    return f"{COMPACTED}{run_folder}/{generation:08d}-{_digest(data)}.arrow", data


def unpack(data: bytes, file: CompactedFile) -> Compacted:
    """What `pack` made. `TornError` where the content is another than the name says, `ResultError` where it is of a
    version that is not known here."""
    if _digest(data) != file.digest:
        raise TornError(f"{file.name}: its content is not what its name says")
    table = arrow.from_file(data, file.name)
    metadata = table.schema.metadata or {}
    if metadata.get(_VERSION_KEY) != str(_COMPACTION_VERSION).encode() or table.schema.names != COMPACTED_METRICS.names:
        raise ResultError(f"{file.name}: compacted by another version of Fineline")
    try:
        table.validate(full=True)
        replaces = frozenset(str(name) for name in json.loads(metadata.get(_REPLACES_KEY, b"[]")))
        rows = pl.DataFrame(table.cast(COMPACTED_METRICS).replace_schema_metadata(None))
    except (ValueError, TypeError, RecursionError, pa.ArrowException) as error:
        raise ResultError(f"{file.name}: {str(error).splitlines()[0]}") from None
    return Compacted(rows, replaces)


def _named(names: Iterable[str]) -> Iterator[CompactedFile]:
    for name in names:
        match = _NAME.fullmatch(name.rpartition("/")[2])
        if match is not None:
            yield CompactedFile(name, int(match["generation"]), match["digest"])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_DIGITS]
