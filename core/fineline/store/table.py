"""The table of stores: which endpoint, region and credentials belong to which URIs.

Without a table all stores are reached as the AWS environment says. With one, a URI belongs to the entry with the
longest prefix that covers it, at a `/`: `s3://a/amber` never covers `s3://a/amber-secret/`. A URI that no entry covers
is reached as the environment says; whether it may be named at all is not decided here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Self

from fineline.errors import SpecError
from fineline.store.patience import Patience
from fineline.store.uri import ENDPOINT_PATTERN, place_of

ENVIRONMENT = "FINELINE_STORES"
"""The variable that holds the table as JSON, where the program that runs was given none."""

_is_endpoint = re.compile(ENDPOINT_PATTERN).fullmatch
_FIELDS = ("prefix", "endpoint", "region", "credentials")


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """One store. What is None is left to the AWS environment, unless the entry has `credentials` of its own: then
    nothing but proxies and the CA comes from there.

    `credentials` is a folder with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be,
    AWS_SESSION_TOKEN; it is read again when they change.
    """

    prefix: str
    endpoint: str | None = None
    region: str | None = None
    credentials: str | None = None


@dataclass(frozen=True)
class StoreTable:
    """Stores by the prefixes of their URIs. `patience` bounds calls to all stores opened through the table."""

    entries: tuple[StoreEntry, ...] = ()
    patience: Patience | None = None

    def entry(self, uri: str) -> StoreEntry | None:
        """The entry that a URI belongs to; None where none covers it. `SpecError` where it is no URI."""
        place = place_of(uri)
        return next((entry for prefix, entry in self._longest_first if place.startswith(prefix)), None)

    @cached_property
    def _longest_first(self) -> tuple[tuple[str, StoreEntry], ...]:
        places = ((place_of(entry.prefix), entry) for entry in self.entries)
        return tuple(sorted(places, key=lambda found: -len(found[0])))

    def to_json(self) -> str:
        """The table for a pod, which has credentials of its own: they are left out."""
        told = ({name: getattr(entry, name) for name in _FIELDS[:-1]} for entry in self.entries)
        return json.dumps([{name: value for name, value in entry.items() if value is not None} for entry in told])

    @classmethod
    def from_json(cls, text: str, origin: str) -> Self:
        """A list of objects with the fields of `StoreEntry`. `SpecError` names `origin` and what is wrong."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"{origin}: not JSON ({error}); a list of stores is needed") from None
        if not isinstance(values, list):
            raise SpecError(f"{origin}: must be a list of stores, each with a prefix")
        entries = tuple(_entry(value, f"{origin}[{index}]") for index, value in enumerate(values))
        places = [place_of(entry.prefix) for entry in entries]
        twice = next(
            (entry.prefix for entry, place in zip(entries, places, strict=True) if places.count(place) > 1), ""
        )
        if twice:
            raise SpecError(f"{origin}: the prefix {twice} stands twice; keep one of them")
        return cls(entries)


def table_of_environment() -> StoreTable:
    """The table in FINELINE_STORES; an empty one where that is not set."""
    text = os.environ.get(ENVIRONMENT, "")
    return _parsed(text) if text.strip() else _NO_STORES


_NO_STORES = StoreTable()


@lru_cache(maxsize=4)
def _parsed(text: str) -> StoreTable:
    return StoreTable.from_json(text, ENVIRONMENT)


def _entry(value: Any, where: str) -> StoreEntry:
    if not isinstance(value, Mapping) or not isinstance(value.get("prefix"), str):
        raise SpecError(f"{where}: must be an object with a prefix, such as s3://bucket/folder/")
    unknown = sorted(set(value) - set(_FIELDS))
    if unknown:
        raise SpecError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(_FIELDS)}")
    for name in _FIELDS:
        if not isinstance(value.get(name), str | None):
            raise SpecError(f"{where}.{name}: must be text")
    endpoint = value.get("endpoint")
    if endpoint is not None and not _is_endpoint(endpoint):
        raise SpecError(f"{where}.endpoint: must be written as https://host:port, without a user")
    try:
        place_of(value["prefix"])
    except SpecError as error:
        raise SpecError(f"{where}.prefix: {error}") from None
    return StoreEntry(**value)
