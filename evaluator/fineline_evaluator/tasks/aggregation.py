"""From values of documents to metrics with standard errors, as lm-eval's `evaluate` makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lm_eval.api import metrics as lm_metrics
from lm_eval.api.group import Group
from lm_eval.api.task import ConfigurableTask

from fineline_evaluator.tasks.bootstrap import bootstrap_stderr, bootstrap_stderr_of_mean
from fineline_evaluator.tasks.smooth import HIGHER_IS_BETTER

# lm-eval resamples these a hundred times at most: each takes a corpus.
_SLOW_METRICS = ("bleu", "chrf", "chrf++", "ter")
# Metrics that guessing scores the chance level in.
CHANCE_METRICS = ("acc", "acc_norm", "acc_bytes", "choice_probability")
NO_FILTER = "none"

MetricKey = tuple[str, str]
"""Metric and filter."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric over some documents."""

    value: float
    stderr: float | None
    n: int


def aggregate(
    task: ConfigurableTask, items: Mapping[MetricKey, Sequence[Any]], bootstrap_iterations: int
) -> dict[MetricKey, Estimate]:
    """The metrics of one task from its documents' values, in lm-eval's way; smooth metrics are means."""
    estimates: dict[MetricKey, Estimate] = {}
    for (metric, filter_name), values in items.items():
        statistic = _statistic(task, metric)
        iterations = min(bootstrap_iterations, 100) if metric in _SLOW_METRICS else bootstrap_iterations
        estimates[metric, filter_name] = Estimate(
            float(statistic(values)), _stderr(statistic, values, iterations), len(values)
        )
    return estimates


def single_value(task: ConfigurableTask, metric: str, item: Any) -> float | None:
    """A metric of one document as a number: its own, or the aggregation over it alone where it is a weighted mean or a
    perplexity. None where one document has no such value (F1, a correlation)."""
    statistic = _statistic(task, metric)
    if statistic in (lm_metrics.perplexity, lm_metrics.weighted_perplexity, lm_metrics.bits_per_byte):
        try:
            return float(statistic([item]))
        except OverflowError:
            return float("inf")
        except ZeroDivisionError:
            return None
    return float(item) if isinstance(item, int | float | np.number) else None


def higher_is_better(task: ConfigurableTask, metric: str) -> bool:
    if metric in HIGHER_IS_BETTER:
        return HIGHER_IS_BETTER[metric]
    return bool(task.higher_is_better().get(metric, True))


def aggregate_group(group: Group, leaves: Mapping[str, Mapping[MetricKey, Estimate]]) -> dict[MetricKey, Estimate]:
    """A group's metrics from its leaves', under lm-eval's weighting.

    Metrics that the group names are lm-eval's own work. The smooth ones, which it can't name, follow its first metric's
    weighting; a group that names none at all gets every metric that all its leaves have, weighted by size.
    """
    members = [leaves[task.task_name] for task in group.get_all_tasks()]
    named = group.aggregate(_as_lm_eval({task.task_name: leaves[task.task_name] for task in group.get_all_tasks()}))
    counts: Mapping[str, int] = named.get("sample_count", {})
    estimates: dict[MetricKey, Estimate] = {}
    for name, n in counts.items():
        metric, _, filter_name = name.rpartition(",")
        stderr = named.get(f"{metric}_stderr,{filter_name}")
        estimates[metric, filter_name] = Estimate(
            float(named[name]), None if stderr is None or isinstance(stderr, str) else float(stderr), n
        )
    by_size = weighted_by_size(group)
    for key in _common(members):
        if key not in estimates and (key[0] in HIGHER_IS_BETTER or not group.has_aggregation):
            estimates[key] = _pooled([member[key] for member in members], by_size=by_size)
    return estimates


def weighted_by_size(group: Group) -> bool:
    """Whether larger subtasks weigh more in a group's row."""
    configured = group.aggregate_metric_list or []
    return bool(configured[0].weight_by_size) if configured else True


def mean_chance(chances: Sequence[float | None], sizes: Sequence[int], *, by_size: bool) -> float | None:
    """The chance level over documents or subtasks; None where any of them has none."""
    known = [chance for chance in chances if chance is not None]
    if not known or len(known) < len(chances):
        return None
    return float(np.average(known, weights=list(sizes) if by_size else None))


def _statistic(task: ConfigurableTask, metric: str) -> Any:
    if metric in HIGHER_IS_BETTER:
        return lm_metrics.mean
    return task.aggregation().get(metric, lm_metrics.mean)


def _stderr(statistic: Any, values: Sequence[Any], iterations: int) -> float | None:
    if len(values) < 2 or iterations <= 0:
        return None
    function = lm_metrics.stderr_for_metric(statistic, iterations)
    if function is None:
        return None
    if function in (lm_metrics.mean_stderr, lm_metrics.acc_all_stderr):
        return float(function(values))
    if statistic is lm_metrics.perplexity:
        return bootstrap_stderr_of_mean(lambda means: np.exp(-means), values, iterations)
    return bootstrap_stderr(statistic, values, iterations)


def _as_lm_eval(leaves: Mapping[str, Mapping[MetricKey, Estimate]]) -> dict[str, dict[str, Any]]:
    return {name: dict(_flat(estimates)) for name, estimates in leaves.items()}


def _flat(estimates: Mapping[MetricKey, Estimate]) -> Iterator[tuple[str, Any]]:
    own = {key: estimate for key, estimate in estimates.items() if key[0] not in HIGHER_IS_BETTER}
    yield "sample_len", max((estimate.n for estimate in own.values()), default=0)
    for (metric, filter_name), estimate in own.items():
        yield f"{metric},{filter_name}", estimate.value
        yield f"{metric}_stderr,{filter_name}", "N/A" if estimate.stderr is None else estimate.stderr


def _common(members: Sequence[Mapping[MetricKey, Estimate]]) -> list[MetricKey]:
    return [key for key in members[0] if all(key in member for member in members)]


def _pooled(estimates: Sequence[Estimate], *, by_size: bool) -> Estimate:
    sizes = [estimate.n for estimate in estimates]
    value = lm_metrics.aggregate_subtask_metrics([estimate.value for estimate in estimates], sizes, by_size)
    stderrs = [estimate.stderr for estimate in estimates if estimate.stderr is not None]
    pooled: float | None = None
    if len(stderrs) == len(estimates) and sum(sizes) > len(sizes):
        pooled = float(
            lm_metrics.pooled_sample_stderr(stderrs, sizes) if by_size else lm_metrics.unweighted_mean_stderr(stderrs)
        )
    return Estimate(float(value), pooled, sum(sizes))
