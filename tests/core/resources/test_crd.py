"""The CRD says what the model says, as a structural schema that an API server takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fineline.resources import crd_documents
from fineline.resources.fields import PATTERN_WORDS
from support.resource_rules import BROKEN


def schemas(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "type" in node or "x-kubernetes-preserve-unknown-fields" in node:
            yield path, node
        for name, child in node.get("properties", {}).items():
            yield from schemas(child, f"{path}.{name}")
        for name in ("items", "additionalProperties"):
            if isinstance(node.get(name), dict):
                yield from schemas(node[name], f"{path}[]")


def version() -> dict[str, Any]:
    found: dict[str, Any] = crd_documents()[0]["spec"]["versions"][0]
    return found


def spec() -> dict[str, Any]:
    found: dict[str, Any] = version()["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def test_no_reference_and_no_union_is_left() -> None:
    text = str(crd_documents())
    for word in ("$ref", "$defs", "anyOf", "oneOf", "allOf", "'null'"):
        assert word not in text


def test_every_field_of_the_spec_has_a_description() -> None:
    properties = [(path, node) for path, node in schemas(spec()) if not path.endswith("[]") and path]
    assert len(properties) > 40
    assert [path for path, node in properties if "description" not in node] == []


def status() -> dict[str, Any]:
    found: dict[str, Any] = version()["schema"]["openAPIV3Schema"]["properties"]["status"]
    return found


def rules(node: dict[str, Any]) -> list[dict[str, str]]:
    return [rule for _, child in schemas(node) for rule in child.get("x-kubernetes-validations", ())]


def test_every_optional_field_of_the_spec_says_its_default() -> None:
    silent = []
    for path, node in schemas(spec()):
        required = {*node.get("required", ()), "restartPolicy"}
        for name, child in node.get("properties", {}).items():
            if name not in required and not path.startswith(".pods.template"):
                silent += [f"{path}.{name}"] if "Default: " not in child["description"] else []
    assert silent == []


def test_a_default_that_the_api_server_fills_in_is_the_one_that_is_told() -> None:
    filled = {path: node for path, node in schemas(spec()) if "default" in node}
    assert len(filled) > 10
    for path, node in filled.items():
        told = node["description"].rpartition("Default: ")[2]
        assert told == f"{node['default']}.".replace("True", "true").replace("False", "false"), path


def test_a_block_that_is_left_out_stays_left_out() -> None:
    assert [path for path, node in schemas(spec()) if isinstance(node.get("default"), dict | list)] == []


def test_every_list_map_string_and_number_is_bounded() -> None:
    for path, node in schemas(spec()):
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


def test_every_pattern_has_words_for_people() -> None:
    patterns = {node["pattern"] for _, node in schemas(spec()) if "pattern" in node}
    assert len(patterns) > 5
    assert patterns <= PATTERN_WORDS.keys()


def test_what_a_result_depends_on_is_immutable() -> None:
    texts = [rule["rule"] for rule in rules(spec())]
    for name in ("run", "checkpoints", "suite", "engine", "results"):
        assert sum(f"self.{name} == oldSelf.{name}" in text for text in texts) == 1


def test_every_rule_has_a_message_of_its_own_and_a_resource_that_breaks_it() -> None:
    messages = [rule["message"] for rule in rules(spec()) if not rule["message"].startswith("names have")]
    assert len(messages) == len(set(messages))
    broken = {message for _, _, message in BROKEN.values()}
    assert {rule["message"] for rule in rules(spec()) if "oldSelf" not in rule["rule"]} == broken


def test_the_status_can_be_applied_by_several_writers() -> None:
    conditions = status()["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert status()["properties"]["failures"]["x-kubernetes-list-type"] == "atomic"
    assert status()["properties"]["failures"]["maxItems"] == 20


def test_nothing_in_the_status_is_free_or_filled_in() -> None:
    nodes = list(schemas(status()))
    assert [path for path, node in nodes if "x-kubernetes-preserve-unknown-fields" in node or "default" in node] == []
    assert [path for path, node in nodes if path and not path.endswith("[]") and "description" not in node] == []


def test_times_are_times() -> None:
    times = {path for path, node in schemas(status()) if node.get("format") == "date-time"}
    assert times == {".conditions[].lastTransitionTime", ".startTime", ".completionTime"}


def test_free_values_are_let_through() -> None:
    free = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
    assert spec()["properties"]["engine"]["properties"]["args"]["additionalProperties"] == free
    template = spec()["properties"]["pods"]["properties"]["template"]
    assert template["x-kubernetes-preserve-unknown-fields"]
    assert template["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"]


def test_the_columns_and_names_are_those_of_the_design() -> None:
    names = crd_documents()[0]["spec"]["names"]
    assert names["shortNames"] == ["ckeval"]
    assert names["categories"] == ["fineline"]
    shown = [column["name"] for column in version()["additionalPrinterColumns"] if column["priority"] == 0]
    assert shown == ["Run", "Checkpoints", "Progress", "Succeeded", "Reason", "Age"]
    wide = [column["name"] for column in version()["additionalPrinterColumns"] if column["priority"] == 1]
    assert wide == ["Queue", "Suite", "Results"]
    assert version()["subresources"] == {"status": {}}
