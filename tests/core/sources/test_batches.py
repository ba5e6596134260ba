"""What the CheckpointEvals of a source are called and what is in them; what makes two templates the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.resources import CheckpointEval, validated
from fineline.sources.batches import (
    SOURCE_LABEL,
    SOURCE_UID_LABEL,
    evaluation_body,
    evaluation_name,
    number_of,
    template_digest,
)
from fineline.sources.deciding import NewEvaluation, SourceIdentity
from fineline.sources.listing import Member
from support.sources import SOURCE, source_spec, walked

FULL: dict[str, Any] = {
    "template": {
        "run": {"name": "amber-7b", "family": "amber", "tokensPerStep": 3900000, "strategy": {"data": "mix-v2"}},
        "suite": {"name": "fine-line", "tasks": [{"task": "mmlu", "shots": 5, "domain": "exam"}]},
        "engine": {"maxModelLen": 4096, "args": {"max_num_seqs": 256}},
        "pods": {"attempts": 2, "template": {"spec": {"nodeSelector": {"a": "b"}, "volumes": None}}},
        "queueName": "research",
        "results": "s3://evals/results/",
    },
    "checkpoints": {"positions": {"ckpt_1": {"step": 1000}}, "tokenizer": "s3://bucket/tokenizer/"},
}
NEW = NewEvaluation("amber-7b-0f3a-1", (walked(10), walked(5, branch="side", digest="2")))


def test_a_checkpoint_eval_is_the_template_with_its_members_pinned() -> None:
    body = evaluation_body(SOURCE, source_spec(**FULL), "aaaaaaaaaa", NEW)
    spec = validated(CheckpointEval, body, "made").spec
    assert body["spec"] == {
        **FULL["template"],
        "checkpoints": {
            "uri": "s3://bucket/run/",
            **FULL["checkpoints"],
            "pinned": [
                {"branch": "main", "step": 10, "digest": "1" * 64, "folder": "step10"},
                {"branch": "side", "step": 5, "digest": "2" * 64, "folder": "side/step5"},
            ],
        },
    }
    assert spec.checkpoints.pinned is not None
    assert [Member(pin.branch, pin.step, pin.digest or "") for pin in spec.checkpoints.pinned] == list(NEW.members)


@pytest.mark.parametrize(
    ("folder", "told"),
    [("", False), ("a/step10", True), ("ü" * 249 + "/step10", True), ("a" * 250 + "/step10", False)],
)
def test_a_folder_is_told_where_it_has_a_name_that_fits(folder: str, told: bool) -> None:  # noqa: FBT001 - a case
    body = evaluation_body(SOURCE, source_spec(), "aaaaaaaaaa", NewEvaluation("made", (walked(10, folder=folder),)))
    (pin,) = validated(CheckpointEval, body, "made").spec.checkpoints.pinned or ()
    assert pin.folder == (folder if told else None)
    assert (pin.branch, pin.step, pin.digest) == ("main", 10, "1" * 64)


def test_it_is_found_by_its_source_and_goes_with_it() -> None:
    metadata = evaluation_body(SOURCE, source_spec(), "aaaaaaaaaa", NEW)["metadata"]
    assert metadata == {
        "name": "amber-7b-0f3a-1",
        "namespace": "evals",
        "labels": {"fineline.dev/source": "amber-7b", "fineline.dev/source-uid": "8e2f"},
        "annotations": {"fineline.dev/template": "aaaaaaaaaa"},
        "ownerReferences": [
            {
                "apiVersion": "fineline.dev/v1alpha1",
                "kind": "CheckpointSource",
                "name": "amber-7b",
                "uid": "8e2f",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def test_without_a_cluster_it_has_no_owner() -> None:
    metadata = evaluation_body(SourceIdentity("amber-7b"), source_spec(), "aaaaaaaaaa", NEW)["metadata"]
    assert "ownerReferences" not in metadata
    assert "namespace" not in metadata
    assert SOURCE_UID_LABEL not in metadata["labels"]


def test_a_long_name_is_cut_to_a_label() -> None:
    long = SourceIdentity("a." * 31 + "-b", "evals", "8e2f")
    labels = evaluation_body(long, source_spec(), "aaaaaaaaaa", NEW)["metadata"]["labels"]
    assert labels[SOURCE_LABEL] == "a." * 30 + "a"


OBJECT_NAMES = st.from_regex(
    r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?){0,3}", fullmatch=True
)


@given(OBJECT_NAMES, st.integers(1, 10**9 - 1), st.integers(1, 10**9 - 1))
def test_a_name_is_a_dns_label_that_tells_its_number(name: str, number: int, other: int) -> None:
    source = SourceIdentity(name, "evals", "8e2f")
    made = evaluation_name(source, "aaaaaaaaaa", number)
    body = {"apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointEval", "metadata": {"name": made}}
    spec = evaluation_body(source, source_spec(), "aaaaaaaaaa", NewEvaluation(made, NEW.checkpoints))["spec"]
    validated(CheckpointEval, body | {"spec": spec}, "made")
    assert len(made) <= 63
    assert "." not in made
    assert number_of(made, source, "aaaaaaaaaa") == number
    assert number_of(made, source, "bbbbbbbbbb") == 0
    assert number_of(made, SourceIdentity(name, "evals", "another"), "aaaaaaaaaa") == 0
    assert (evaluation_name(source, "aaaaaaaaaa", other) == made) == (other == number)


@pytest.mark.parametrize("name", ["amber-7b", "amber-7b-", "12", "", "amber-7b-4ea704ba-012", "amber-7b-4ea704ba-٣"])
def test_a_name_by_hand_has_no_number(name: str) -> None:
    assert number_of(name, SOURCE, "0f3a") == 0


def digest(results: str = "s3://evals/results/", units: str = "", **spec: Any) -> str:
    return template_digest(source_spec(**spec), results, units)


def template(**parts: Any) -> dict[str, Any]:
    """The template of `source_spec` with other parts."""
    run, suite = {"name": "amber-7b"}, {"tasks": [{"task": "piqa", "domain": "reasoning"}]}
    return {"template": {"run": run, "suite": suite, **parts}}


@pytest.mark.parametrize(
    "spec",
    [
        {"uri": "s3://bucket/other/"},
        template(run={"name": "amber-13b"}),
        template(suite={"name": "fine-line"}),
        template(engine={"dtype": "float16"}),
        template(engine={"args": {"quantization": "fp8"}}),
        {"checkpoints": {"tokenizer": "s3://bucket/tokenizer/"}},
        {"checkpoints": {"requesterPays": True}},
    ],
    ids=["prefix", "run", "suite", "engine", "engine's arguments", "tokenizer", "how they are read"],
)
def test_what_an_outcome_depends_on_makes_another_template(spec: dict[str, Any]) -> None:
    assert digest(**spec) != digest()


@pytest.mark.parametrize(
    "spec",
    [
        {"uri": "s3://bucket/run"},
        {"pollSeconds": 5, "batch": 1, "maxWaitSeconds": 0, "suspend": True},
        {"select": {"every": 2}, "complete": {"marker": "_SUCCESS"}, "history": {"failed": 0}},
        {"checkpoints": {"positions": {"final": {"step": 1}}}},
        template(run={"name": "amber-7b", "family": "amber", "strategy": {"data": "mix"}}),
        template(engine={"dtype": "bfloat16", "backend": "vllm"}),
        template(pods={"attempts": 5}, queueName="research", results="s3://evals/results"),
    ],
    ids=["a slash", "when", "which", "positions", "labels", "defaults written out", "where it runs"],
)
def test_what_no_outcome_depends_on_does_not(spec: dict[str, Any]) -> None:
    assert digest(**spec) == digest()


def test_other_results_and_other_content_of_the_same_names_make_another_template() -> None:
    assert len({digest(), digest(results="s3://evals/other/"), digest(units="1"), digest(units="2")}) == 4
    assert digest(results="s3://evals/results") == digest()
