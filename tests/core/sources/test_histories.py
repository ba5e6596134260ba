"""10,000 histories of uploads, operators and evaluations: each checkpoint that became complete is evaluated once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.histories import History

HISTORIES_AT_ONCE = 20
"""In one example: hypothesis takes longer to make one than a history takes to run."""


LENGTH = 80
"""Bytes of a history: about thirty happenings."""


@settings(max_examples=10_000 // HISTORIES_AT_ONCE, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(min_size=LENGTH, max_size=LENGTH), min_size=HISTORIES_AT_ONCE, max_size=HISTORIES_AT_ONCE))
def test_every_checkpoint_that_became_complete_is_evaluated_once_and_none_before(histories: list[bytes]) -> None:
    for data in histories:
        History(data).run()
