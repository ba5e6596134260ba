"""Scoring one lm-eval task: fresh Instances over compiled questions, its filters, its `process_results`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.utils import postprocess_generated_text

from fineline.errors import FinelineError, TaskError
from fineline_evaluator.scoring import GenerateRequest
from fineline_evaluator.tasks.aggregation import NO_FILTER, MetricKey, mean_chance
from fineline_evaluator.tasks.documents import Document
from fineline_evaluator.tasks.harness import leaf_name
from fineline_evaluator.tasks.records import Question
from fineline_evaluator.tasks.smooth import choice_metrics


@dataclass(frozen=True, slots=True)
class Leaf:
    """One lm-eval task with its documents and questions; the answers to `questions[i]` begin at `first[i]`."""

    task: ConfigurableTask
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]
    first: tuple[int, ...]

    @property
    def name(self) -> str:
        return leaf_name(self.task)

    @property
    def num_fewshot(self) -> int:
        return int(self.task.config.num_fewshot or 0)

    @property
    def chance(self) -> float | None:
        sizes = [1] * len(self.documents)
        return mean_chance([document.chance for document in self.documents], sizes, by_size=False)


@dataclass(frozen=True, slots=True)
class Answers:
    """A checkpoint's answers to all requests of a task: (nats, greedy) and generated text."""

    loglikelihoods: Sequence[tuple[float, bool]]
    generations: Sequence[str]


@dataclass(frozen=True, slots=True)
class DocumentAnswers:
    """What was answered about one document, in the order of its questions."""

    logprobs: tuple[float, ...]
    token_counts: tuple[int, ...]
    byte_counts: tuple[int, ...]
    greedy: tuple[bool, ...]
    generated: str | None
    prediction: str | None


@dataclass(frozen=True, slots=True)
class LeafScores:
    """`items`: each metric's values, a document each, as lm-eval's aggregation takes them. `by_document`: the same of
    each document, with what it was answered."""

    items: dict[MetricKey, list[Any]]
    by_document: tuple[tuple[DocumentAnswers, dict[MetricKey, Any]], ...]


def score_leaf(leaf: Leaf, answers: Answers) -> LeafScores:
    """One checkpoint's values of one lm-eval task. TaskError (TaskFailed) where lm-eval can't score an answer."""
    instances = [_answered(leaf, index, answers) for index in range(len(leaf.questions))]
    try:
        # The task's own `apply_filters` works on the instances it keeps; these are this checkpoint's alone.
        for one_filter in leaf.task._filters:  # noqa: SLF001
            one_filter.apply(instances)
        return _processed(leaf, instances)
    except FinelineError:
        raise
    except Exception as error:
        raise TaskError(f"{leaf.name}: lm-eval can't score it: {type(error).__name__}: {error}") from error


def _answered(leaf: Leaf, index: int, answers: Answers) -> Instance:
    question, first = leaf.questions[index], leaf.first[index]
    responses: list[Any]
    if question.kind == "generate_until":
        texts = answers.generations[first : first + len(question.requests)]
        responses = [_cut(text, request) for text, request in zip(texts, question.requests, strict=True)]
    elif question.kind == "loglikelihood_rolling":
        windows = answers.loglikelihoods[first : first + len(question.requests)]
        responses = [sum(logprob for logprob, _ in windows)] * question.repeats
    else:
        responses = [answers.loglikelihoods[first]] * question.repeats
    document = leaf.documents[question.document]
    return Instance(
        request_type=question.kind,
        doc=dict(document.content),
        arguments=(),
        idx=question.index,
        metadata=(leaf.task.task_name, question.document, question.repeats),
        resps=responses,
    )


def _cut(text: str, request: Any) -> str:
    assert isinstance(request, GenerateRequest)  # noqa: S101 - the question's kind says so
    cut: str = postprocess_generated_text(text, list(request.until), None)
    return cut


def _processed(leaf: Leaf, instances: list[Instance]) -> LeafScores:
    positions: list[list[int]] = [[] for _ in leaf.documents]
    for position, question in enumerate(leaf.questions):
        positions[question.document].append(position)
    for some in positions:
        some.sort(key=lambda position: leaf.questions[position].index)
    filters = list(instances[0].filtered_resps)
    items: dict[MetricKey, list[Any]] = {}
    values: list[dict[MetricKey, Any]] = [{} for _ in leaf.documents]
    for filter_name in filters:
        for document, some, found in zip(leaf.documents, positions, values, strict=True):
            filtered = [instances[position].filtered_resps[filter_name] for position in some]
            for metric, value in leaf.task.process_results(dict(document.content), filtered).items():
                found[metric, filter_name] = value
                items.setdefault((metric, filter_name), []).append(value)
    answered = []
    for document, some, found in zip(leaf.documents, positions, values, strict=True):
        about = _about(leaf, document, [(leaf.questions[at], instances[at]) for at in some], filters[0])
        if document.right and leaf.task.OUTPUT_TYPE == "multiple_choice":
            count = len(document.choices)
            smooth = choice_metrics(
                about.logprobs[:count],
                about.byte_counts[:count],
                document.right,
                one_context=not leaf.task.multiple_input,
            )
            for metric, value in smooth.items():
                found[metric, NO_FILTER] = value
                items.setdefault((metric, NO_FILTER), []).append(value)
        answered.append((about, found))
    return LeafScores(items, tuple(answered))


def _about(
    leaf: Leaf, document: Document, asked: Sequence[tuple[Question, Instance]], first_filter: str
) -> DocumentAnswers:
    questions = [question for question, _ in asked]
    responses = [instance.resps[0] for _, instance in asked]
    if questions[0].kind == "generate_until":
        predicted = asked[0][1].filtered_resps[first_filter]
        return DocumentAnswers((), (), (), (), responses[0], _text(predicted))
    rolled = questions[0].kind == "loglikelihood_rolling"
    logprobs = tuple(responses) if rolled else tuple(logprob for logprob, _ in responses)
    return DocumentAnswers(
        logprobs=logprobs,
        token_counts=tuple(_scored_tokens(question) for question in questions),
        byte_counts=tuple(question.text_bytes for question in questions),
        greedy=() if rolled else tuple(greedy for _, greedy in responses),
        generated=None,
        prediction=_predicted(document, logprobs) if leaf.task.OUTPUT_TYPE == "multiple_choice" else None,
    )


def _predicted(document: Document, logprobs: tuple[float, ...]) -> str | None:
    choices = document.choices
    if not choices or len(logprobs) < len(choices):
        return None
    return choices[max(range(len(choices)), key=logprobs.__getitem__)]


def _scored_tokens(question: Question) -> int:
    return sum(len(request.continuation) for request in question.requests if not isinstance(request, GenerateRequest))


def _text(predicted: Any) -> str:
    while isinstance(predicted, list) and predicted:
        predicted = predicted[0]
    return str(predicted)
