"""What a resource must keep beyond each single field is told by the model in the words of the CRD."""

from __future__ import annotations

from typing import Any

import pytest

from fineline.errors import SpecError
from fineline.resources import CheckpointSource, validated
from support.evaluations import evaluation
from support.resource_rules import BROKEN, CASES, KEYS
from support.resources import KIND, resource_values


def refusal(kind: str = "CheckpointEval", **spec: Any) -> str:
    with pytest.raises(SpecError) as caught:
        validated(KIND[kind].model, resource_values(kind, **spec), "eval.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "broken"), [(kind, name) for kind, name in CASES if not BROKEN[kind][name][2].startswith(KEYS)]
)
def test_a_broken_rule_is_told_in_the_words_of_the_crd(kind: str, broken: str) -> None:
    spec, path, message = BROKEN[kind][broken]
    # The API server points at the field, the model at the object whose rule it is.
    where = refusal(kind, **spec).removeprefix("eval.yaml: ")
    assert path.startswith(where.partition(": ")[0])
    assert where.partition(": ")[2].startswith(message)


@pytest.mark.parametrize(
    ("kind", "broken"), [(kind, name) for kind, name in CASES if BROKEN[kind][name][2].startswith(KEYS)]
)
def test_a_name_in_a_map_that_could_be_none_is_refused(kind: str, broken: str) -> None:
    spec, path, message = BROKEN[kind][broken]
    told = refusal(kind, **spec)
    assert told.startswith(f"eval.yaml: {path}")
    assert ("character" if "characters" in message else message.removeprefix(KEYS)) in told


def test_the_model_says_which_task_and_which_steps() -> None:
    task = {"task": "piqa", "domain": "reasoning"}
    assert refusal(suite__tasks=[task, task]).endswith("tasks lists a task more than once (piqa)")
    assert refusal(checkpoints__select={"from": 9000, "to": 3}).endswith("from is after to (9,000 > 3)")
    assert refusal("CheckpointSource", select={"from": 9000, "to": 3}).endswith("from is after to (9,000 > 3)")


def test_two_broken_rules_of_one_object_are_both_told() -> None:
    told = refusal(checkpoints__select={"steps": [1], "every": 2, "from": 3})
    assert told.endswith("choose one of steps, every and last; has steps and from/to: steps are exact, leave from and "
                         "to out")  # fmt: skip


def test_from_and_to_combine_with_every_and_last() -> None:
    for choice in ({"every": 2}, {"last": 3}, {}):
        resource = evaluation(checkpoints__select=choice | {"from": 3, "to": 3})
        assert resource.spec.checkpoints.select is not None


def test_from_and_to_combine_with_every_in_a_source() -> None:
    values = resource_values("CheckpointSource", select={"every": 2, "from": 3, "to": 3})
    assert validated(CheckpointSource, values, "source.yaml").spec.select is not None


def test_a_priority_with_its_queue_is_taken() -> None:
    assert evaluation(queueName="research", priorityClassName="high").spec.priority_class_name == "high"
