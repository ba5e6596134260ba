"""What the reasons of conditions and events of every kind have in common: a word that explains itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Where:
    """Where a reason shows: the section of the page, and the conditions as `Type=Status`."""

    section: str
    shown: tuple[str, ...]


class ConditionReason(StrEnum):
    """A reason in a condition: where it shows, `meaning` and `mend` in a sentence (`mend` may be empty)."""

    section: str
    shown: tuple[str, ...]
    meaning: str
    mend: str

    def __new__(cls, word: str, where: Where, meaning: str, mend: str = "") -> Self:
        """A member from its word and what the page says of it."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.section, member.shown = where.section, where.shown
        member.meaning = meaning
        member.mend = mend
        return member


class EventWord(StrEnum):
    """The reason of an event for people. A lasting problem is told as a Warning under its own reason besides."""

    kind: Literal["Normal", "Warning"]
    meaning: str

    def __new__(cls, word: str, kind: Literal["Normal", "Warning"], meaning: str) -> Self:
        """A member from its word, the event's type and what the page says of it."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.kind = kind
        member.meaning = meaning
        return member
