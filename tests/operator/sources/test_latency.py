"""Since when checkpoints wait for results, and how long those took that have theirs: a backlog is no delay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fineline.resources.source_status import CheckpointSourceStatus
from fineline.resources.status import Condition
from fineline.sources.deciding import decide
from fineline.sources.listing import Walked
from fineline.sources.progress import MemberProgress
from fineline_operator.sources.latency import Waits
from support.sources import after, member, observed, walked

DAY = 86_400.0
OLD = -90 * DAY
"""The source of these tests is made at second 0, and looked at a minute later."""


@dataclass
class Looks:
    """Looks of one process of the operator at one source."""

    waits: Waits = field(default_factory=lambda: Waits(after(0)))
    grounds: int = 1
    template: str = "aaaaaaaaaa"

    def look(self, there: Iterable[Walked], at: float, /, **arguments: Any) -> list[float]:
        seen = replace(observed(there, at=at, **arguments), template=self.template)
        return self.waits.look(seen, decide(seen).waiting, self.grounds)

    def oldest(self, there: Iterable[Walked], at: float, /, **arguments: Any) -> datetime | None:
        self.look(there, at, **arguments)
        return self.waits.oldest


def test_an_upload_waits_from_its_last_change_and_counts_once_when_it_is_evaluated() -> None:
    looks = Looks()
    assert looks.oldest([], 60) is None
    there = [walked(1, changed=100), walked(2, changed=130), walked(3, changed=100)]
    assert looks.oldest(there, 200) == after(100)
    # The second was deleted by the training meanwhile, and the third failed.
    found = {"evaluated": [member(1), member(2)], "failed": [member(3)]}
    assert sorted(looks.look([there[0], there[2]], 260, **found)) == [130, 160]
    assert looks.waits.oldest is None
    assert looks.look([there[0], there[2]], 320, **found) == []


def test_one_that_is_deleted_while_it_is_evaluated_counts_when_it_is() -> None:
    looks = Looks()
    looks.look([walked(1, changed=100)], 200)
    gone = replace(observed([], at=260), progress={member(1): MemberProgress.OPEN})
    assert looks.waits.look(gone, (), looks.grounds) == []
    assert looks.waits.oldest is None
    assert looks.look([], 320, evaluated=[member(1)]) == [220]


def test_what_lay_there_before_the_source_was_made_waits_from_then_on() -> None:
    looks = Looks()
    assert looks.oldest([walked(1, changed=OLD), walked(2, changed=30)], 60) == after(0)
    assert looks.look([walked(1, changed=OLD)], 90, evaluated=[member(1)]) == [90]


def test_a_checkpoint_that_a_clock_ahead_has_written_has_not_waited_at_all() -> None:
    assert Looks().oldest([walked(1, changed=5000)], 60, complete={"settleSeconds": 0}) == after(60)


def test_with_another_template_all_wait_anew() -> None:
    looks, there = Looks(), [walked(1, changed=OLD), walked(2, changed=100)]
    assert looks.oldest(there, 200, evaluated=[member(1)]) == after(100)
    looks.template = "bbbbbbbbbb"
    assert looks.oldest(there, 3000) == after(3000)
    assert looks.look(there, 3060, evaluated=[member(1), member(2)]) == [60, 60]


def test_what_an_edit_chooses_or_completes_waits_from_the_edit_on() -> None:
    looks = Looks()
    there = [walked(1, changed=OLD), walked(2, changed=OLD)]
    looks.look(there, 60, select={"to": 1}, evaluated=[member(1)])
    looks.grounds = 2
    assert looks.oldest([*there, walked(3, changed=OLD)], 3000, evaluated=[member(1)]) == after(3000)


def test_an_edit_of_something_else_changes_nothing_for_those_that_wait() -> None:
    looks, there = Looks(), [walked(1, changed=100)]
    looks.look(there, 200)
    looks.grounds = 2
    assert looks.oldest(there, 3000) == after(100)


def test_what_is_to_be_evaluated_again_without_an_upload_waits_from_then_on() -> None:
    """Somebody has its failures forgotten, or deletes a CheckpointEval that ended without a word."""
    looks, there = Looks(), [walked(1, changed=100)]
    looks.look(there, 3000, failed=[member(1)])
    assert looks.oldest(there, 3060) == after(3060)


def test_an_overwrite_that_was_seen_late_has_waited_since_it_was_written() -> None:
    looks = Looks()
    looks.look([walked(1, changed=100)], 3000, evaluated=[member(1)])
    assert looks.oldest([walked(1, changed=2000, digest="2")], 3060) == after(2000)


def test_one_that_settles_has_waited_since_its_last_change() -> None:
    looks, there = Looks(), [walked(1, changed=100)]
    looks.look(there, 130, evaluated=[member(1)])
    assert looks.oldest(there, 200) == after(100)


def test_while_suspended_nothing_waits_and_afterwards_it_waits_from_then_on() -> None:
    looks, there = Looks(), [walked(1, changed=100)]
    looks.look(there, 200)
    assert looks.oldest(there, 260, suspend=True) is None
    assert looks.oldest([*there, walked(2, changed=2990)], 3000) == after(2990)
    assert sorted(looks.look(there, 3060, evaluated=[member(1), member(2)])) == [60, 70]


def restarted(there: Iterable[Walked], **status: Any) -> datetime | None:
    """What the first look of another process, a day after the source was made, says."""
    return Looks().oldest(there, DAY, status=CheckpointSourceStatus(**status))


def test_a_restart_of_the_operator_neither_forgets_nor_invents_a_wait() -> None:
    old, new = walked(1, changed=OLD), walked(2, changed=DAY - 100)
    minutes = {"last_listed": after(DAY - 300)}
    assert restarted([old, new], **minutes, waiting_since=after(5000)) == after(5000)
    assert restarted([new], **minutes) == after(DAY - 100)
    assert restarted([old], **minutes) == after(DAY - 300), "nothing waited at that listing"
    assert restarted([old]) == after(0)
    held = Condition(type="Ready", status="False", reason="Suspended", message="", last_transition_time=after(50))
    assert restarted([old], **minutes, conditions=(held,)) == after(DAY)


def test_the_moment_told_is_in_whole_seconds_so_that_a_status_is_written_seldom() -> None:
    there = [walked(1, changed=100.25)]
    assert Looks().oldest(there, 200) == after(100)


def test_a_member_with_other_bytes_is_another() -> None:
    looks = Looks()
    looks.look([walked(1, changed=100)], 200)
    other = member(1, digest="2")
    assert looks.look([walked(1, changed=300, digest="2")], 400, evaluated=[other]) == []
    assert looks.waits.oldest is None
