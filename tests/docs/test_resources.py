"""Every Fineline resource in the pages and examples is one that the API server would take."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from fineline.errors import SpecError
from fineline.resources import CheckpointEval, CheckpointSource, TrajectoryAnalysis, validated
from support.pages import REPOSITORY, fences

MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model for model in (CheckpointEval, CheckpointSource, TrajectoryAnalysis)
}
FILES = sorted(path for pattern in ("examples/**/*.yaml", "docs/**/*.yaml") for path in REPOSITORY.glob(pattern))


def documents(text: str) -> list[dict[str, Any]]:
    """The resources of Fineline's in a piece of YAML."""
    return [
        document
        for document in yaml.safe_load_all(text)
        if isinstance(document, dict) and str(document.get("apiVersion")).startswith("fineline.dev/")
    ]


def of_pages() -> list[tuple[str, dict[str, Any]]]:
    found = [(str(fence), document) for fence in fences("yaml") for document in documents(fence.text)]
    return found + [
        (str(path.relative_to(REPOSITORY)), document) for path in FILES for document in documents(path.read_text())
    ]


def test_there_are_resources_of_all_kinds() -> None:
    assert {document["kind"] for _, document in of_pages()} == MODELS.keys()


@pytest.mark.parametrize(("place", "document"), of_pages(), ids=[place for place, _ in of_pages()])
def test_the_models_take_it(place: str, document: dict[str, Any]) -> None:
    try:
        validated(MODELS[document["kind"]], document, place)
    except SpecError as error:
        pytest.fail(str(error))
