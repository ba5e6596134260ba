"""A compacted file: the metrics of many commits of one run in one Arrow file, named by its content.

    tables/metrics/run=<run>/<generation, 8 digits>-<32 hex of its SHA-256>.arrow

Its rows are those of the commits' metrics.arrow, and behind them `commit` (the unit's folder below the run's), the
`etag` under which it was listed when it was read, and on a commit's first row `labels` (the run's, as the commit's
manifest has them). Its schema metadata names the files that it `replaces`, and the commits that were `left_out`, each
with its etag and the reason, so that these are not read again either. Whoever reads a file checks its name against its
content, so that a torn one is never believed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from fineline.errors import ResultError
from fineline.results import arrow
from fineline.results.commits import FIRST_TIME, JUDGED_BY, LAST_TIME
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
_LEFT_OUT_KEY = b"fineline.left_out"
_JUDGED_BY_KEY = b"fineline.judged_by"
_DIGEST_DIGITS = 32
_NAME = re.compile(r"(?P<generation>\d{8})-(?P<digest>[0-9a-f]{32})\.arrow")


@dataclass(frozen=True, slots=True)
class CompactedFile:
    """What a compacted file's name says. One that replaces others is of a higher generation than all of them."""

    name: str
    generation: int
    digest: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """That the commit of this etag is left out, and why."""

    etag: str
    reason: str


@dataclass(frozen=True, slots=True)
class Compacted:
    """A file's rows, with the columns of COMPACTED_METRICS, the commits that were left out, and the names of the files
    that it replaces."""

    rows: pl.DataFrame
    left_out: Mapping[str, LeftOut]
    replaces: frozenset[str]


class TornError(ResultError):
    """The content is not what the file's name says: it was cut or overwritten."""


def compacted_files(store: Store, run_folder: str) -> list[CompactedFile]:
    """The compacted files of a run, as a listing has them now, the highest generation first.

    `run_folder` is the last part of the run's folder, `run=<run>`.
    """
    found = _named(item.name for item in store.list(f"{COMPACTED}{run_folder}/"))
    return sorted(found, key=lambda file: (-file.generation, file.name))


def with_labels_once(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, with `labels` on the first of each commit alone: they may be long, and the rows many."""
    return rows.with_columns(pl.when(pl.col("commit").is_first_distinct()).then("labels").alias("labels"))


def pack(
    rows: pl.DataFrame, left_out: Mapping[str, LeftOut], run_folder: str, generation: int, replaces: Iterable[str]
) -> tuple[str, bytes]:
    """A compacted file's name and content; the same values give the same. An Arrow or polars error where there are
    more rows than a file can hold."""
    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(COMPACTED_METRICS)
    entries = [[commit, left_out[commit].etag, left_out[commit].reason] for commit in sorted(left_out)]
    metadata = {
        _VERSION_KEY: str(_COMPACTION_VERSION).encode(),
        _REPLACES_KEY: json.dumps(sorted(replaces)).encode(),
        **({_JUDGED_BY_KEY: JUDGED_BY.encode(), _LEFT_OUT_KEY: json.dumps(entries).encode()} if entries else {}),
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
        left_out = _left_out(metadata)
    except (ValueError, TypeError, KeyError, RecursionError, pa.ArrowException) as error:
        raise ResultError(f"{file.name}: {next(iter(str(error).splitlines()), type(error).__name__)}") from None
    return Compacted(_believable(rows), left_out, replaces)


def _left_out(metadata: Mapping[bytes, bytes]) -> dict[str, LeftOut]:
    """None where they were left out by other rules than today's."""
    if metadata.get(_JUDGED_BY_KEY) != JUDGED_BY.encode():
        return {}
    entries = json.loads(metadata.get(_LEFT_OUT_KEY, b"[]"))
    found = {str(commit): LeftOut(str(etag), str(reason)) for commit, etag, reason in entries}
    for item in found.values():
        item.reason.encode()  # half a character can be escaped, and not be written down
    return found


def _believable(rows: pl.DataFrame) -> pl.DataFrame:
    """Without the commits that would be left out today: an older Fineline took any time."""
    at = pl.col("evaluated_at").to_physical()
    odd = rows.filter((at < FIRST_TIME) | (at > LAST_TIME)).select("commit").unique()
    return rows.join(odd, on="commit", how="anti", maintain_order="left") if odd.height else rows


def _named(names: Iterable[str]) -> Iterator[CompactedFile]:
    for name in names:
        match = _NAME.fullmatch(name.rpartition("/")[2])
        if match is not None:
            yield CompactedFile(name, int(match["generation"]), match["digest"])


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_DIGITS]
