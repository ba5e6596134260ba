"""The API server takes, keeps, shows and refuses CheckpointEvals as the models and the reference page say.

`test_kinds.py` has what all kinds have in common.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fineline.resources.status import CheckpointEvalStatus
from support.control_plane import ControlPlane
from support.evaluations import evaluation_values
from support.kube_api import ApiError
from support.place import NOW, Place, condition

EXAMPLE = Path(__file__).parents[3] / "docs" / "reference" / "checkpointeval.yaml"

# A spec in which every field that can't change is set.
WHOLE: dict[str, Any] = {
    "run": {"name": "tiny", "tokensPerStep": 1000, "strategy": {"data": "mix"}},
    "checkpoints": {"uri": "s3://pretrain/tiny/", "positions": {"last": {"step": 9}}, "select": {"every": 2}},
    "suite": {"name": "loss", "tasks": [{"task": "piqa", "domain": "reasoning"}]},
    "engine": {"maxModelLen": 128, "args": {"max_num_seqs": 4, "compilation_config": {"level": 0}}},
    "results": "s3://evals/results/",
}


@pytest.fixture(scope="module")
def dry(cluster: ControlPlane, module_namespace: str) -> Place:
    """Nothing is created here, but for the one evaluation that edits are tried on."""
    place = Place(cluster.admin, module_namespace)
    place.create({**evaluation_values(), "spec": WHOLE})
    return place


@pytest.fixture
def place(cluster: ControlPlane, namespace: str) -> Place:
    return Place(cluster.admin, namespace)


# What can change


EDITS: dict[str, dict[str, Any]] = {
    "the run's name": {"run": {"name": "other"}},
    "a field of the run added": {"run": {"family": "tiny"}},
    "a field of the run removed": {"run": {"tokensPerStep": None}},
    "a label renamed": {"run": {"strategy": {"data": None, "date": "mix"}}},
    "the checkpoints' place": {"checkpoints": {"uri": "s3://pretrain/other/"}},
    "a field of the checkpoints added": {"checkpoints": {"tokenizer": "s3://pretrain/tokenizer/"}},
    "the selection removed": {"checkpoints": {"select": None}},
    "a position renamed": {"checkpoints": {"positions": {"last": None, "lost": {"step": 9}}}},
    "a position moved": {"checkpoints": {"positions": {"last": {"step": 10}}}},
    "the suite": {"suite": {"name": "fine-line"}},
    "the suite's tasks": {"suite": {"tasks": [{"task": "boolq", "domain": "reasoning"}]}},
    "the suite's tasks removed": {"suite": {"tasks": None}},
    "data sets added": {"suite": {"datasets": "s3://mirror/"}},
    "the engine's type": {"engine": {"dtype": "float32"}},
    "the engine removed": {"engine": None},
    "the window removed": {"engine": {"maxModelLen": None}},
    "an engine argument changed": {"engine": {"args": {"max_num_seqs": 8}}},
    "an engine argument renamed": {"engine": {"args": {"max_num_seqs": None, "block_size": 4}}},
    "an engine argument changed within": {"engine": {"args": {"compilation_config": {"level": 1}}}},
    "an engine argument renamed within": {"engine": {"args": {"compilation_config": {"level": None, "mode": 0}}}},
    "the results": {"results": "s3://evals/others/"},
    "the results removed": {"results": None},
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_a_result_depends_on_can_t_change(dry: Place, edit: str) -> None:
    (field,) = EDITS[edit]
    with pytest.raises(ApiError) as caught:
        dry.patch(EDITS[edit], dryRun="All")
    message = f"{field} can't change: make a new CheckpointEval; results that still hold are reused"
    assert caught.value.message.count("can't change") == 1
    assert f"spec.{field}: Invalid value: " in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize("added", [{"engine": {"dtype": "float32"}}, {"engine": {}}, {"results": "s3://evals/"}])
def test_what_was_left_out_can_t_be_added(place: Place, added: dict[str, Any]) -> None:
    place.create(evaluation_values())
    (field,) = added
    with pytest.raises(ApiError, match=f"{field} can't change"):
        place.patch(added)


@pytest.mark.parametrize(
    "edit",
    [
        {"suspend": True},
        {"queueName": "research"},
        {"queueName": "research", "priorityClassName": "high"},
        {"ttlSecondsAfterFinished": 0},
        {"pods": {"parallelism": 8, "attempts": 5, "deadlineSeconds": 60}},
        {"pods": {"template": {"spec": {"nodeSelector": {"gpu": "h200"}}}, "secretName": "keys"}},
    ],
    ids=str,
)
def test_how_it_is_run_can_change(dry: Place, edit: dict[str, Any]) -> None:
    changed = dry.patch(edit, dryRun="All")
    assert changed["metadata"]["generation"] == 2


@pytest.mark.parametrize("options", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_the_same_file_applied_again_changes_nothing(
    place: Place, kubectl: Callable[..., str], options: tuple[str, ...]
) -> None:
    values = evaluation_values(
        suite={"tasks": [{"task": "piqa", "shots": None, "limit": None, "domain": "reasoning"}]},
        engine={"args": {"enforce_eager": None}},
    )
    for _ in range(2):
        kubectl("apply", *options, "-f", "-", given=json.dumps(values))
    (there,) = place.api.items(place.path)
    assert there["metadata"]["generation"] == 1


# What is taken


def test_defaults_are_served(place: Place) -> None:
    spec = place.create(evaluation_values(pods={}, engine={}, checkpoints__pinned=[{"step": 1}]))["spec"]
    assert spec["suspend"] is False
    assert spec["ttlSecondsAfterFinished"] == 604_800
    assert spec["pods"] == {"parallelism": 1, "attempts": 3}
    assert spec["engine"] == {"backend": "vllm", "dtype": "bfloat16", "tensorParallelSize": 1}
    assert spec["checkpoints"]["pinned"] == [{"branch": "main", "step": 1}]
    assert spec["checkpoints"]["allowPickle"] is False


def test_a_block_that_is_left_out_stays_left_out(dry: Place) -> None:
    spec = dry.create({**evaluation_values(), "metadata": {"name": "other"}}, dryRun="All")["spec"]
    assert {"engine", "pods", "results", "queueName"} & spec.keys() == set()


def test_a_pod_template_is_kept_as_it_is_given(dry: Place) -> None:
    template = {
        "metadata": {"labels": {"team": None}, "annotations": {"a": "b"}},
        "spec": {
            "nodeSelector": None,
            "volumes": [{"name": "scratch", "emptyDir": None, "hostPath": {"path": "/disk"}}],
            "containers": [{"name": "evaluator", "resources": {"limits": {"memory": "64Gi", "cpu": 2}}}],
            "affinity": {"nodeAffinity": {}},
        },
    }
    values = {**evaluation_values(pods__template=template), "metadata": {"name": "other"}}
    assert dry.create(copy.deepcopy(values), dryRun="All")["spec"]["pods"]["template"] == template


def test_an_engine_argument_may_be_anything_even_null(dry: Place) -> None:
    args = {"enforce_eager": None, "max_num_seqs": 4, "compilation_config": {"a": [1, {"b": None}]}, "threads": "x"}
    values = {**evaluation_values(engine={"args": args}), "metadata": {"name": "other"}}
    assert dry.create(copy.deepcopy(values), dryRun="All")["spec"]["engine"]["args"] == args


# kubectl


def test_kubectl_takes_the_page_s_example_and_refuses_an_unknown_field(kubectl: Callable[..., str]) -> None:
    assert "amber-7b created" in kubectl("create", "-f", str(EXAMPLE))
    wrong = evaluation_values(run={"name": "tiny", "tokenPerStep": 1})
    told = kubectl("create", "-f", "-", given=json.dumps(wrong), check=False)
    assert 'unknown field "spec.run.tokenPerStep"' in told


def test_kubectl_shows_what_matters_and_with_wide_the_rest(place: Place, kubectl: Callable[..., str]) -> None:
    place.create(evaluation_values(suite={"configMap": "my-suite"}, queueName="research"))
    place.apply_status(
        {
            "conditions": [condition("Succeeded", "Unknown", reason="Running")],
            "plan": {"digest": "d", "checkpoints": 36, "units": 504, "reused": 120},
            "progress": {"published": 288, "failed": 2, "of": 384, "text": "290/384"},
            "results": "s3://evals/results/units/run=tiny/",
        },
        "operator",
    )
    head, row = (line.split() for line in kubectl("get", "ckeval").splitlines())
    assert head == ["NAME", "RUN", "CHECKPOINTS", "PROGRESS", "SUCCEEDED", "REASON", "AGE"]
    assert row[:6] == ["tiny", "tiny", "36", "290/384", "Unknown", "Running"]
    head, row = (line.split() for line in kubectl("get", "checkpointevals", "-o", "wide").splitlines())
    assert head[7:] == ["QUEUE", "SUITE", "RESULTS"]
    assert row[7:] == ["research", "my-suite", "s3://evals/results/units/run=tiny/"]
    # The category: whatever kinds of Fineline there are.
    assert "tiny" in kubectl("get", "fineline")


def test_kubectl_waits_for_success(place: Place, kubectl: Callable[..., str]) -> None:
    place.create(evaluation_values())
    place.apply_status({"conditions": [condition("Succeeded")]}, "operator")
    assert "condition met" in kubectl("wait", "--for=condition=Succeeded", "ckeval/tiny", "--timeout=20s")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("spec", "ttlSecondsAfterFinished\t<integer>"),
        ("spec.checkpoints", "uri\t<string> -required-"),
        ("spec.checkpoints", "Default: all complete ones."),
        ("spec.engine.dtype", "Default: bfloat16."),
        ("spec.pods.template.spec", "nodeSelector\t<map[string]string>"),
        ("status.conditions", "lastTransitionTime\t<string> -required-"),
        ("status.failures", "What is wrong and how to mend it."),
    ],
)
def test_kubectl_explains(kubectl: Callable[..., str], path: str, says: str) -> None:
    assert says in kubectl("explain", f"ckeval.{path}")


# Status


def test_spec_and_status_are_written_apart(place: Place) -> None:
    made = place.create(evaluation_values() | {"status": {"jobName": "forged"}})
    assert "status" not in made
    edited = place.api.patch(f"{place.path}/tiny", {"spec": {"suspend": True}, "status": {"jobName": "forged"}})
    assert "status" not in edited
    written = place.api.patch(f"{place.path}/tiny/status", {"spec": {"suspend": False}, "status": {"jobName": "a"}})
    assert written["status"] == {"jobName": "a"}
    assert written["spec"]["suspend"] is True
    assert written["metadata"]["generation"] == 2


def test_conditions_of_several_writers_merge_by_type(place: Place) -> None:
    place.create(evaluation_values())
    place.apply_status({"conditions": [condition("Planned"), condition("Succeeded", "Unknown")]}, "operator")
    both = place.apply_status({"conditions": [condition("Reviewed")]}, "someone")
    assert [one["type"] for one in both["status"]["conditions"]] == ["Planned", "Succeeded", "Reviewed"]
    # What a writer no longer names is taken away, and the others' stays.
    left = place.apply_status({"conditions": [condition("Succeeded")]}, "operator")
    assert [(one["type"], one["status"]) for one in left["status"]["conditions"]] == [
        ("Succeeded", "True"),
        ("Reviewed", "True"),
    ]
    with pytest.raises(ApiError, match="conflict"):
        place.apply_status({"conditions": [condition("Succeeded", "False")]}, "someone")


def test_a_full_status_is_taken_and_read_again(place: Place) -> None:
    status = CheckpointEvalStatus.model_validate(
        {
            "observedGeneration": 1,
            "conditions": [condition(kind) for kind in ("Planned", "Admitted", "Succeeded", "Reconciling", "Stalled")],
            "plan": {"digest": "d" * 64, "checkpoints": 1, "units": 2**40, "reused": 0, "putAside": 3, "slices": 4},
            "progress": {"published": 1, "failed": 0, "of": 1, "text": "1/1"},
            "failures": [{"checkpoint": f"step {step}", "reason": "TensorMissing"} for step in range(20)],
            "results": "s3://evals/results/",
            "jobName": "tiny-1",
            "retry": "é",
            "startTime": NOW,
            "completionTime": NOW,
        }
    )
    place.create(evaluation_values())
    kept = place.apply_status(status.model_dump(mode="json", exclude_none=True), "operator")
    assert CheckpointEvalStatus.model_validate(kept["status"]) == status


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"failures": [{"checkpoint": "a", "reason": "B"}] * 21}, "must have at most 20 items"),
        ({"conditions": [condition("Succeeded", "Yes")]}, 'Unsupported value: "Yes"'),
        ({"conditions": [condition("Succeeded", reason="not one word")]}, "should match"),
        ({"startTime": "yesterday"}, "must be of type date-time"),
        ({"phase": "Done"}, "field not declared in schema"),
    ],
    ids=["failures", "status", "reason", "time", "phase"],
)
def test_a_status_that_nobody_could_read_is_refused(place: Place, status: dict[str, Any], told: str) -> None:
    place.create(evaluation_values())
    with pytest.raises(ApiError, match=told):
        place.apply_status(status, "operator")
