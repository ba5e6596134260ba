"""The API server takes, keeps, shows and refuses resources of every kind as the models and the reference pages say.

`test_evaluation.py` has what only a CheckpointEval has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fineline.resources import validated
from fineline.resources.source_status import CheckpointSourceStatus
from support.control_plane import ControlPlane
from support.kube_api import ApiError
from support.place import NOW, Place, condition
from support.resource_rules import BROKEN, CASES
from support.resources import KIND, NAMES, largest_spec, resource_values
from support.specs import SPECS

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
CONDITIONS = [condition("Ready", reason="UpToDate"), condition("Reconciling", "False"), condition("Stalled", "False")]


@pytest.fixture(scope="module")
def dry(cluster: ControlPlane, module_namespace: str) -> dict[str, Place]:
    """By kind. Nothing is created here."""
    return {kind: Place(cluster.admin, module_namespace, kind) for kind in NAMES}


@pytest.fixture
def sources(cluster: ControlPlane, namespace: str) -> Place:
    return Place(cluster.admin, namespace, "CheckpointSource")


@pytest.fixture
def analyses(cluster: ControlPlane, namespace: str) -> Place:
    return Place(cluster.admin, namespace, "TrajectoryAnalysis")


# Rules


@pytest.mark.parametrize(("kind", "broken"), CASES)
def test_a_broken_rule_is_refused_with_its_own_message_and_field(dry: dict[str, Place], kind: str, broken: str) -> None:
    spec, path, message = BROKEN[kind][broken]
    told = dry[kind].refusal(resource_values(kind, **spec))
    assert f"{path}: Invalid value: " in told
    assert message in told
    others = {other for _, _, other in BROKEN[kind].values()} - {message}
    assert not any(other in told for other in others)


# What is taken


@pytest.mark.parametrize("kind", NAMES)
@settings(max_examples=120, derandomize=True)
@given(data=st.data())
def test_the_api_server_takes_what_the_model_takes(dry: dict[str, Place], kind: str, data: st.DataObject) -> None:
    spec = data.draw(SPECS[kind]())
    values = {**resource_values(kind), "metadata": {"generateName": "any-"}, "spec": spec}
    told = said = ""
    try:
        dry[kind].create(values, dryRun="All")
    except ApiError as error:
        told = str(error)
    try:
        KIND[kind].model.model_validate({**values, "metadata": {"name": "any"}})
    except ValidationError as error:
        said = str(error)
    # 400: an unknown field; 422: anything else. Another status would be no answer to the question.
    assert not told or told.startswith(("400 ", "422 "))
    assert bool(told) == bool(said), told or said


@pytest.mark.parametrize(("kind", "above"), [("CheckpointEval", ""), ("CheckpointSource", "template.")])
def test_a_task_that_is_listed_twice_is_refused(dry: dict[str, Place], kind: str, above: str) -> None:
    task = {"task": "piqa", "domain": "reasoning"}
    field = f"{above}suite.tasks"
    told = dry[kind].refusal(resource_values(kind, **{field.replace(".", "__"): [task, task]}))
    assert f'spec.{field}[1]: Duplicate value: {{"task":"piqa"}}' in told


@pytest.mark.parametrize("kind", NAMES)
def test_the_largest_resource_is_taken_and_edited_within_the_budget_of_its_rules(
    cluster: ControlPlane, namespace: str, kind: str
) -> None:
    """An API server gives up on rules that take too long, and then nothing could be applied."""
    place = Place(cluster.admin, namespace, kind)
    made = place.create({**resource_values(kind), "spec": largest_spec(kind)})
    assert KIND[kind].model.model_validate(made)
    assert place.patch({"suspend": True})["metadata"]["generation"] == 2


@pytest.mark.parametrize("kind", NAMES)
def test_what_the_api_server_keeps_the_model_reads(dry: dict[str, Place], kind: str) -> None:
    values = yaml.safe_load((REFERENCE / f"{KIND[kind].singular}.yaml").read_text())
    kept = dry[kind].create(values, dryRun="All")
    model = KIND[kind].model
    assert validated(model, kept, "kept").spec == validated(model, values, "given").spec  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_the_page_s_examples_applied_again_change_nothing(
    sources: Place, analyses: Place, kubectl: Callable[..., str], options: tuple[str, ...]
) -> None:
    files = [str(REFERENCE / f"{KIND[place.kind].singular}.yaml") for place in (sources, analyses)]
    for _ in range(2):
        kubectl("apply", *options, "-f", files[0], "-f", files[1])
    for place in (sources, analyses):
        (there,) = place.api.items(place.path)
        assert there["metadata"]["generation"] == 1


def test_defaults_are_served(dry: dict[str, Place]) -> None:
    blocks: dict[str, Any] = {"complete": {}, "history": {}, "checkpoints": {}, "template__pods": {}}
    source = dry["CheckpointSource"].create(resource_values("CheckpointSource", **blocks), dryRun="All")["spec"]
    assert source["complete"] == {"settleSeconds": 60}
    assert source["history"] == {"succeeded": 10, "failed": 10}
    assert source["template"]["pods"] == {"parallelism": 1, "attempts": 3}
    assert (source["pollSeconds"], source["fullWalkSeconds"]) == (60, 3600)
    assert (source["batch"], source["maxWaitSeconds"], source["suspend"]) == (8, 600, False)
    analysis = dry["TrajectoryAnalysis"].create(resource_values("TrajectoryAnalysis"), dryRun="All")["spec"]
    assert analysis == {
        "runs": {"names": ["tiny"]},
        "debounceSeconds": 120,
        "maxWaitSeconds": 1800,
        "history": 5,
        "suspend": False,
    }


def test_a_source_and_an_analysis_can_be_edited_in_every_part(sources: Place, analyses: Place) -> None:
    sources.create(resource_values("CheckpointSource"))
    analyses.create(resource_values("TrajectoryAnalysis"))
    moved = {"run": {"name": "other"}, "suite": {"tasks": None, "name": "loss"}, "results": "s3://other/"}
    edited = sources.patch({"uri": "s3://pretrain/other/", "template": moved, "select": {"every": 2}})
    assert edited["metadata"]["generation"] == 2
    edited = analyses.patch({"runs": {"names": None, "all": True}, "results": "s3://other/", "history": 1})
    assert edited["metadata"]["generation"] == 2


def test_an_engine_argument_and_a_pod_template_of_a_source_are_kept_as_they_are(dry: dict[str, Place]) -> None:
    args = {"enforce_eager": None, "compilation_config": {"a": [1, {"b": None}]}}
    template = {"spec": {"nodeSelector": None, "affinity": {"nodeAffinity": {}}}}
    values = resource_values("CheckpointSource", template__engine={"args": args}, template__pods__template=template)
    kept = dry["CheckpointSource"].create(values, dryRun="All")["spec"]["template"]
    assert kept["engine"]["args"] == args
    assert kept["pods"]["template"] == template


# kubectl


def test_kubectl_shows_a_source_and_with_wide_what_waits(sources: Place, kubectl: Callable[..., str]) -> None:
    sources.create(resource_values("CheckpointSource"))
    sources.apply_status(
        {
            "conditions": [condition("Ready", reason="Evaluating")],
            "checkpoints": {"found": 40, "complete": 38, "evaluated": 30, "failed": 1, "waiting": 7},
            "newest": {"branch": "main", "step": 12_000},
        },
        "operator",
    )
    head, row = (line.split() for line in kubectl("get", "cksrc").splitlines())
    assert head == ["NAME", "RUN", "FOUND", "EVALUATED", "FAILED", "NEWEST", "READY", "AGE"]
    assert row[:7] == ["tiny", "tiny", "40", "30", "1", "12000", "True"]
    head, row = (line.split() for line in kubectl("get", "checkpointsources", "-o", "wide").splitlines())
    assert head[8:] == ["REASON", "WAITING", "URI"]
    assert row[8:] == ["Evaluating", "7", "s3://pretrain/tiny/"]


def test_kubectl_shows_an_analysis_and_with_wide_when_it_was(analyses: Place, kubectl: Callable[..., str]) -> None:
    analyses.create(resource_values("TrajectoryAnalysis"))
    report = "s3://evals/results/analyses/evals.tiny/report.html"
    analyses.apply_status(
        {
            "conditions": [condition("Ready", "False", reason="Debouncing")],
            "runs": 3,
            "worst": "plateaued",
            "report": report,
            "lastRun": {"jobName": "tiny-1", "completionTime": NOW, "commits": 5},
        },
        "operator",
    )
    head, row = (line.split() for line in kubectl("get", "traj").splitlines())
    assert head == ["NAME", "RUNS", "STATE", "REPORT", "READY", "AGE"]
    assert row[:5] == ["tiny", "3", "plateaued", report, "False"]
    head, row = (line.split() for line in kubectl("get", "trajectoryanalyses", "-o", "wide").splitlines())
    assert head[6:] == ["REASON", "ANALYSED"]
    assert row[6] == "Debouncing"


def test_the_category_shows_all_three_kinds(kubectl: Callable[..., str]) -> None:
    kubectl("apply", "-f", "-", given="\n---\n".join(json.dumps(resource_values(kind)) for kind in NAMES))
    told = kubectl("get", "fineline", "-o", "name").split()
    assert told == [f"{KIND[kind].singular}.fineline.dev/tiny" for kind in NAMES]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("cksrc.spec", "uri\t<string> -required-"),
        ("cksrc.spec.template.suite", "A ConfigMap with suite.yaml and task YAMLs"),
        ("cksrc.spec.complete", "Default: none is waited for."),
        ("cksrc.spec.pollSeconds", "Default: 60."),
        ("cksrc.status.waitingOn", "What is missing, and what to do."),
        ("traj.spec.runs", "names\t<[]string>"),
        ("traj.spec.horizon", "Default: twice the tokens seen."),
        ("traj.spec.pods.template.spec", "in a TrajectoryAnalysis: analysis"),
        ("traj.status.verdicts", "The fact that decided it."),
    ],
)
def test_kubectl_explains(kubectl: Callable[..., str], path: str, says: str) -> None:
    told = kubectl("explain", path)
    # kubectl breaks the lines of what it explains.
    assert says in told or says in " ".join(told.split())


def test_kubectl_refuses_an_unknown_field_by_its_path(kubectl: Callable[..., str]) -> None:
    wrong = resource_values("CheckpointSource", template__run={"name": "tiny", "tokenPerStep": 1})
    told = kubectl("create", "-f", "-", given=json.dumps(wrong), check=False)
    assert 'unknown field "spec.template.run.tokenPerStep"' in told


def test_kubectl_waits_until_a_source_is_ready(sources: Place, kubectl: Callable[..., str]) -> None:
    sources.create(resource_values("CheckpointSource"))
    sources.apply_status({"conditions": CONDITIONS}, "operator")
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "cksrc/tiny", "--timeout=20s")


# Status


def test_a_full_status_is_taken_and_read_again(sources: Place) -> None:
    waiting = [{"checkpoint": f"step{step}", "reason": "ShardMissing", "message": "é"} for step in range(20)]
    status = CheckpointSourceStatus.model_validate(
        {
            "observedGeneration": 1,
            "conditions": CONDITIONS,
            "checkpoints": {"found": 2**40, "complete": 1, "evaluated": 0, "failed": 0, "waiting": 1},
            "newest": {"branch": "é", "step": 5, "tokens": 10**18, "seenAt": NOW, "evaluatedAt": NOW},
            "waitingOn": waiting,
            "lastListed": NOW,
        }
    )
    sources.create(resource_values("CheckpointSource"))
    kept = sources.apply_status(status.model_dump(mode="json", exclude_none=True), "operator")
    assert CheckpointSourceStatus.model_validate(kept["status"]) == status


def test_the_newest_checkpoint_is_written_anew_as_a_whole(sources: Place) -> None:
    """What the newest has no result of yet must not keep the time at which the one before had its."""
    sources.create(resource_values("CheckpointSource"))
    sources.apply_status({"newest": {"branch": "main", "step": 1, "evaluatedAt": NOW}}, "operator")
    kept = sources.apply_status({"newest": {"branch": "main", "step": 2}}, "operator")
    assert kept["status"]["newest"] == {"branch": "main", "step": 2}


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("CheckpointSource", {"waitingOn": [{"checkpoint": "a", "reason": "B"}] * 21}, "must have at most 20 items"),
        ("CheckpointSource", {"checkpoints": {"found": 1}}, "Required value"),
        ("CheckpointSource", {"lastListed": "yesterday"}, "must be of type date-time"),
        ("TrajectoryAnalysis", {"verdicts": [{"run": "a", "state": "b"}] * 51}, "must have at most 50 items"),
        ("TrajectoryAnalysis", {"leftOut": ["x"] * 21}, "must have at most 20 items"),
        ("TrajectoryAnalysis", {"phase": "Done"}, "field not declared in schema"),
    ],
)
def test_a_status_that_nobody_could_read_is_refused(
    cluster: ControlPlane, namespace: str, kind: str, status: dict[str, Any], told: str
) -> None:
    place = Place(cluster.admin, namespace, kind)
    place.create(resource_values(kind))
    with pytest.raises(ApiError, match=told):
        place.apply_status(status, "operator")
