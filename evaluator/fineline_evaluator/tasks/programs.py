"""Tasks whose answers are programs: what is run for each answer, and the share that passes.

lm-eval's own YAMLs of these tasks fetch a checker from the hub and run a program when they are merely imported; these
functions run nothing before a model has answered, and then only in `sandbox`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fineline_evaluator.tasks.sandbox import passes


def humaneval_programs(responses: Sequence[Sequence[str]], documents: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A filter: each answer behind the prompt that it completes."""
    return [[document["prompt"] + text for text in some] for some, document in zip(responses, documents, strict=True)]


def humaneval_results(document: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    """pass@1: the share of programs that pass the document's tests."""
    return {"pass@1": _share(results[0], f"{document['test']}\ncheck({document['entry_point']})")}


def mbpp_results(document: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
    """pass@1 over the three tests that the prompt shows."""
    return {"pass_at_1": _share(results[0], "\n".join(document["test_list"][:3]))}


def _share(programs: str | Sequence[str], test: str) -> float:
    several = [programs] if isinstance(programs, str) else list(programs)
    return sum(passes(f"{program}\n{test}") for program in several) / len(several)
