"""`pods.template` lets a PodTemplateSpec through and refuses what could not be merged, by the field's path."""

from __future__ import annotations

from typing import Any

import pytest

from fineline.errors import SpecError
from support.evaluations import evaluation


def template(**parts: Any) -> dict[str, Any]:
    return evaluation(pods__template=parts).spec.pods.template


def test_what_is_not_declared_is_let_through_as_it_is() -> None:
    spec = {"affinity": {"nodeAffinity": {}}, "hostNetwork": False, "containers": [{"name": "evaluator", "tty": True}]}
    assert template(spec=spec, metadata={"labels": {"team": "a"}}) == {
        "spec": spec,
        "metadata": {"labels": {"team": "a"}},
    }


def test_null_is_kept_for_it_takes_a_field_away() -> None:
    parts = {
        "spec": {"nodeSelector": None, "securityContext": None, "volumes": [{"name": "scratch", "emptyDir": None}]}
    }
    assert template(**parts) == parts
    assert template(metadata={"labels": {"team": None}}) == {"metadata": {"labels": {"team": None}}}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "spec.containers[0].name: is required"),
        ({"spec": {"containers": {"name": "evaluator"}}}, "spec.containers: "),
        ({"spec": {"nodeSelector": {"gpu": True}}}, "spec.nodeSelector.gpu: "),
        ({"spec": {"tolerations": ["gpu"]}}, "spec.tolerations[0]: "),
        ({"metadata": {"labels": {"team": "a b"}}}, "metadata.labels.team: "),
        ({"spec": []}, "spec: "),
    ],
)
def test_a_part_that_could_not_be_merged_is_named(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError) as caught:
        template(**parts)
    assert str(caught.value).startswith(f"test.yaml: spec.pods.template.{told}")
