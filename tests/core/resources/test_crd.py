"""The CRD says what the model says, as a structural schema that an API server takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fineline.resources import crd_documents


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


def test_every_list_and_map_is_bounded_and_every_string_where_it_can_be() -> None:
    for path, node in schemas(spec()):
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node or "pattern" in node, path


def test_what_a_result_depends_on_is_immutable() -> None:
    rules = [rule["rule"] for rule in spec()["x-kubernetes-validations"]]
    for name in ("run", "checkpoints", "suite", "engine", "results"):
        assert any(f"self.{name} == oldSelf.{name}" in rule for rule in rules)


def test_free_values_are_let_through() -> None:
    free = {"x-kubernetes-preserve-unknown-fields": True}
    assert spec()["properties"]["engine"]["properties"]["args"]["additionalProperties"] == free
    assert spec()["properties"]["pods"]["properties"]["template"]["additionalProperties"] == free


def test_the_columns_and_names_are_those_of_the_design() -> None:
    names = crd_documents()[0]["spec"]["names"]
    assert names["shortNames"] == ["ckeval"]
    assert names["categories"] == ["fineline"]
    shown = [column["name"] for column in version()["additionalPrinterColumns"] if column["priority"] == 0]
    assert shown == ["Run", "Checkpoints", "Progress", "Succeeded", "Reason", "Age"]
    assert version()["subresources"] == {"status": {}}
