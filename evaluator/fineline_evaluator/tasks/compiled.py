"""A task compiled for one tokenizer: its requests, and how answers to them become scores.

Nothing here remembers a checkpoint: lm-eval's Instances collect what they are answered, so each call of `score` makes
fresh ones over the same compiled requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from fineline.errors import TaskError
from fineline_evaluator.scoring import GenerateRequest, Loglikelihood, LoglikelihoodRequest
from fineline_evaluator.tasks import aggregation
from fineline_evaluator.tasks.aggregation import Estimate, MetricKey
from fineline_evaluator.tasks.documents import Document, documents_table
from fineline_evaluator.tasks.harness import BuiltTask
from fineline_evaluator.tasks.leaves import Answers, Leaf, LeafScores, score_leaf
from fineline_evaluator.tasks.records import Compiled, Question
from fineline_evaluator.tasks.samples import samples_table
from fineline_evaluator.tasks.settings import MetricRow, TaskScores, TaskSettings


@dataclass(frozen=True, slots=True)
class CompiledTask:
    """A task's requests in canonical order, ready to be asked of any number of checkpoints.

    `config_digest` and `data_digest` are of what was really loaded, to be compared with the key's; `documents` has
    schema DOCUMENTS; `num_fewshot` is the largest among subtasks; `prompts_cut` counts prompts that did not fit into
    the window; `weighting` says how a group's row is made of its subtasks' (`size`, `equal`), None for a single task.
    """

    settings: TaskSettings
    loglikelihoods: tuple[LoglikelihoodRequest, ...]
    generations: tuple[GenerateRequest, ...]
    documents: pa.Table
    output_type: str
    num_fewshot: int
    prompts_cut: int
    config_digest: str
    data_digest: str
    datasets: tuple[str, ...]
    weighting: str | None
    _task: BuiltTask = field(repr=False)
    _leaves: tuple[Leaf, ...] = field(repr=False)

    def score(self, loglikelihoods: Sequence[Loglikelihood], generations: Sequence[str]) -> TaskScores:
        """The scores of one checkpoint, from one answer a request, in the requests' order.

        Log-likelihoods are rounded to 32 bits first, as samples keep them, so that every metric can be made again from
        the samples. TaskError (TaskFailed) where the answers are too few, or lm-eval can't score them.
        """
        if len(loglikelihoods) != len(self.loglikelihoods) or len(generations) != len(self.generations):
            raise TaskError(
                f"{self.settings.task}: {len(loglikelihoods)} log-likelihoods and {len(generations)} generations for "
                f"{len(self.loglikelihoods)} and {len(self.generations)} requests"
            )
        answers = Answers(
            [(float(np.float32(answer.logprob)), answer.greedy) for answer in loglikelihoods], list(generations)
        )
        scored = [score_leaf(leaf, answers) for leaf in self._leaves]
        iterations = self.settings.bootstrap_iterations
        estimates = {
            leaf.task.task_name: aggregation.aggregate(leaf.task, scores.items, iterations)
            for leaf, scores in zip(self._leaves, scored, strict=True)
        }
        single = self._task.group is None
        metrics = self._single_rows(scored[0], estimates) if single else self._group_rows(estimates)
        subtasks = [self._subtask(leaf) for leaf in self._leaves]
        return TaskScores(tuple(metrics), samples_table(list(zip(subtasks, self._leaves, scored, strict=True))))

    def _subtask(self, leaf: Leaf) -> str | None:
        return None if self._task.group is None else leaf.name

    def _single_rows(
        self, scores: LeafScores, estimates: Mapping[str, Mapping[MetricKey, Estimate]]
    ) -> list[MetricRow]:
        leaf = self._leaves[0]
        rows = _rows(None, estimates[leaf.task.task_name], leaf, leaf.chance)
        by_domain: dict[str, list[int]] = {}
        for position, document in enumerate(leaf.documents):
            if document.domain is not None:
                by_domain.setdefault(document.domain, []).append(position)
        for domain in sorted(by_domain):
            items = {key: [values[position] for position in by_domain[domain]] for key, values in scores.items.items()}
            part = aggregation.aggregate(leaf.task, items, self.settings.bootstrap_iterations)
            rows += _rows(domain, part, leaf, None)
        return rows

    def _group_rows(self, estimates: Mapping[str, Mapping[MetricKey, Estimate]]) -> list[MetricRow]:
        group = self._task.group
        assert group is not None  # noqa: S101 - the caller asked
        by_name = {leaf.task.task_name: leaf for leaf in self._leaves}
        rows: list[MetricRow] = []
        for name, leaf in by_name.items():
            rows += _rows(leaf.name, estimates[name], leaf, leaf.chance)
        for part in [*group.get_all_groups(), group]:
            leaves = [by_name[task.task_name] for task in part.get_all_tasks()]
            chance = aggregation.mean_chance(
                [leaf.chance for leaf in leaves],
                [len(leaf.documents) for leaf in leaves],
                by_size=aggregation.weighted_by_size(part),
            )
            shots = max(leaf.num_fewshot for leaf in leaves)
            name = None if part is group else part.name.rpartition("::")[2]
            found = aggregation.aggregate_group(part, estimates)
            rows += _rows(name, found, leaves[0], chance, shots)
        return rows


def assemble(
    settings: TaskSettings,
    task: BuiltTask,
    documents: Sequence[tuple[Document, ...]],
    compiled: Compiled,
    data_digest: str,
) -> CompiledTask:
    """The compiled task over lm-eval's objects, its documents (of each leaf) and its compiled questions."""
    loglikelihoods: list[LoglikelihoodRequest] = []
    generations: list[GenerateRequest] = []
    firsts: list[int] = []
    for question in compiled.questions:
        requests = generations if question.kind == "generate_until" else loglikelihoods
        firsts.append(len(requests))
        requests.extend(question.requests)  # type: ignore[arg-type]  # the kind says which they are
    leaves = tuple(
        Leaf(built, some, questions, first)
        for built, some, (questions, first) in zip(
            task.leaves, documents, _by_leaf(compiled.questions, firsts, len(task.leaves)), strict=True
        )
    )
    kinds = {str(built.OUTPUT_TYPE) for built in task.leaves}
    weighting = None
    if task.group is not None:
        weighting = "size" if aggregation.weighted_by_size(task.group) else "equal"
    return CompiledTask(
        settings=settings,
        loglikelihoods=tuple(loglikelihoods),
        generations=tuple(generations),
        documents=documents_table(
            [
                (leaf.name if task.group is not None else document.domain, document)
                for leaf in leaves
                for document in leaf.documents
            ]
        ),
        output_type=kinds.pop() if len(kinds) == 1 else "mixed",
        num_fewshot=max(leaf.num_fewshot for leaf in leaves),
        prompts_cut=compiled.prompts_cut,
        config_digest=task.config_digest,
        data_digest=data_digest,
        datasets=task.datasets,
        weighting=weighting,
        _task=task,
        _leaves=leaves,
    )


