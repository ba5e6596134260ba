"""The CRD of each kind says what its model says, as a structural schema that an API server takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fineline.resources import crd_documents
from fineline.resources.crd import crd_document
from fineline.resources.fields import PATTERN_WORDS
from fineline.resources.kinds import Kind
from support.resource_rules import BROKEN, KEYS
from support.resources import KIND, NAMES


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KIND[request.param]


def schemas(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "type" in node or "x-kubernetes-preserve-unknown-fields" in node:
            yield path, node
        for name, child in node.get("properties", {}).items():
            yield from schemas(child, f"{path}.{name}")
        for name in ("items", "additionalProperties"):
            if isinstance(node.get(name), dict):
                yield from schemas(node[name], f"{path}[]")


def version(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = crd_document(kind)["spec"]["versions"][0]
    return found


def spec(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = version(kind)["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def status(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = version(kind)["schema"]["openAPIV3Schema"]["properties"]["status"]
    return found


def rules(node: dict[str, Any]) -> list[dict[str, str]]:
    return [rule for _, child in schemas(node) for rule in child.get("x-kubernetes-validations", ())]


def test_there_is_a_crd_for_each_kind() -> None:
    assert [document["spec"]["names"]["kind"] for document in crd_documents()] == list(NAMES)


def test_no_reference_and_no_union_is_left(kind: Kind) -> None:
    text = str(crd_document(kind))
    for word in ("$ref", "$defs", "anyOf", "oneOf", "allOf", "'null'"):
        assert word not in text


def test_every_field_of_the_spec_has_a_description(kind: Kind) -> None:
    properties = [(path, node) for path, node in schemas(spec(kind)) if not path.endswith("[]") and path]
    assert len(properties) > 20
    assert [path for path, node in properties if "description" not in node] == []


def test_every_optional_field_of_the_spec_says_its_default(kind: Kind) -> None:
    silent = []
    for path, node in schemas(spec(kind)):
        required = {*node.get("required", ()), "restartPolicy"}
        for name, child in node.get("properties", {}).items():
            if name not in required and ".pods.template" not in path:
                silent += [f"{path}.{name}"] if "Default: " not in child["description"] else []
    assert silent == []


def test_a_default_that_the_api_server_fills_in_is_the_one_that_is_told(kind: Kind) -> None:
    filled = {path: node for path, node in schemas(spec(kind)) if "default" in node}
    assert len(filled) >= 4
    for path, node in filled.items():
        told = node["description"].rpartition("Default: ")[2]
        assert told == f"{node['default']}.".replace("True", "true").replace("False", "false"), path


def test_a_block_that_is_left_out_stays_left_out(kind: Kind) -> None:
    assert [path for path, node in schemas(spec(kind)) if isinstance(node.get("default"), dict | list)] == []


def test_every_list_map_string_and_number_is_bounded(kind: Kind) -> None:
    for path, node in schemas(spec(kind)):
        match node.get("type"):
            case "array":
                assert "maxItems" in node, path
            case "string" if "enum" not in node:
                assert "maxLength" in node, path
            case "integer":
                assert -(2**53) < node["minimum"] < node["maximum"] < 2**63, path
                assert node["format"] == "int64", path
            case "object" if "additionalProperties" in node:
                assert node["maxProperties"] <= 512, path


def test_every_pattern_has_words_for_people(kind: Kind) -> None:
    patterns = {node["pattern"] for _, node in schemas(spec(kind)) if "pattern" in node}
    assert len(patterns) > 3
    assert patterns <= PATTERN_WORDS.keys()


def test_a_suite_lists_each_task_once() -> None:
    tasks = spec(KIND["CheckpointEval"])["properties"]["suite"]["properties"]["tasks"]
    assert (tasks["x-kubernetes-list-type"], tasks["x-kubernetes-list-map-keys"]) == ("map", ["task"])
    assert "task" in tasks["items"]["required"]


def test_what_a_result_depends_on_is_immutable_in_a_checkpointeval() -> None:
    texts = [rule["rule"] for rule in rules(spec(KIND["CheckpointEval"]))]
    for name in ("run", "checkpoints", "suite", "engine", "results"):
        assert sum(f"self.{name} == oldSelf.{name}" in text for text in texts) == 1


@pytest.mark.parametrize("name", ["CheckpointSource", "TrajectoryAnalysis"])
def test_all_of_a_source_and_an_analysis_can_be_edited(name: str) -> None:
    assert "oldSelf" not in str(spec(KIND[name]))


def test_every_rule_has_a_message_of_its_own_and_a_resource_that_breaks_it(kind: Kind) -> None:
    messages = [rule["message"] for rule in rules(spec(kind)) if not rule["message"].startswith(KEYS)]
    assert len(messages) == len(set(messages))
    broken = {message for _, _, message in BROKEN[kind.name].values()}
    assert {rule["message"] for rule in rules(spec(kind)) if "oldSelf" not in rule["rule"]} == broken


LISTS = {
    "CheckpointEval": {"failures": 20},
    "CheckpointSource": {"waitingOn": 20},
    "TrajectoryAnalysis": {"verdicts": 50, "leftOut": 20},
}


def test_the_status_can_be_applied_by_several_writers(kind: Kind) -> None:
    properties = status(kind)["properties"]
    conditions = properties["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    for name, most in LISTS[kind.name].items():
        assert properties[name]["x-kubernetes-list-type"] == "atomic"
        assert properties[name]["maxItems"] == most
    lists = {name for name, node in properties.items() if node["type"] == "array"}
    assert lists == {"conditions", *LISTS[kind.name]}


def test_nothing_in_the_status_is_free_or_filled_in(kind: Kind) -> None:
    nodes = list(schemas(status(kind)))
    assert [path for path, node in nodes if "x-kubernetes-preserve-unknown-fields" in node or "default" in node] == []
    assert [path for path, node in nodes if path and not path.endswith("[]") and "description" not in node] == []


TIMES = {
    "CheckpointEval": {".startTime", ".completionTime"},
    "CheckpointSource": {".newest.seenAt", ".newest.evaluatedAt", ".waitingSince", ".lastListed"},
    "TrajectoryAnalysis": {".verdicts[].since", ".publishedAt", ".lastRun.startTime", ".lastRun.completionTime"},
}


def test_times_are_times(kind: Kind) -> None:
    times = {path for path, node in schemas(status(kind)) if node.get("format") == "date-time"}
    assert times == TIMES[kind.name] | {".conditions[].lastTransitionTime"}


@pytest.mark.parametrize("path", [("CheckpointEval",), ("CheckpointSource", "template"), ("TrajectoryAnalysis",)])
def test_free_values_are_let_through(path: tuple[str, ...]) -> None:
    name, *above = path
    block = spec(KIND[name])
    for step in above:
        block = block["properties"][step]
    template = block["properties"]["pods"]["properties"]["template"]
    assert template["x-kubernetes-preserve-unknown-fields"]
    assert template["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"]
    if "engine" in block["properties"]:
        free = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
        assert block["properties"]["engine"]["properties"]["args"]["additionalProperties"] == free


COLUMNS = {
    "CheckpointEval": (
        "ckeval",
        ["Run", "Checkpoints", "Progress", "Succeeded", "Reason", "Age"],
        ["Queue", "Suite", "Results"],
    ),
    "CheckpointSource": (
        "cksrc",
        ["Run", "Found", "Evaluated", "Failed", "Newest", "Ready", "Age"],
        ["Reason", "Waiting", "URI"],
    ),
    "TrajectoryAnalysis": ("traj", ["Runs", "State", "Report", "Ready", "Age"], ["Reason", "Analysed"]),
}


def test_the_columns_and_names_are_those_of_the_design(kind: Kind) -> None:
    short, narrow, wide = COLUMNS[kind.name]
    names = crd_document(kind)["spec"]["names"]
    assert names["shortNames"] == [short]
    assert names["categories"] == ["fineline"]
    columns = version(kind)["additionalPrinterColumns"]
    assert [column["name"] for column in columns if column["priority"] == 0] == narrow
    assert [column["name"] for column in columns if column["priority"] == 1] == wide
    assert version(kind)["subresources"] == {"status": {}}
