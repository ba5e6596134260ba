"""Addresses and names are one to one, and no name leaves its folder."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fineline.results import UnitAddress
from fineline.results.layout import attempt_number, parse

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
ADDRESSES = st.builds(
    UnitAddress, NAMES, NAMES, st.integers(0, 10**12 - 1), NAMES, st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
)


@given(ADDRESSES)
def test_an_address_is_read_back_from_its_objects(address: UnitAddress) -> None:
    assert parse(address.metrics) == (address, "metrics.arrow")
    assert parse(address.attempt(3)) == (address, "attempt-3.json")


@given(ADDRESSES)
def test_no_part_of_an_address_leaves_its_folder(address: UnitAddress) -> None:
    parts = address.folder.rstrip("/").split("/")
    assert len(parts) == 6
    assert not {"..", ".", ""} & set(parts)


@given(st.text())
def test_any_other_name_is_no_unit(name: str) -> None:
    found = parse(name)
    assert found is None or name.startswith("units/")


def test_attempts_are_numbered() -> None:
    assert attempt_number("attempt-12.json") == 12
    assert attempt_number("attempt-x.json") is None
    assert attempt_number("metrics.arrow") is None
