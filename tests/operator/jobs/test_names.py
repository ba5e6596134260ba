"""The names of what a CheckpointEval owns."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fineline_operator.jobs import chunk_name, index_name, job_name, plan_names

UID = "6f1d8f6a-7d58-4a52-9d3c-0b1f2a3c4d5e"
DIGEST = "ab" * 32

object_names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True)
is_label = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?").fullmatch


@given(object_names, st.integers(1, 100_000))
@example("a" * 253, 1)
@example("a" * 253, 11)
@example("a." * 126 + "a", 100_000)
def test_a_jobs_pods_fit_a_host_name_with_the_largest_index_and_the_random_part(name: str, slices: int) -> None:
    assert is_label(f"{job_name(name, UID, '', DIGEST, slices)}-{slices - 1}-x9k2p")


@given(object_names, st.integers(0, 999))
@example("a" * 253, 999)
def test_every_name_of_a_plan_is_a_label(name: str, number: int) -> None:
    assert is_label(index_name(name, UID, ""))
    assert is_label(chunk_name(name, UID, "", DIGEST, number))


def test_names_start_with_the_evaluations_own() -> None:
    assert re.fullmatch(r"amber-7b-[0-9a-f]{8}", job_name("amber-7b", UID, "", DIGEST, 4))
    assert re.fullmatch(r"amber-7b-[0-9a-f]{8}-plan", index_name("amber-7b", UID, ""))
    assert re.fullmatch(r"amber-7b-[0-9a-f]{8}-plan-3", chunk_name("amber-7b", UID, "", DIGEST, 3))


def test_dots_become_dashes() -> None:
    assert job_name("amber.v2", UID, "", DIGEST, 1).startswith("amber-v2-")


def test_a_name_that_is_cut_at_a_dash_has_no_two_dashes_in_a_row() -> None:
    room = len(job_name("a" * 253, UID, "", DIGEST, 1)) - len("-01234567")
    assert "--" not in job_name("a" * (room - 1) + "-" + "b" * 30, UID, "", DIGEST, 1)


def test_long_names_that_start_alike_stay_apart() -> None:
    long = "a" * 250
    other = "11111111-7d58-4a52-9d3c-0b1f2a3c4d5e"
    assert job_name(f"{long}-x", UID, "", DIGEST, 1) != job_name(f"{long}-y", other, "", DIGEST, 1)


@pytest.mark.parametrize("other", [("2", DIGEST), ("", "cd" * 32)])
def test_another_attempt_or_another_plan_is_another_job(other: tuple[str, str]) -> None:
    assert job_name("amber", UID, "", DIGEST, 1) != job_name("amber", UID, *other, 1)


def test_the_index_of_a_plan_is_known_before_the_plan() -> None:
    assert index_name("amber", UID, "") == index_name("amber", UID, "") != index_name("amber", UID, "2")


def test_the_index_is_the_last_of_a_plans_config_maps() -> None:
    names = plan_names("amber", UID, "", DIGEST, chunks=2)
    assert names == (
        chunk_name("amber", UID, "", DIGEST, 0),
        chunk_name("amber", UID, "", DIGEST, 1),
        index_name("amber", UID, ""),
    )
