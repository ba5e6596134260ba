"""When an analysis is due: pure. Times of results are by the store's clock, which may be wrong by any amount; what the
operator has seen itself bounds them."""

from __future__ import annotations

from datetime import datetime, timedelta

from fineline.resources import TrajectoryAnalysisSpec
from fineline_operator.analyses.observed import Listed, ResultsSeen

LIST_SECONDS = 300.0
"""Without any event the results are listed so often: they may also come from elsewhere."""

LEAST_LIST_SECONDS = 10.0
"""After a listing there is a pause of this at least, however many events there are,"""

LISTING_SHARE = 20
"""and of so many times the seconds that the listing took, up to LIST_SECONDS."""


def seen_again(before: ResultsSeen | None, listed: Listed, after_job: str, *, was_new: bool) -> ResultsSeen:
    """What a listing adds to what was known. `was_new`: what was known before had results that no analysis has."""
    # Times of a clock that went back since say nothing: all is as if it were seen for the first time.
    if before is None or before.listed.scope != listed.scope or listed.at < before.listed.at:
        return ResultsSeen(listed, after_job, listed.at, None, listed.at, None)
    same = before.listed.digest == listed.digest
    return ResultsSeen(
        listed=listed,
        after_job=after_job,
        seen=before.seen if same else listed.at,
        not_before=before.not_before if same else before.listed.at,
        new_seen=before.new_seen if was_new else listed.at,
        new_not_before=before.new_not_before if was_new else before.listed.at,
    )


def due(results: ResultsSeen, spec: TrajectoryAnalysisSpec) -> datetime:
    """When the analysis of these results is to start: `debounceSeconds` after the newest, but never later than
    `maxWaitSeconds` after the first that no analysis has."""
    newest = min(results.listed.newest or results.seen, results.seen)
    if results.not_before is not None and newest < results.not_before:
        newest = results.seen  # the store's clock is behind, or something went: nothing better is known
    return min(newest + timedelta(seconds=spec.debounce_seconds), latest_start(results, spec))


def latest_start(results: ResultsSeen, spec: TrajectoryAnalysisSpec) -> datetime:
    """When the analysis of these results starts at the latest, however many more come."""
    oldest = min(results.listed.oldest or results.listed.newest or results.new_seen, results.new_seen)
    if results.new_not_before is not None:
        oldest = max(oldest, results.new_not_before)
    return oldest + timedelta(seconds=spec.max_wait_seconds)


def rested(listed: Listed) -> datetime:
    """When the pause after this listing is over."""
    pause = min(max(LEAST_LIST_SECONDS, LISTING_SHARE * listed.seconds), LIST_SECONDS)
    return listed.at + timedelta(seconds=listed.seconds + pause)


def next_listing(results: ResultsSeen, spec: TrajectoryAnalysisSpec, when: datetime) -> datetime:
    """When results that no analysis has yet are listed again, for an analysis that is due at `when`: not within the
    pause, unless the analysis starts then at the latest."""
    latest = latest_start(results, spec)
    after_the_pause = max(when, rested(results.listed))
    return after_the_pause if results.listed.at >= latest else min(after_the_pause, latest)
