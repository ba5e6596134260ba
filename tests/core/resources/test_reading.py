"""A resource is read from YAML, and whatever is wrong with it is told by the field's path."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fineline.errors import SpecError
from fineline.resources import read_resources, validated
from support.evaluations import evaluation, evaluation_values
from support.resources import KIND, NAMES, resource_values


def write(folder: Path, *documents: Any) -> Path:
    path = folder / "eval.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def refusal(kind: str = "CheckpointEval", **spec: Any) -> str:
    with pytest.raises(SpecError) as caught:
        validated(KIND[kind].model, resource_values(kind, **spec), "eval.yaml")
    return str(caught.value)


def test_the_design_page_s_example_is_read() -> None:
    resource = evaluation(
        run={
            "name": "amber-7b",
            "family": "amber",
            "parameters": 6738415616,
            "tokensPerStep": 3900000,
            "strategy": {"architecture": "llama", "learningRate": "3e-4"},
        },
        checkpoints={
            "uri": "s3://pretrain/amber-7b/",
            "select": {"every": 10, "from": 5, "to": 5000},
            "positions": {"ckpt_358": {"step": 358000, "tokens": 1259000000000}},
            "tokenizer": "s3://pretrain/amber-7b/tokenizer/",
        },
        suite={"name": "fine-line", "tasks": [{"task": "mmlu", "shots": 5, "limit": None, "domain": "exam"}]},
        engine={"dtype": "bfloat16", "maxModelLen": 4096, "args": {"max_num_seqs": 64}},
        pods={"parallelism": 4, "template": {"spec": {"nodeSelector": {"gpu": "h100"}}}},
        results="s3://evals/results/",
    )
    assert resource.spec.checkpoints.select is not None
    assert resource.spec.checkpoints.select.from_ == 5
    assert resource.spec.checkpoints.positions["ckpt_358"].tokens == 1259000000000
    assert resource.spec.pods.attempts == 3


@pytest.mark.parametrize(
    ("spec", "path", "says"),
    [
        ({"run": {"name": "../x"}}, "spec.run.name", "letters, digits"),
        ({"run": {"name": ".."}}, "spec.run.name", ""),
        ({"run": {"name": "a/b"}}, "spec.run.name", ""),
        ({"run": {"name": "x", "tokenPerStep": 1}}, "spec.run.tokenPerStep", "did you mean tokensPerStep?"),
        ({"run": {"name": "x", "tokens_per_step": 1}}, "spec.run.tokens_per_step", "unknown field"),
        ({"run__strategy": {"learningRate": 3.0}}, "spec.run.strategy.learningRate", 'write it in quotes, "3.0"'),
        ({"run__parameters": "7B"}, "spec.run.parameters", "integer"),
        ({"checkpoints": {}}, "spec.checkpoints.uri", "is required"),
        ({"checkpoints__uri": "/data"}, "spec.checkpoints.uri", "s3://bucket/prefix/ or file:///folder/"),
        ({"checkpoints__uri": "https://x/y"}, "spec.checkpoints.uri", "s3://"),
        ({"checkpoints__select": {"every": 2, "last": 3}}, "spec.checkpoints.select", "choose one"),
        ({"checkpoints__select": {"steps": [1], "from": 3}}, "spec.checkpoints.select", "steps are exact"),
        ({"checkpoints__select": {"from": 9, "to": 3}}, "spec.checkpoints.select", "after"),
        ({"checkpoints__select": {"every": 0}}, "spec.checkpoints.select.every", "greater than or equal to 1"),
        ({"checkpoints__allowPickle": "yes"}, "spec.checkpoints.allowPickle", "boolean"),
        ({"suite": {}}, "spec.suite", "needs name, configMap or tasks"),
        ({"suite": {"name": "a", "configMap": "b"}}, "spec.suite", "choose one"),
        ({"suite__tasks": [{"task": "piqa", "domain": "Reasoning"}]}, "spec.suite.tasks[0].domain", "small letters"),
        ({"suite__tasks": [{"task": "../piqa", "domain": "a"}]}, "spec.suite.tasks[0].task", ""),
        ({"suite__tasks": [{"task": "a", "domain": "b"}] * 2}, "spec.suite", "more than once"),
        ({"engine__backend": "ollama"}, "spec.engine.backend", "'vllm' or 'transformers'"),
        ({"engine__args": {"trust_remote_code": True}}, "spec.engine.args", "trust_remote_code: can't be set"),
        ({"engine__args": {"dtype": "int8"}}, "spec.engine.args", "set spec.engine.dtype instead"),
        ({"pods__parallelism": 0}, "spec.pods.parallelism", "greater than or equal to 1"),
        ({"frobnicate": 1}, "spec.frobnicate", "unknown field; known here: run, suite, checkpoints"),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(spec: dict[str, Any], path: str, says: str) -> None:
    message = refusal(**spec)
    assert message.startswith(f"eval.yaml: {path}: ")
    assert says in message
    assert "\n" not in message


SOURCE, ANALYSIS = "CheckpointSource", "TrajectoryAnalysis"


@pytest.mark.parametrize(
    ("kind", "spec", "path", "says"),
    [
        (SOURCE, {"uri": "pretrain/tiny"}, "spec.uri", "s3://bucket/prefix/ or file:///folder/"),
        (SOURCE, {"checkpoints__uri": "s3://b/"}, "spec.checkpoints.uri", "unknown field; known here: positions"),
        (SOURCE, {"pollSeconds": 1}, "spec.pollSeconds", "greater than or equal to 5"),
        (SOURCE, {"fullWalkSeconds": 0}, "spec.fullWalkSeconds", "greater than or equal to 60"),
        (SOURCE, {"complete": {"marker": "done/_SUCCESS"}}, "spec.complete.marker", "the name of a file, without `/`"),
        (SOURCE, {"complete": {"settle": 5}}, "spec.complete.settle", "did you mean settleSeconds?"),
        (SOURCE, {"sqs": "arn:aws:sqs:eu:1:q"}, "spec.sqs", "must be the URL of an SQS queue: https://sqs."),
        (SOURCE, {"select": {"last": 3}}, "spec.select.last", "known here: every, from, to"),
        (SOURCE, {"batch": 0}, "spec.batch", "greater than or equal to 1"),
        (SOURCE, {"template__run": {"name": "../x"}}, "spec.template.run.name", "letters, digits"),
        (SOURCE, {"template__checkpoints": {}}, "spec.template.checkpoints", "unknown field"),
        (SOURCE, {"template__suspend": True}, "spec.template.suspend", "unknown field"),
        (SOURCE, {"run": {"name": "x"}}, "spec.run", "unknown field; known here: uri, template, pollSeconds"),
        (ANALYSIS, {"runs": {}}, "spec.runs", "needs one of names, families and all"),
        (ANALYSIS, {"runs": {"all": False}}, "spec.runs", "all must be true, or left out"),
        (ANALYSIS, {"runs": {"names": ["a/b"]}}, "spec.runs.names[0]", "letters, digits"),
        (ANALYSIS, {"horizon": {"tiny": 1e12}}, "spec.horizon.tiny", "integer"),
        (ANALYSIS, {"horizon": {"a b": 1}}, "spec.horizon.a b", "letters, digits"),
        (ANALYSIS, {"debounceSeconds": 3600}, "spec", "maxWaitSeconds is shorter than debounceSeconds"),
        (ANALYSIS, {"references": ["evals"]}, "spec.references[0]", "s3://bucket/prefix/ or file:///folder/"),
        (ANALYSIS, {"pods": {"parallelism": 2}}, "spec.pods.parallelism", "unknown field"),
    ],
)
def test_a_wrong_field_of_a_source_or_an_analysis_is_named(
    kind: str, spec: dict[str, Any], path: str, says: str
) -> None:
    message = refusal(kind, **spec)
    assert message.startswith(f"eval.yaml: {path}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("url", ["https://key:secret@sqs.eu.amazonaws.com/1/q", "https://host/1/q?X-Amz-Signature=1"])
def test_a_queue_is_named_without_credentials(url: str) -> None:
    assert refusal(SOURCE, sqs=url).startswith("eval.yaml: spec.sqs: must be the URL of an SQS queue")


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    told = refusal(checkpoints__uri="s3://AKIAKEY:topsecret@bucket/prefix/")
    assert told.startswith("eval.yaml: spec.checkpoints.uri: the bucket must stand alone")
    assert "topsecret" not in told


def test_several_wrong_fields_are_all_told() -> None:
    lines = refusal(run={"name": "../x", "foo": 1}, engine={"dtype": "int3"}).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["spec.run.name", "spec.run.foo", "spec.engine.dtype"]


def test_a_file_may_hold_several_evaluations_and_the_config_maps_they_name(tmp_path: Path) -> None:
    config_map = {"kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"suite.yaml": "tasks: []"}}
    second = evaluation_values(run__name="other", suite={"configMap": "mine"})
    found = read_resources(write(tmp_path, config_map, evaluation_values(), second))
    assert [each.spec.run.name for each in found.evals] == ["tiny", "other"]
    assert found.config_maps == {"mine": {"suite.yaml": "tasks: []"}}


def test_a_file_may_hold_every_kind(tmp_path: Path) -> None:
    path = write(tmp_path, *(resource_values(kind) for kind in NAMES))
    for kind in NAMES:
        found = read_resources(path, needed=kind)
        assert [len(found.evals), len(found.sources), len(found.analyses)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("there", "needed", "says"),
    [
        ("CheckpointSource", "CheckpointEval", "but a CheckpointSource, which `fineline watch` takes"),
        ("CheckpointEval", "CheckpointSource", "but a CheckpointEval, which `fineline run` takes"),
        ("TrajectoryAnalysis", "CheckpointEval", "but a TrajectoryAnalysis, which the operator alone"),
    ],
)
def test_a_file_with_another_kind_alone_says_who_takes_it(tmp_path: Path, there: str, needed: str, says: str) -> None:
    with pytest.raises(SpecError, match=rf"eval\.yaml: holds no {needed}, ") as caught:
        read_resources(write(tmp_path, resource_values(there)), needed=needed)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no CheckpointEval; start with examples/ or docs/reference/checkpointeval.md"),
        ("[1, 2]", "a mapping is expected"),
        ("kind: Pod", "kind: is 'Pod'"),
        ("a: [", "not valid YAML at line"),
        ("kind: CheckpointEval\nkind: CheckpointEval\n", "'kind' stands twice"),
        ("a: &a [*a]\nkind: CheckpointEval", ""),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_resource_is_told_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "eval.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=r"^.*eval\.yaml: ") as caught:
        read_resources(path)
    assert says in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        read_resources(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not UTF-8"):
        read_resources(tmp_path / "binary.yaml")
    with pytest.raises(SpecError, match="can't be read"):
        read_resources(tmp_path)


PLACES = {
    "CheckpointEval": ("run", "checkpoints", "suite", "engine", "pods", "results", "run__strategy"),
    "CheckpointSource": (
        "uri",
        "template",
        "complete",
        "select",
        "checkpoints",
        "history",
        "sqs",
        "checkpoints__positions",
    ),
    "TrajectoryAnalysis": ("runs", "runs__names", "results", "horizon", "references", "pods", "debounceSeconds"),
}


@pytest.mark.parametrize("kind", NAMES)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_no_value_in_the_spec_crashes_the_reader(kind: str, value: Any) -> None:
    for path in PLACES[kind]:
        with suppress(SpecError):
            validated(KIND[kind].model, resource_values(kind, **{path: value}), "eval.yaml")
