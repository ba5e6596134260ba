"""Every reason that a condition, an event or a failure can have is explained, in one place."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from fineline import errors
from fineline.resources.failure_reasons import FAILURE_REASONS
from fineline.resources.kinds import KINDS, Kind
from fineline.resources.reasons import EventReason, Reason
from fineline.resources.status import Reason as ConditionReasonText
from fineline.resources.words import ConditionReason
from support.resources import KIND, NAMES

FAILURES = {failure.word for failure in FAILURE_REASONS}
REASONS = [(kind.name, reason) for kind in KINDS for reason in kind.reasons]


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KIND[request.param]


def test_a_reason_is_its_own_word() -> None:
    assert Reason.QUEUE_NOT_FOUND == "QueueNotFound"
    assert f"{EventReason.JOB_CREATED}" == "JobCreated"


def test_the_api_server_takes_every_reason(kind: Kind) -> None:
    for reason in (*kind.reasons, *kind.events):
        TypeAdapter(ConditionReasonText).validate_python(str(reason))


def test_no_word_is_explained_twice(kind: Kind) -> None:
    assert len({str(reason) for reason in kind.reasons}) == len(kind.reasons)
    assert len({str(event) for event in kind.events}) == len(kind.events)
    assert len(FAILURES) == len(FAILURE_REASONS)


@pytest.mark.parametrize(("of", "reason"), REASONS)
def test_a_reason_says_where_it_shows_and_what_it_means(of: str, reason: ConditionReason) -> None:
    assert reason.shown
    for shown in reason.shown:
        kind, _, status = shown.partition("=")
        assert kind in KIND[of].conditions
        assert status in ("True", "False", "Unknown")
    assert reason.meaning.endswith(".")


@pytest.mark.parametrize(("of", "reason"), [one for one in REASONS if "Stalled=True" in one[1].shown])
def test_where_a_person_must_act_it_says_how(of: str, reason: ConditionReason) -> None:
    assert reason.mend.endswith("."), of
    assert "Reconciling=False" in reason.shown


@pytest.mark.parametrize(("of", "reason"), [one for one in REASONS if one[0] != "CheckpointEval"])
def test_all_three_conditions_of_a_lasting_resource_are_told_by_each_reason(of: str, reason: ConditionReason) -> None:
    told = dict(shown.partition("=")[::2] for shown in reason.shown)
    assert set(told) == set(KIND[of].conditions)
    # What kstatus reads: never both, and well is neither but for the first look.
    assert (told["Reconciling"], told["Stalled"]) != ("True", "True")
    if told["Ready"] == "True":
        assert (told["Reconciling"], told["Stalled"]) == ("False", "False")


def test_every_event_says_what_it_means(kind: Kind) -> None:
    for event in kind.events:
        assert event.meaning.endswith(".")
        assert event.kind in ("Normal", "Warning")


def test_every_reason_that_an_error_can_carry_is_explained() -> None:
    classes = [errors.StoreError, *errors.StoreError.__subclasses__(), errors.SpecError, errors.ResultError]
    carried = {each.reason for each in classes}
    for each in (errors.CheckpointError, errors.TaskError, errors.EngineError):
        listed = (each.__doc__ or "").partition("Reasons:")[2]
        carried |= {each.reason, *re.findall(r"[A-Z][A-Za-z]+", listed)}
    assert len(carried) > 30
    assert carried - FAILURES - {str(reason) for reason in Reason} == set()


@pytest.mark.parametrize("of", ["CheckpointSource", "TrajectoryAnalysis"])
def test_what_can_be_wrong_with_a_store_or_a_spec_is_a_reason_of_sources_and_analyses(of: str) -> None:
    carried = {error.reason for error in (errors.StoreNotFound, errors.StoreDenied, errors.StoreUnavailable)}
    assert carried | {errors.SpecError.reason} <= {str(reason) for reason in KIND[of].reasons}
