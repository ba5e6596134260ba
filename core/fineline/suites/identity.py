"""What fixes a task's numbers besides the checkpoint: its configuration, its data, and the documents drawn from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from fineline.suites.builtin import DataSet, find_lock
from fineline.suites.custom import CustomSuite
from fineline.suites.definition import LM_EVAL_VERSION, Suite, digest_of


def task_identity(suite: Suite | CustomSuite, task: str) -> str:
    """The digest of a task's configuration, as it stands in a unit's key.

    A task of one's own is identified by the content of its files and lm-eval's version, a built-in one by its lock, any
    other of lm-eval's by its name and lm-eval's version.
    """
    if isinstance(suite, CustomSuite) and task in suite.configs:
        return config_digest(suite.reachable(task))
    locked = find_lock(task)
    return locked.config_digest if locked is not None else config_digest({task: None})


def config_digest(configs: Mapping[str, Any]) -> str:
    """The digest of resolved configurations (plain values alone), under lm-eval's version."""
    plain = {name: dict(config) if isinstance(config, Mapping) else config for name, config in configs.items()}
    return digest_of({"lm_eval": LM_EVAL_VERSION, "configs": plain})


def task_datasets(suite: Suite | CustomSuite, task: str) -> tuple[DataSet, ...] | None:
    """The data sets that a task reads, or None where that is not known without lm-eval (a task of lm-eval that no
    built-in suite has): then any change of the mirror may be a change of the task's data."""
    if not isinstance(suite, CustomSuite) or task not in suite.configs:
        locked = find_lock(task)
        return locked.datasets if locked is not None else None
    found: dict[str, DataSet] = {}
    for name, config in suite.reachable(task).items():
        members = config.get("task") if "group" in config else None
        for member in members if isinstance(members, list) else ():
            if member not in suite.configs:
                others = task_datasets(suite, member)
                if others is None:
                    return None
                found |= {other.name: other for other in others}
        if "group" not in config and config.get("dataset_path"):
            one = _dataset_of(config)
            found[one.name] = one
        elif "group" not in config:
            found[name] = DataSet(name, "default", (), None)
    return tuple(found[name] for name in sorted(found))


def sample_ids(task: str, documents: int, limit: int | None, seed: int) -> tuple[int, ...]:
    """The documents that a limit leaves: a fixed random subset, in ascending order, and all of them without a limit.

    The documents are ranked by a hash of (seed, task, number), so that a smaller limit's are among a larger one's, and
    no library's random numbers are in the key.
    """
    if limit is None or limit >= documents:
        return tuple(range(documents))
    ranked = sorted(range(documents), key=lambda number: hashlib.sha256(f"{seed}/{task}/{number}".encode()).digest())
    return tuple(sorted(ranked[:limit]))


def _dataset_of(config: Mapping[str, Any]) -> DataSet:
    splits = {config.get(f"{kind}_split") for kind in ("training", "validation", "test", "fewshot")} - {None}
    return DataSet(
        str(config["dataset_path"]), str(config.get("dataset_name") or "default"), tuple(sorted(map(str, splits))), None
    )
