"""Which resource is told about."""

from __future__ import annotations

from dataclasses import dataclass

from fineline.resources.fields import GROUP, VERSION

API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, slots=True)
class Subject:
    """One object of one of Fineline's kinds: the uid makes sure that no namesake is meant."""

    kind: str
    namespace: str
    name: str
    uid: str
