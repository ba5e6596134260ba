"""Every reason that a condition, an event or a failure can have is explained, in one place."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from fineline import errors
from fineline.resources.failure_reasons import FAILURE_REASONS
from fineline.resources.reasons import CONDITION_TYPES, EventReason, Reason
from fineline.resources.status import Reason as ConditionReason

FAILURES = {failure.word for failure in FAILURE_REASONS}


def test_a_reason_is_its_own_word() -> None:
    assert Reason.QUEUE_NOT_FOUND == "QueueNotFound"
    assert f"{EventReason.JOB_CREATED}" == "JobCreated"


def test_the_api_server_takes_every_reason() -> None:
    for reason in Reason:
        TypeAdapter(ConditionReason).validate_python(str(reason))


def test_no_word_is_explained_twice() -> None:
    assert len({str(reason) for reason in Reason}) == len(Reason)
    assert len(FAILURES) == len(FAILURE_REASONS)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_says_where_it_shows_and_what_it_means(reason: Reason) -> None:
    for shown in reason.shown:
        kind, _, status = shown.partition("=")
        assert kind in CONDITION_TYPES
        assert status in ("True", "False", "Unknown")
    assert reason.meaning.endswith(".")


@pytest.mark.parametrize("reason", [reason for reason in Reason if "Stalled=True" in reason.shown])
def test_where_a_person_must_act_it_says_how(reason: Reason) -> None:
    assert reason.mend.endswith(".")
    assert "Reconciling=False" in reason.shown


def test_every_reason_that_an_error_can_carry_is_explained() -> None:
    classes = [errors.StoreError, *errors.StoreError.__subclasses__(), errors.SpecError, errors.ResultError]
    carried = {each.reason for each in classes}
    for each in (errors.CheckpointError, errors.TaskError, errors.EngineError):
        listed = (each.__doc__ or "").partition("Reasons:")[2]
        carried |= {each.reason, *re.findall(r"[A-Z][A-Za-z]+", listed)}
    assert len(carried) > 30
    assert carried - FAILURES - {str(reason) for reason in Reason} == set()
