"""Are the weights in the engine the file's? Compared parameter by parameter after each load.

A parameter is found in the file by its own name, or as the parts that the engine fuses (`qkv_proj` is q, k and v). What
neither finds (experts, renamed or transformed tensors) is compared as one bag; a bag that differs proves nothing, for
the engine may have transformed it, so it counts as unchecked and is left to the canary prompts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fineline_evaluator.backends.tensors import tensor_files
from fineline_evaluator.backends.worker import Measured, Moments, moments

TOLERANCE = 1e-9
"""Relative, of sums in float64: orders of summation differ by less, two checkpoints of a run by far more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wrong`: what differs, each with both sums. `unchecked`: parameters that could not be compared."""

    wrong: tuple[str, ...]
    unchecked: tuple[str, ...]


def compare(folder: Path, ranks: Sequence[Sequence[Measured]], packed: Mapping[str, Sequence[str]]) -> Verdict:
    """`ranks`: what each worker measured; more than one holds shards of the same parameters."""
    wrong: list[str] = []
    unfound: list[int] = []
    used: set[str] = set()
    with ExitStack() as stack:
        files = _open(folder, stack)
        for place, first in enumerate(ranks[0]):
            sources = _sources(first.name, files, packed)
            if not sources:
                unfound.append(place)
                continue
            used |= set(sources)
            if first.columns == () or (first.columns is not None and len(ranks) > 1):
                unfound.append(place)
                continue
            expected = _moments_of(sources, files, first)
            if not _agrees([rank[place].moments for rank in ranks], expected, _elements(sources, files)):
                found = first.moments.total
                wrong.append(f"{first.name}: sum {found:.9g} in the engine, {expected.total:.9g} in the file")
        rest = sorted(set(files) - used)
        unchecked = [ranks[0][place].name for place in unfound]
        if unchecked and rest and _bag_agrees([[rank[place] for place in unfound] for rank in ranks], rest, files):
            unchecked = []
    return Verdict(tuple(wrong), tuple(unchecked))


def _open(folder: Path, stack: ExitStack) -> dict[str, Any]:
    from safetensors import safe_open

    files: dict[str, Any] = {}
    for path in tensor_files(folder):
        opened = stack.enter_context(safe_open(path, framework="pt"))
        files |= dict.fromkeys(opened.keys(), opened)
    return files


def _sources(name: str, files: Mapping[str, Any], packed: Mapping[str, Sequence[str]]) -> list[str]:
    if name in files:
        return [name]
    parts = name.split(".")
    if len(parts) >= 2 and parts[-2] in packed:
        names = [".".join([*parts[:-2], part, parts[-1]]) for part in packed[parts[-2]]]
        if all(each in files for each in names):
            return names
    bare = ".".join(parts[1:])
    return [bare] if bare in files else []


def _moments_of(sources: Iterable[str], files: Mapping[str, Any], like: Measured) -> Moments:
    total = Moments(0, 0.0, 0.0)
    for name in sources:
        tensor = files[name].get_tensor(name)
        if like.columns is not None:
            tensor = tensor[:, list(like.columns)]
        total += moments(tensor.to(getattr(torch, like.dtype)))
    return total


def _elements(sources: Iterable[str], files: Mapping[str, Any]) -> int:
    return sum(math.prod(files[name].get_slice(name).get_shape()) for name in sources)


def _agrees(found: Sequence[Moments], expected: Moments, elements: int) -> bool:
    """Shards add up to the file's tensor; replicas are each equal to it."""
    together = sum(found[1:], found[0])
    return _equal(together, expected, elements) or all(_equal(each, expected, elements) for each in found)


def _equal(left: Moments, right: Moments, elements: int) -> bool:
    magnitude = math.sqrt(elements * right.squares)
    return (
        left.not_finite == right.not_finite
        and abs(left.total - right.total) <= TOLERANCE * magnitude
        and abs(left.squares - right.squares) <= TOLERANCE * right.squares
    )


def _bag_agrees(ranks: Sequence[Sequence[Measured]], names: Sequence[str], files: Mapping[str, Any]) -> bool:
    kinds = {(each.dtype, each.columns is None) for rank in ranks for each in rank}
    if len(kinds) != 1 or not next(iter(kinds))[1]:
        return False
    bags = [sum((each.moments for each in rank[1:]), rank[0].moments) for rank in ranks]
    return _agrees(bags, _moments_of(names, files, ranks[0][0]), _elements(names, files))
