"""Partial pod templates, one over another."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.errors import SpecError
from fineline_operator.jobs.merge import merged

PATH = "spec.pods.template"


def over(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    return merged(base, patch, PATH)


def evaluator(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "evaluator", **fields}]}}


def test_maps_are_merged() -> None:
    base = {"spec": {"nodeSelector": {"zone": "a"}}, "metadata": {"labels": {"x": "1"}}}
    patch = {"spec": {"nodeSelector": {"gpu": "h100"}}}
    assert over(base, patch) == {
        "spec": {"nodeSelector": {"zone": "a", "gpu": "h100"}},
        "metadata": {"labels": {"x": "1"}},
    }


def test_null_takes_a_field_away() -> None:
    base = evaluator(securityContext={"readOnlyRootFilesystem": True, "privileged": False})
    assert over(base, evaluator(securityContext={"readOnlyRootFilesystem": None})) == evaluator(
        securityContext={"privileged": False}
    )


def test_null_where_nothing_was_leaves_nothing() -> None:
    assert over({}, {"spec": {"affinity": {"nodeAffinity": None}, "dnsConfig": {"options": None}}}) == {
        "spec": {"affinity": {}, "dnsConfig": {}}
    }


@pytest.mark.parametrize(
    ("field", "key", "base", "patch", "whole"),
    [
        ("containers", "name", {"image": "a", "tty": True}, {"image": "b"}, {"image": "b", "tty": True}),
        ("initContainers", "name", {"image": "a"}, {"tty": True}, {"image": "a", "tty": True}),
        ("volumes", "name", {"emptyDir": {"a": 1}}, {"emptyDir": {"b": 2}}, {"emptyDir": {"a": 1, "b": 2}}),
        ("imagePullSecrets", "name", {}, {}, {}),
    ],
)
def test_a_list_with_names_is_merged_by_them(
    field: str, key: str, base: dict[str, Any], patch: dict[str, Any], whole: dict[str, Any]
) -> None:
    merged_list = over(
        {"spec": {field: [{key: "one"}, {key: "two", **base}]}},
        {"spec": {field: [{key: "three"}, {key: "two", **patch}]}},
    )
    assert merged_list == {"spec": {field: [{key: "one"}, {key: "two", **whole}, {key: "three"}]}}


def test_a_containers_variables_mounts_and_ports_are_merged_by_their_keys() -> None:
    base = evaluator(
        env=[{"name": "HOME", "value": "/home"}],
        volumeMounts=[{"mountPath": "/plan", "name": "plan", "readOnly": True}],
        ports=[{"containerPort": 9090, "name": "metrics"}],
    )
    patch = evaluator(
        env=[{"name": "HF_TOKEN", "value": "x"}, {"name": "HOME", "value": "/root"}],
        volumeMounts=[{"mountPath": "/data", "name": "data"}],
        ports=[{"containerPort": 9090, "hostPort": 9090}],
    )
    assert over(base, patch) == evaluator(
        env=[{"name": "HOME", "value": "/root"}, {"name": "HF_TOKEN", "value": "x"}],
        volumeMounts=[
            {"mountPath": "/plan", "name": "plan", "readOnly": True},
            {"mountPath": "/data", "name": "data"},
        ],
        ports=[{"containerPort": 9090, "name": "metrics", "hostPort": 9090}],
    )


@pytest.mark.parametrize("field", ["tolerations", "topologySpreadConstraints", "hostAliases"])
def test_other_lists_are_replaced(field: str) -> None:
    assert over({"spec": {field: [{"key": "a"}]}}, {"spec": {field: [{"key": "b"}]}}) == {
        "spec": {field: [{"key": "b"}]}
    }


def test_a_volume_of_another_source_loses_the_one_it_had() -> None:
    base = {"spec": {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "4Gi"}}]}}
    claim = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}
    assert over(base, {"spec": {"volumes": [claim]}}) == {"spec": {"volumes": [claim]}}


def test_a_variable_with_another_kind_of_value_loses_the_one_it_had() -> None:
    base = evaluator(env=[{"name": "HOSTNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
    assert over(base, evaluator(env=[{"name": "HOSTNAME", "value": "x"}])) == evaluator(
        env=[{"name": "HOSTNAME", "value": "x"}]
    )


def test_labels_may_be_called_as_lists_are() -> None:
    labels = {"metadata": {"labels": {"env": "prod", "ports": "none", "containers": "yes"}}}
    assert over({"metadata": {"labels": {"env": "test"}}}, labels) == labels


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"spec": []}, "spec: is a list where a map is expected"),
        ({"spec": {"containers": {}}}, "spec.containers: is a map where a list is expected"),
        ({"spec": {"containers": ["x"]}}, "spec.containers[0]: is text where a map is expected"),
        ({"spec": {"nodeSelector": "gpu"}}, "spec.nodeSelector: is text where a map is expected"),
        ({"spec": {"volumes": [{"emptyDir": {}}]}}, "spec.volumes[0]: needs a name"),
        (evaluator(resources=[1]), "spec.containers[0].resources: is a list where a map is expected"),
        (evaluator(image={"a": 1}), "spec.containers[0].image: is a map where a plain value is expected"),
        (
            {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}},
            "spec.containers[1]: name a stands twice in the list",
        ),
        (
            {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}},
            "spec.containers[0].$patch: directives are not known here; write null",
        ),
    ],
)  # fmt: skip
def test_what_can_not_stand_there_is_named(patch: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        over(evaluator(image="a"), patch)
    assert str(error.value).startswith(f"{PATH}.{message}")
    assert error.value.reason == "TemplateInvalid"


def test_a_list_that_replaces_another_is_a_copy() -> None:
    patch = {"spec": {"tolerations": [{"key": "b"}]}}
    spoil(over({"spec": {"tolerations": [{"key": "a"}]}}, patch))
    assert patch == {"spec": {"tolerations": [{"key": "b"}]}}


# Any template, with the shapes that a template has.
words = st.sampled_from(["a", "b", "c"])
plain = st.one_of(words, st.integers(0, 3), st.booleans())


def named(key: str, item: dict[str, Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries({key: words}, optional=item), max_size=3, unique_by=lambda found: found[key])


def templates(*, nulls: bool = False) -> st.SearchStrategy[dict[str, Any]]:
    def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.none() | strategy if nulls else strategy

    flat = maybe(st.dictionaries(words, maybe(words), max_size=3))
    container = {
        "image": maybe(words),
        "tty": maybe(st.booleans()),
        "ports": named("containerPort", {"protocol": words}),
        "volumeMounts": named("mountPath", {"name": words}),
        "resources": st.fixed_dictionaries({}, optional={"limits": flat, "requests": flat}),
        "args": st.lists(words, max_size=2),
    }
    spec = {
        "containers": named("name", container),
        "imagePullSecrets": named("name", {}),
        "nodeSelector": flat,
        "tolerations": st.lists(st.fixed_dictionaries({"key": words}), max_size=2),
        "priorityClassName": maybe(words),
        "other": maybe(st.dictionaries(words, maybe(st.integers(0, 3)), max_size=2)),
    }
    parts = {
        "metadata": st.fixed_dictionaries({}, optional={"labels": flat}),
        "spec": st.fixed_dictionaries({}, optional=spec),
    }
    return st.fixed_dictionaries({}, optional=parts)


@given(templates(), templates(), templates())
def test_without_nulls_it_does_not_matter_which_two_are_merged_first(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    assert over(over(first, second), third) == over(first, over(second, third))


@given(templates(), templates(nulls=True))
def test_merging_the_same_again_changes_nothing(base: dict[str, Any], patch: dict[str, Any]) -> None:
    once = over(base, patch)
    assert over(once, patch) == once


@given(templates(), templates(nulls=True))
def test_nothing_given_is_changed_and_nothing_of_it_is_shared(base: dict[str, Any], patch: dict[str, Any]) -> None:
    before = deepcopy((base, patch))
    spoil(over(base, patch))
    assert (base, patch) == before


@given(templates(), templates(nulls=True))
def test_no_null_of_a_map_is_left(base: dict[str, Any], patch: dict[str, Any]) -> None:
    assert "null" not in json.dumps(over(base, patch))


@given(templates())
def test_an_empty_patch_changes_nothing(base: dict[str, Any]) -> None:
    assert over(base, {}) == base
    assert over({}, base) == base


def spoil(value: Any) -> None:
    """Empties every map and list in it."""
    for part in list(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()):
        spoil(part)
    if isinstance(value, dict | list):
        value.clear()
