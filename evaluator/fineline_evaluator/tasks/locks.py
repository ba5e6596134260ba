"""What a lock holds of a built-in task, made with lm-eval so that plans need it no more."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY, is_higher_better

from fineline.errors import TaskError
from fineline_evaluator.tasks.aggregation import mean_chance
from fineline_evaluator.tasks.documents import read_documents
from fineline_evaluator.tasks.harness import BuiltTask, Outline, build, dataset_of, find, outline
from fineline_evaluator.tasks.settings import DEFAULT_SEED
from fineline_evaluator.tasks.source import Source

FROM_DATA = ("documents", "requests", "tokens", "chance")
"""The fields that need the data; without it they are null, but for a chance level that the configuration states."""

_BYTES_A_TOKEN = 4
_LISTED = re.compile(r"\{\{\s*\[([^\[\]]*)\]\s*\}\}").fullmatch


def lock_of(task: str, shots: int | None, source: Source | None) -> dict[str, Any]:
    """A task's lock as plain values. `source` None, or one that lacks a split, leaves the counts null."""
    blueprint = find(task, None)
    found = outline(blueprint, shots)
    kinds = {str(config.get("output_type", "generate_until")) for config in found.configs}
    lock: dict[str, Any] = {
        "config_digest": found.config_digest,
        "version": _version(found),
        "output_type": kinds.pop() if len(kinds) == 1 else "mixed",
        "subtasks": [] if found.group is None else [_short(config["task"]) for config in found.configs],
        "datasets": _datasets(found),
        "shots": max(int(config["num_fewshot"]) for config in found.configs),
        "chance": _stated_chance(found.configs),
        "higher_is_better": _directions(found.configs),
        "documents": None,
        "requests": None,
        "tokens": None,
        "runs_code": any(bool(config.get("unsafe_code")) for config in found.configs),
    }
    if source is None:
        return lock
    try:
        built = build(blueprint, shots, source)
    except TaskError as error:
        if error.reason != "SplitMissing":
            raise
        return lock
    return lock | _counts(built)


def _counts(built: BuiltTask) -> dict[str, Any]:
    documents, requests, size = 0, 0, 0
    chances: list[float | None] = []
    sizes: list[int] = []
    for leaf in built.leaves:
        read = read_documents(leaf, None)
        each = [document.chance for document in read]
        chances.append(mean_chance(each, [1] * len(each), by_size=False))
        sizes.append(len(read))
        leaf.set_fewshot_seed(DEFAULT_SEED)
        leaf.build_all_requests()
        documents += len(read)
        requests += len(leaf.instances)
        size += _text_size(leaf.instances)
    chance = mean_chance(chances, sizes, by_size=True)
    return {
        "documents": documents,
        "requests": requests,
        "tokens": math.ceil(size / _BYTES_A_TOKEN),
        "chance": None if chance is None else round(chance, 6),
    }


def _text_size(instances: Sequence[Any]) -> int:
    contexts: set[tuple[int, str]] = set()
    size = 0
    for instance in instances:
        contexts.add((instance.doc_id, str(instance.args[0])))
        size += len(str(instance.args[1]).encode()) if instance.request_type == "loglikelihood" else 0
    return size + sum(len(context.encode()) for _, context in contexts)


def _datasets(found: Outline) -> list[dict[str, Any]]:
    splits: dict[tuple[str, str], set[str]] = {}
    for config in found.configs:
        splits.setdefault(dataset_of(config), set()).update(_splits_read(config))
    return [
        {"path": path, "config": config, "splits": sorted(names), "revision": None}
        for (path, config), names in sorted(splits.items())
    ]


def _splits_read(config: Mapping[str, Any]) -> set[str]:
    read = {config.get("test_split") or config["validation_split"]}
    fewshot = config.get("fewshot_config") or {}
    if config["num_fewshot"] and "samples" not in fewshot:
        read.add(
            fewshot.get("split")
            or config.get("fewshot_split")
            or config.get("training_split")
            or config.get("validation_split")
            or config["test_split"]
        )
    return read


def _directions(configs: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    directions: dict[str, bool] = {}
    for config in configs:
        metrics = config.get("metric_list") or [
            {"metric": name} for name in DEFAULT_METRIC_REGISTRY[config["output_type"]]
        ]
        for metric in metrics:
            name = metric["metric"]
            better = metric["higher_is_better"] if "higher_is_better" in metric else is_higher_better(name)
            directions[name] = bool(better)
    return directions


def _stated_chance(configs: Sequence[Mapping[str, Any]]) -> float | None:
    """Of tasks whose configuration lists the choices, and where exactly one is right."""
    counts = {_listed_choices(config.get("doc_to_choice")) for config in configs}
    several = any(config.get("process_results") is not None for config in configs)
    count = counts.pop() if len(counts) == 1 else None
    return None if count is None or several else round(1 / count, 6)


def _listed_choices(choices: Any) -> int | None:
    if isinstance(choices, list):
        return len(choices)
    match = _LISTED(choices) if isinstance(choices, str) else None
    return match.group(1).count(",") + 1 if match else None


def _version(found: Outline) -> str:
    if found.group is not None:
        return str(found.group.version)
    return str((found.configs[0].get("metadata") or {}).get("version", "N/A"))


def _short(name: str) -> str:
    return name.rpartition("::")[2]
