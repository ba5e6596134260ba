"""Reads a YAML for work on this machine: its evaluations or sources, their suites' files, their URIs made absolute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from fineline.errors import SpecError
from fineline.resources import CheckpointEval, CheckpointSource, ResourceFile, read_resources, validated
from fineline.resources.checkpoint_eval import EvaluationTemplate
from fineline.store import uri_of
from fineline_cli import output

RELATIVE = "file:"
MAX_SUITE_FILE_BYTES = 1 << 20

Resource = TypeVar("Resource", bound=BaseModel)


@dataclass(frozen=True)
class Evaluation:
    """One CheckpointEval to do here. `suite_files` are those of its ConfigMap, None for a built-in suite."""

    resource: CheckpointEval
    results_uri: str
    suite_files: Mapping[str, str] | None

    @property
    def name(self) -> str:
        return self.resource.metadata.name


@dataclass(frozen=True)
class Source:
    """One CheckpointSource to watch from here; the rest is as in an Evaluation."""

    resource: CheckpointSource
    results_uri: str
    suite_files: Mapping[str, str] | None

    @property
    def name(self) -> str:
        return self.resource.metadata.name


def read_evaluations(path: Path, results: str | None = None) -> list[Evaluation]:
    """The evaluations of a file. `results` (a URI or a path) replaces `spec.results`.

    `file:folder/` in the YAML is relative to the working directory, as paths on a command line are.
    """
    file = read_resources(path)
    evaluations = []
    for given in file.evals:
        resource = _absolute(file, given)
        parts = _results_and_suite(file, resource.spec, "spec", results)
        evaluations.append(Evaluation(resource, *parts))
    _tell_of_the_rest(file.sources, "`fineline watch` takes it")
    return evaluations


def read_sources(path: Path, results: str | None = None) -> list[Source]:
    """The sources of a file, as `read_evaluations` reads evaluations. `results` replaces `spec.template.results`."""
    file = read_resources(path, needed="CheckpointSource")
    sources = []
    for given in file.sources:
        resource = _absolute(file, given)
        if resource.spec.checkpoints.positions_from is not None:
            field = "spec.checkpoints.positionsFrom"
            raise SpecError(f"{path}: {field}: needs a cluster; give spec.checkpoints.positions instead")
        parts = _results_and_suite(file, resource.spec.template, "spec.template", results)
        sources.append(Source(resource, *parts))
    _tell_of_the_rest(file.evals, "`fineline run` takes it")
    return sources


def _tell_of_the_rest(left: Sequence[CheckpointEval | CheckpointSource], who: str) -> None:
    for resource in left:
        output.say(f"left alone: {resource.kind} {resource.metadata.name}; {who}")


def _absolute(file: ResourceFile, resource: Resource) -> Resource:
    values = resource.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return validated(type(resource), _with_absolute_uris(values), str(file.path))


def _results_and_suite(
    file: ResourceFile, template: EvaluationTemplate, field: str, results: str | None
) -> tuple[str, Mapping[str, str] | None]:
    chosen = folder_uri(results) if results is not None else template.results
    if chosen is None:
        raise SpecError(
            f"{file.path}: {field}.results: is required here (or give --results): there is no chart's default"
        )
    config_map = template.suite.config_map
    suite_files = _suite_files(file, config_map, field) if config_map is not None else None
    return chosen if chosen.endswith("/") else f"{chosen}/", suite_files


def folder_uri(text: str) -> str:
    """What a person wrote, a URI or a path, as the URI of a folder."""
    uri = uri_of(text.removeprefix(RELATIVE) if _is_relative(text) else text)
    return uri if uri.endswith("/") else f"{uri}/"


def _with_absolute_uris(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_absolute_uris(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_with_absolute_uris(child) for child in value]
    if isinstance(value, str) and _is_relative(value):
        return uri_of(value.removeprefix(RELATIVE))
    return value


def _is_relative(text: str) -> bool:
    return text.startswith(RELATIVE) and not text.startswith("file://")


def _suite_files(file: ResourceFile, name: str, field: str) -> Mapping[str, str]:
    """A ConfigMap in the same file, else the folder of that name beside it, as `kubectl create configmap NAME
    --from-file=FOLDER` would take it."""
    if name in file.config_maps:
        return file.config_maps[name]
    folder = file.path.parent / name
    if not folder.is_dir():
        raise SpecError(
            f"{file.path}: {field}.suite.configMap: no ConfigMap {name} in this file, and no folder {folder} beside it"
        )
    files: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.stat().st_size > MAX_SUITE_FILE_BYTES:
            raise SpecError(f"{path}: larger than {MAX_SUITE_FILE_BYTES} bytes, more than a ConfigMap can hold")
        try:
            files[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise SpecError(f"{path}: not UTF-8 text; a suite's folder holds YAML files alone") from None
    return files
