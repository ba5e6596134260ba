"""Whatever word a person meets in a condition, an event or a failure is told in the pages."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from fineline.resources import analysis_reasons, failure_reasons, reasons, source_reasons
from support.pages import REPOSITORY

REFERENCE = "\n".join(path.read_text() for path in sorted((REPOSITORY / "docs" / "reference").glob("*.md")))
TROUBLES = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
CONDITIONS = (*reasons.Reason, *source_reasons.SourceReason, *analysis_reasons.AnalysisReason)
EVENTS = (*reasons.EventReason, *source_reasons.SourceEvent, *analysis_reasons.AnalysisEvent)
FAILURES = tuple(reason.word for reason in failure_reasons.FAILURE_REASONS)


def missing(words: Iterable[str], text: str) -> list[str]:
    told = set(re.findall(r"`([A-Z][A-Za-z]+)`", text))
    return sorted({str(word) for word in words} - told)


@pytest.mark.parametrize("words", [CONDITIONS, EVENTS, FAILURES], ids=["conditions", "events", "failures"])
def test_the_pages_tell_every_word(words: Iterable[str]) -> None:
    assert missing(words, REFERENCE + TROUBLES) == []


def test_troubleshooting_tells_every_word_that_calls_for_a_person() -> None:
    lasting = [
        reason for reason in CONDITIONS if any(shown in reason.shown for shown in ("Stalled=True", "Succeeded=False"))
    ]
    pods = [reason for reason in reasons.Reason if reason.section in ("Pods in trouble", "It may pass")]
    assert missing([*lasting, *pods, *FAILURES], TROUBLES) == []


def test_troubleshooting_has_no_word_that_is_gone() -> None:
    known = {str(word) for word in (*CONDITIONS, *EVENTS, *FAILURES)}
    firsts = re.findall(r"^\| (`[^|]*`)[^|`]*\|", TROUBLES, re.MULTILINE)
    named = {word for first in firsts for word in re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]*)+)`", first)}
    assert named - known == set()
