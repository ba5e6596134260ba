"""Whatever one commit among the results holds, the others are analysed."""

from __future__ import annotations

import warnings

import pyarrow as pa
import pytest
from hypothesis import given, settings

from fineline.results import UnitAddress, arrow, read_metrics
from fineline_analysis.analyse import analyse
from fineline_analysis.metrics import Notice
from fineline_analysis.report import render
from fineline_analysis.settings import Settings
from fineline_analysis.tables import encode_all
from support.damaged import DAMAGED, ODD, extreme_rows
from support.publishing import metrics_of
from support.trajectories import Law, simulated
from support.watched_store import MemoryStore

QUICK = Settings(draws=4, backtest_draws=2)


def beside_others(data: bytes) -> MemoryStore:
    """The damaged commit in a run of five, and a run of its own."""
    store = MemoryStore()
    for run in ("tiny", "other"):
        for step in range(2, 7):
            address = UnitAddress(run, "main", step, "piqa", "0123456789abcdef")
            store.put(address.metrics, arrow.to_file(metrics_of(address, step / 10)))
    store.put(ODD.metrics, data)
    return store


def assert_others_are_analysed(store: MemoryStore) -> None:
    found = read_metrics(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analysis = analyse(found.frame, QUICK, tuple(Notice("Reading", text) for text in found.notices))
    assert encode_all(analysis.tables)
    (other,) = (one for one in analysis.verdicts if one.series == "other")
    assert other.state


@settings(max_examples=40)
@given(DAMAGED)
def test_whatever_a_commit_holds_the_others_are_analysed(data: bytes) -> None:
    assert_others_are_analysed(beside_others(data))


@settings(max_examples=40)
@given(extreme_rows())
def test_whatever_values_commits_have_the_others_are_analysed(rows: pa.Table) -> None:
    store = beside_others(b"")
    for number in range(rows.num_rows):
        place = UnitAddress("odd", "main", number, "piqa", "0123456789abcdef").metrics
        store.put(place, arrow.to_file(rows.slice(number, 1)))
    assert_others_are_analysed(store)


@pytest.mark.parametrize("values", [{"value": 1e300}, {"value": -1e61}, {"n": 2**62}], ids=str)
def test_numbers_of_which_no_square_can_be_taken_are_left_out_by_name(values: dict[str, float]) -> None:
    frame = simulated({"reasoning": {"piqa": Law(0.8, 0.2, 0.4)}}, points=8).with_row_index()
    polluted = frame.with_columns(**{name: frame[name].scatter(3, value) for name, value in values.items()})
    analysis = analyse(polluted.drop("index"), QUICK)
    told = {notice.code: notice.message for notice in analysis.notices}
    assert told["TooLarge"].startswith("1 row whose value is beyond 1e+60, or n beyond 1e+12: left out (run-a ")
    assert "</html>" in render(analysis)


@pytest.mark.parametrize("stderr", [1e300, 5e-324, float("inf"), -1.0])
def test_a_standard_error_that_can_be_none_is_not_known(stderr: float) -> None:
    frame = simulated({"reasoning": {"piqa": Law(0.8, 0.2, 0.4)}}, points=8)
    unknown = analyse(frame.with_columns(stderr=frame["stderr"].scatter(3, None)), QUICK)
    odd = analyse(frame.with_columns(stderr=frame["stderr"].scatter(3, stderr)), QUICK)
    assert encode_all(odd.tables) == encode_all(unknown.tables)
