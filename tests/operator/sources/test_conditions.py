"""What is told of a source: whole sets of conditions, and a status that is written seldom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fineline.resources.source_reasons import SourceReason
from fineline.resources.source_status import CheckpointSourceStatus, SourceCounts
from fineline_operator.sources.conditions import Conditions, first_listing, of_problem, suspended, well
from fineline_operator.sources.observed import SourceSeen
from fineline_operator.sources.status import Findings, next_status
from fineline_operator.telling.problems import Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEEN = SourceSeen("evals", "tiny", "uid", 3, NOW, False, "", CheckpointSourceStatus())


def counts(**values: int) -> SourceCounts:
    return SourceCounts(**{"found": 3, "complete": 3, "evaluated": 3, "failed": 0, "waiting": 0, **values})


def findings(listed_at: datetime = NOW, waiting_since: datetime | None = None, **values: int) -> Findings:
    return Findings(counts(**values), None, (), listed_at, waiting_since)


PASSING = {SourceReason.STORE_UNAVAILABLE, SourceReason.QUEUE_UNAVAILABLE, SourceReason.CLUSTER_UNAVAILABLE}
"""No person must act."""


TOLD: dict[SourceReason, Conditions] = {
    SourceReason.LISTING: first_listing(),
    SourceReason.NO_CHECKPOINT: well(counts(found=0, complete=0, evaluated=0), evaluating=False),
    SourceReason.UP_TO_DATE: well(counts(), evaluating=False),
    SourceReason.EVALUATING: well(counts(evaluated=1, waiting=2), evaluating=True),
    SourceReason.SUSPENDED: suspended(counts(waiting=1)),
    **{
        reason: of_problem(Problem(reason, "the cause", lasting=reason not in PASSING))
        for reason in (
            SourceReason.SPEC_INVALID,
            SourceReason.CONFIG_MAP_NOT_FOUND,
            SourceReason.RESULTS_NOT_SET,
            SourceReason.STORE_NOT_ALLOWED,
            SourceReason.QUEUE_NOT_ALLOWED,
            SourceReason.QUEUE_DENIED,
            SourceReason.STORE_NOT_FOUND,
            SourceReason.STORE_DENIED,
            SourceReason.EVALUATION_REFUSED,
            *PASSING,
        )
    },
}


@pytest.mark.parametrize("reason", SourceReason)
def test_each_reason_shows_as_its_page_says(reason: SourceReason) -> None:
    shown = TOLD[reason]
    assert tuple(f"{item.type}={item.status}" for item in shown) == reason.shown
    assert shown[0].reason == reason


def test_a_problem_says_when_it_is_looked_at_again() -> None:
    denied = Problem(SourceReason.STORE_DENIED, "s3://b/: HTTP 403")
    assert (
        of_problem(denied)[0].message
        == "s3://b/: HTTP 403. It is looked at again every 5 min, and when the spec changes."
    )
    assert of_problem(denied, growing=True)[0].message.endswith("tried again by itself, with growing pauses.")


def test_a_status_is_written_once_for_what_stays_so() -> None:
    first = next_status(SEEN, TOLD[SourceReason.UP_TO_DATE], findings(), NOW)
    assert first is not None
    assert (first.observed_generation, first.last_listed) == (3, NOW)
    seen = replace(SEEN, status=first)
    later = NOW + timedelta(seconds=240)
    assert next_status(seen, TOLD[SourceReason.UP_TO_DATE], findings(later), later) is None


def test_when_it_was_listed_is_told_with_any_change_and_else_every_five_minutes() -> None:
    first = next_status(SEEN, TOLD[SourceReason.UP_TO_DATE], findings(), NOW)
    assert first is not None
    seen, soon, late = replace(SEEN, status=first), NOW + timedelta(seconds=60), NOW + timedelta(seconds=300)
    more = next_status(seen, TOLD[SourceReason.UP_TO_DATE], findings(soon, found=4), soon)
    assert more is not None
    assert more.last_listed == soon
    alone = next_status(seen, TOLD[SourceReason.UP_TO_DATE], findings(late), late)
    assert alone == first.model_copy(update={"last_listed": late})


def test_a_listing_that_fails_leaves_what_was_found() -> None:
    first = next_status(SEEN, TOLD[SourceReason.UP_TO_DATE], findings(), NOW)
    assert first is not None
    later = NOW + timedelta(seconds=900)
    told = next_status(replace(SEEN, status=first), TOLD[SourceReason.STORE_DENIED], None, later)
    assert told is not None
    assert (told.checkpoints, told.last_listed) == (first.checkpoints, NOW)
    ready = told.condition("Ready")
    assert ready is not None
    assert (ready.reason, ready.last_transition_time) == ("StoreDenied", later)


def test_since_when_the_oldest_waits_stays_told_where_a_listing_fails_but_not_while_suspended() -> None:
    first = next_status(SEEN, TOLD[SourceReason.EVALUATING], findings(waiting_since=NOW, waiting=1), NOW)
    assert first is not None
    seen, denied = replace(SEEN, status=first), TOLD[SourceReason.STORE_DENIED]
    later = next_status(seen, denied, None, NOW)
    assert later is not None
    assert later.waiting_since == first.waiting_since == NOW
    suspended_since = next_status(seen, denied, None, NOW, suspended=True)
    assert suspended_since is not None
    assert suspended_since.waiting_since is None


def test_somebody_who_takes_the_status_away_gets_it_back() -> None:
    assert next_status(SEEN, TOLD[SourceReason.UP_TO_DATE], findings(), NOW) is not None
