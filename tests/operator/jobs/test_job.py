"""The Job of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fineline.plan import PlanFacts
from fineline.resources import CheckpointEvalSpec
from fineline_operator.evaluations.observed import EvaluationSeen
from fineline_operator.jobs import OWNER_LABEL, job_body, job_name, job_seen, made_from, parallelism
from fineline_operator.settings import OperatorSettings

Made = Callable[..., dict[str, Any]]
UID = "6f1d8f6a-7d58-4a52-9d3c-0b1f2a3c4d5e"


@pytest.fixture
def job(
    evaluation: Callable[..., EvaluationSeen],
    facts: Callable[..., PlanFacts],
    settings: Callable[..., OperatorSettings],
) -> Made:
    """Makes the Job of an evaluation whose spec has these fields, in so many slices."""

    def make(slices: int = 3, *, suspended: bool = False, **spec: Any) -> dict[str, Any]:
        return job_body(evaluation(**spec), facts(slices), settings(), suspended=suspended)

    return make


def spec_of(seen: EvaluationSeen) -> CheckpointEvalSpec:
    assert seen.spec is not None
    return seen.spec


def test_it_has_an_index_for_each_slice_and_no_more_pods_than_indexes(job: Made) -> None:
    few, many = job(3, pods={"parallelism": 8})["spec"], job(12, pods={"parallelism": 8})["spec"]
    assert (few["completionMode"], few["completions"], few["parallelism"]) == ("Indexed", 3, 3)
    assert (many["completions"], many["parallelism"]) == (12, 8)


def test_it_goes_with_the_checkpointeval_and_holds_up_nobodys_deletion(job: Made) -> None:
    metadata = job()["metadata"]
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "fineline.dev/v1alpha1",
            "kind": "CheckpointEval",
            "name": "amber-7b",
            "uid": UID,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
    assert metadata["labels"][OWNER_LABEL] == UID
    assert metadata["name"] == job_name("amber-7b", UID, "", "ab" * 32, 3)


def test_one_slice_that_fails_does_not_end_the_others(job: Made) -> None:
    assert "maxFailedIndexes" not in job()["spec"]


@pytest.mark.parametrize(("attempts", "tries"), [(1, 5), (3, 15), (20, 100)])
def test_a_slice_gets_more_tries_than_a_unit_and_not_without_end(job: Made, attempts: int, tries: int) -> None:
    assert job(pods={"attempts": attempts})["spec"]["backoffLimitPerIndex"] == tries


def test_evictions_count_for_nothing_whatever_else_is_said(job: Made) -> None:
    first, *others = job()["spec"]["podFailurePolicy"]["rules"]
    assert (first["action"], first["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert [(rule["action"], rule["onExitCodes"]["values"]) for rule in others] == [
        ("FailIndex", [3, 4]),
        ("Ignore", [143]),
    ]


def test_its_end_can_be_seen_before_it_is_cleared_away(job: Made) -> None:
    assert job(ttlSecondsAfterFinished=0)["spec"]["ttlSecondsAfterFinished"] == 300
    assert job(ttlSecondsAfterFinished=7200)["spec"]["ttlSecondsAfterFinished"] == 7200


def test_a_deadline_is_the_jobs(job: Made) -> None:
    assert "activeDeadlineSeconds" not in job()["spec"]
    assert job(pods={"deadlineSeconds": 3600})["spec"]["activeDeadlineSeconds"] == 3600


def test_it_is_handed_to_kueue_by_its_labels(job: Made) -> None:
    made = job(suspended=True, queueName="research", priorityClassName="high")
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert made["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "high"
    assert made["spec"]["suspend"] is True


def test_without_a_queue_kueue_is_not_named(job: Made) -> None:
    assert not [label for label in job()["metadata"]["labels"] if "kueue" in label]


def test_what_it_was_made_from_can_be_read_from_it(job: Made, evaluation: Callable[..., EvaluationSeen]) -> None:
    body = job(queueName="research")
    body["metadata"]["uid"] = "u"
    seen = job_seen(body)
    assert seen.made_from == made_from(spec_of(evaluation(queueName="research")))
    assert seen.queue_name == "research"


@pytest.mark.parametrize(
    "edit",
    [
        {"pods": {"attempts": 4}},
        {"pods": {"secretName": "s3"}},
        {"pods": {"template": {"spec": {"nodeSelector": {"gpu": "h100"}}}}},
        {"queueName": "research"},
        {"queueName": "research", "priorityClassName": "high"},
    ],
)
def test_what_only_another_job_can_apply_is_noticed(
    evaluation: Callable[..., EvaluationSeen], edit: dict[str, Any]
) -> None:
    assert made_from(spec_of(evaluation(**edit))) != made_from(spec_of(evaluation()))


@pytest.mark.parametrize(
    "edit",
    [{"pods": {"parallelism": 9}}, {"pods": {"attempts": 3}}, {"suspend": True}, {"ttlSecondsAfterFinished": 900}],
)
def test_what_the_job_takes_on_or_does_not_know_is_no_reason_for_another(
    evaluation: Callable[..., EvaluationSeen], edit: dict[str, Any]
) -> None:
    assert made_from(spec_of(evaluation(**edit))) == made_from(spec_of(evaluation()))


def test_the_order_of_keys_in_a_template_means_nothing(evaluation: Callable[..., EvaluationSeen]) -> None:
    one = {"spec": {"nodeSelector": {"a": "1", "b": "2"}}}
    other = {"spec": {"nodeSelector": {"b": "2", "a": "1"}}}
    assert made_from(spec_of(evaluation(pods={"template": one}))) == made_from(
        spec_of(evaluation(pods={"template": other}))
    )


@pytest.mark.parametrize(("wanted", "slices", "pods"), [(4, 12, 4), (4, 2, 2)])
def test_parallelism_is_bounded_by_the_slices(
    evaluation: Callable[..., EvaluationSeen], wanted: int, slices: int, pods: int
) -> None:
    assert parallelism(spec_of(evaluation(pods={"parallelism": wanted})), slices) == pods
