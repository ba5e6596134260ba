"""10,000 histories of uploads, operators and evaluations: each checkpoint that became complete is evaluated once, and
none before it was complete. What must hold is in `support.histories`."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.histories import History

BYTES = 80
"""Of a history: about thirty happenings."""

AT_ONCE = 20
"""Histories in an example: hypothesis takes longer to make one than a history takes to happen."""

histories = st.lists(st.binary(min_size=BYTES, max_size=BYTES), min_size=AT_ONCE, max_size=AT_ONCE)


@settings(max_examples=8_000 // AT_ONCE, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_every_checkpoint_that_became_complete_is_evaluated_once_and_none_before(some: list[bytes]) -> None:
    for data in some:
        History(data).run()


@settings(max_examples=2_000 // AT_ONCE, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_so_it_is_where_operators_list_what_is_new_alone(some: list[bytes]) -> None:
    for data in some:
        History(data, walking=True).run()