def _by_leaf(
    questions: Sequence[Question], firsts: Sequence[int], leaves: int
) -> list[tuple[tuple[Question, ...], tuple[int, ...]]]:
    """The questions of each leaf, which lie one behind the other, and where the answers to each begin."""
    starts = [0, *(position for position in range(1, len(questions)) if _begins(questions, position)), len(questions)]
    found: list[tuple[tuple[Question, ...], tuple[int, ...]]] = [((), ())] * leaves
    for start, end in pairwise(starts):
        found[questions[start].leaf] = (tuple(questions[start:end]), tuple(firsts[start:end]))
    return found


def _begins(questions: Sequence[Question], position: int) -> bool:
    return questions[position].leaf != questions[position - 1].leaf


def _rows(
    subtask: str | None,
    estimates: Mapping[MetricKey, Estimate],
    leaf: Leaf,
    chance: float | None,
    num_fewshot: int | None = None,
) -> list[MetricRow]:
    return [
        MetricRow(
            subtask=subtask,
            metric=metric,
            filter=filter_name,
            value=estimate.value,
            stderr=estimate.stderr,
            n=estimate.n,
            chance=chance if metric in aggregation.CHANCE_METRICS else None,
            higher_is_better=aggregation.higher_is_better(leaf.task, metric),
            num_fewshot=leaf.num_fewshot if num_fewshot is None else num_fewshot,
        )
        for (metric, filter_name), estimate in estimates.items()
    ]
