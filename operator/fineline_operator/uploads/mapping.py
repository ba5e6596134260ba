"""Which sources an object falls under: by the prefixes of their URIs, at a `/`. Pure.

`s3://a/amber` covers `amber/step1/config.json` and not `amber-2/step1/config.json`. Keys are taken literally: `..` and
`%2e` are names as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from fineline.errors import SpecError
from fineline.store.uri import parse_uri
from fineline_operator.uploads.messages import ObjectName


class SourceName(NamedTuple):
    """A CheckpointSource."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """The little that events need of a CheckpointSource. `sqs` is empty where it names no queue."""

    name: SourceName
    uri: str
    sqs: str = ""


class Prefixes:
    """Finds the sources of objects. A look costs a step for each distinct length of the bucket's prefixes."""

    def __init__(self, sources: Iterable[SourceSeen] = ()) -> None:
        self._sources: dict[str, dict[str, list[SourceName]]] = {}
        for source in sources:
            try:
                location = parse_uri(source.uri)
            except SpecError:  # its status says so
                continue
            if location.scheme == "s3":
                of_bucket = self._sources.setdefault(location.bucket, {})
                of_bucket.setdefault(location.path.removesuffix("/"), []).append(source.name)
        self._lengths = {bucket: sorted(set(map(len, prefixes))) for bucket, prefixes in self._sources.items()}

    def covering(self, objects: Iterable[ObjectName]) -> set[SourceName]:
        """The sources that at least one of the objects falls under."""
        found: set[SourceName] = set()
        for bucket, key in objects:
            prefixes = self._sources.get(bucket, {})
            for length in self._lengths.get(bucket, ()):
                if length >= len(key):
                    break
                if not length or key[length] == "/":
                    found.update(prefixes.get(key[:length], ()))
        return found
