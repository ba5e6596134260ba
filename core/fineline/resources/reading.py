"""Reads resources from YAML files, with errors that name the file, the field, what is wrong and what would be right.

A file holds what `kubectl apply` takes: one or several documents, Fineline's kinds and the ConfigMaps they name.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fineline.errors import SpecError
from fineline.resources.checkpoint_eval import CheckpointEval
from fineline.resources.checkpoint_source import CheckpointSource
from fineline.resources.fields import PATTERN_WORDS
from fineline.resources.trajectory_analysis import TrajectoryAnalysis

MAX_FILE_BYTES = 4 * 1024 * 1024
_MODELS: Mapping[str, type[BaseModel]] = {
    "CheckpointEval": CheckpointEval,
    "CheckpointSource": CheckpointSource,
    "TrajectoryAnalysis": TrajectoryAnalysis,
}
_KINDS = (*_MODELS, "ConfigMap")
_COMMANDS = {
    "CheckpointEval": "`fineline run`",
    "CheckpointSource": "`fineline watch`",
    "TrajectoryAnalysis": "the operator alone (here `fineline analyze` does the same)",
}
"""Who takes a file with that kind."""
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class ResourceFile:
    """What one YAML file says: the resources in it by kind, and the ConfigMaps' data by name."""

    path: Path
    evals: tuple[CheckpointEval, ...] = ()
    sources: tuple[CheckpointSource, ...] = ()
    analyses: tuple[TrajectoryAnalysis, ...] = ()
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice: YAML would silently take the last one."""


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, Hashable):
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)


def read_resources(path: Path, needed: str = "CheckpointEval") -> ResourceFile:
    """Reads and validates a file. Raises `SpecError` that names the file and the field, also where the file has none of
    the `needed` kind."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SpecError(f"{path}: larger than {MAX_FILE_BYTES} bytes; is this the right file?")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path}: not UTF-8 text; a YAML file is expected") from None
    except OSError as error:
        raise SpecError(f"{path}: can't be read: {error.strerror}") from None
    documents = _documents(text, str(path))
    resources: dict[str, list[Any]] = {kind: [] for kind in _MODELS}
    config_maps: dict[str, Mapping[str, str]] = {}
    for document in documents:
        kind = document.get("kind")
        if kind == "ConfigMap":
            name, data = _config_map(document, str(path))
            config_maps[name] = data
        elif isinstance(kind, str) and kind in _MODELS:
            resources[kind].append(validated(_MODELS[kind], document, str(path)))
        else:
            raise SpecError(f"{path}: kind: is {kind!r}; known here are {', '.join(_KINDS[:-1])} and {_KINDS[-1]}")
    if not resources[needed]:
        raise SpecError(f"{path}: holds no {needed}{_what_to_do(needed, resources)}")
    return ResourceFile(
        path,
        tuple(resources["CheckpointEval"]),
        tuple(resources["CheckpointSource"]),
        tuple(resources["TrajectoryAnalysis"]),
        config_maps,
    )


def _what_to_do(needed: str, resources: Mapping[str, Sequence[Any]]) -> str:
    others = [f"a {kind}, which {_COMMANDS[kind]} takes" for kind, found in resources.items() if found]
    if others:
        return f", but {' and '.join(others)}"
    return f"; start with examples/ or docs/reference/{needed.lower()}.md"


def validated(model: type[Model], values: Mapping[str, Any], origin: str) -> Model:
    """Validates one resource given as plain values. `origin` stands at the start of every message of the SpecError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [f"{origin}: {sentence}" for sentence in sentences(model, error)]
        raise SpecError("\n".join(lines)) from None


def sentences(
    model: type[BaseModel], error: ValidationError, words: Mapping[str, str] = PATTERN_WORDS, whole: str = "resource"
) -> list[str]:
    """What is wrong with values for a model: for each cause the field, what it is and what would be right.

    `words` tells what patterns ask for; `whole` is what is at fault where no field is.
    """
    details = error.errors(include_url=False)
    causes = [detail for detail in details if not _is_consequence(detail, details)]
    return list(dict.fromkeys(_sentence(model, detail, words, whole) for detail in causes))


def _documents(text: str, origin: str) -> list[Mapping[str, Any]]:
    try:
        documents = [document for document in yaml.load_all(text, _Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(f"{origin}: not valid YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(f"{origin}: not valid YAML: {error}") from None
    for document in documents:
        if not isinstance(document, dict):
            raise SpecError(f"{origin}: a document is a {type(document).__name__}; a mapping is expected")
    return documents


def _config_map(document: Mapping[str, Any], origin: str) -> tuple[str, Mapping[str, str]]:
    metadata, data = document.get("metadata"), document.get("data")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        raise SpecError(f"{origin}: metadata.name: a ConfigMap needs a name")
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise SpecError(f"{origin}: data: ConfigMap {name} needs text values (write `key: |`)")
    return name, data


def _sentence(model: type[BaseModel], detail: ErrorDetails, words: Mapping[str, str], whole: str) -> str:
    """One validation error as a sentence that starts with the path of the field."""
    location = [part for part in detail["loc"] if not _is_union_branch(part)]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    value = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return f"{path}: unknown field{_suggestion(model, location)}"
        case "missing":
            return f"{path}: is required"
        case "value_error" | "credentials_in_uri":
            return f"{path or whole}: {detail['msg'].removeprefix('Value error, ')}"
        case "string_type" if isinstance(value, int | float):
            return f'{path}: must be text, is {value!r}: write it in quotes, "{value}"'
        case "string_pattern_mismatch":
            wanted = words.get(detail["ctx"]["pattern"], f"must match {detail['ctx']['pattern']}")
            return f"{path}: {wanted} (is {value!r})"
        case _:
            shown = repr(value) if len(repr(value)) <= 80 else f"a {type(value).__name__}"
            return f"{path or whole}: {_lower_first(detail['msg'])} (is {shown})"


def _is_consequence(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """A list counts as too short when its items were refused: the items' own errors say what is wrong."""
    location = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in details
    )


def _is_union_branch(part: str | int) -> bool:
    # pydantic names the branch of a union in the path, as in ("strategy", "constrained-str"); fields never look so.
    return isinstance(part, str) and ("[" in part or part in {"constrained-str", "constrained-int", "nullable"})


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _suggestion(model: type[BaseModel], location: list[str | int]) -> str:
    """The field that was probably meant, and all that there are."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        field = next((f for n, f in current.model_fields.items() if (f.alias or n) == part), None)
        nested = _model_in(field.annotation) if field is not None else None
        if nested is None:
            return ""
        current = nested
    fields = sorted(current.model_fields.items(), key=lambda item: not item[1].is_required())
    names = [field.alias or name for name, field in fields if name != "status"]
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {Union, UnionType, tuple, dict} or hasattr(annotation, "__metadata__"):
        for argument in get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None
