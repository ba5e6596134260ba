"""From lm-eval's Instances to compiled requests: texts to token ids, cut to the model's window as `hf` cuts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from fineline.errors import FinelineError, TaskError
from fineline_evaluator.scoring import GenerateRequest, LoglikelihoodRequest
from fineline_evaluator.tasks.records import Compiled, Question
from fineline_evaluator.tasks.settings import TaskSettings
from fineline_evaluator.tasks.tokens import Encoder

_DEFAULT_MAX_TOKENS = 256


def compile_leaf(
    leaf: int, task: ConfigurableTask, documents: Sequence[int] | None, settings: TaskSettings, encoder: Encoder
) -> Compiled:
    """The requests of one lm-eval task. `documents` are the numbers of those to ask, in ascending order, None for all.

    TaskError (ContextTooLong) where not even the continuation fits into the window.
    """
    task.set_fewshot_seed(settings.seed)  # before each build: the sampler goes on from where it was
    try:
        task.build_all_requests(samples=None if documents is None else frozenset(documents))
    except FinelineError:
        raise
    except Exception as error:
        raise TaskError(f"{task.task_name}: lm-eval can't make its prompts: {type(error).__name__}: {error}") from error
    instances: list[Instance] = list(task.instances)
    task._instances = None  # noqa: SLF001 - they would pile up in memory, and are never answered
    window = _Window(task.task_name, settings.window)
    by_kind: dict[str, list[Instance]] = {}
    for instance in instances:
        by_kind.setdefault(instance.request_type, []).append(instance)
    compiled: dict[int, Question] = {}
    for kind, some in by_kind.items():
        questions = _COMPILERS[kind](leaf, some, settings, encoder, window)
        compiled |= {id(instance): question for instance, question in zip(some, questions, strict=True)}
    return Compiled(tuple(compiled[id(instance)] for instance in instances), window.cut)


class _Window:
    """Cuts prompts from the left to what the model takes, and counts those that it cut."""

    def __init__(self, task: str, size: int) -> None:
        self._task = task
        self._size = size
        self.cut = 0

    def pair(self, context: tuple[int, ...], continuation: tuple[int, ...], document: int) -> LoglikelihoodRequest:
        if not continuation:
            raise TaskError(f"{self._task}: document {document}: a continuation has no token of its own to score")
        if len(continuation) > self._size:
            raise TaskError(
                f"{self._task}: document {document}: a continuation of {len(continuation)} tokens does not fit into "
                f"the model's window of {self._size}",
                reason="ContextTooLong",
            )
        keep = self._size + 1 - len(continuation)  # the last token never enters the model
        if len(context) > keep:
            self.cut += 1
            context = context[-keep:]
        return LoglikelihoodRequest(context, continuation)

    def prompt(self, prompt: tuple[int, ...], max_tokens: int) -> tuple[int, ...]:
        keep = self._size - max_tokens
        if keep <= 0:
            raise TaskError(
                f"{self._task}: it generates up to {max_tokens} tokens, which leaves no room for a prompt in the "
                f"model's window of {self._size}",
                reason="ContextTooLong",
            )
        if len(prompt) > keep:
            self.cut += 1
            prompt = prompt[-keep:]
        return prompt


def _loglikelihoods(
    leaf: int, instances: list[Instance], _settings: TaskSettings, encoder: Encoder, window: _Window
) -> list[Question]:
    pairs = [(str(instance.args[0]), str(instance.args[1])) for instance in instances]
    return [
        _question(leaf, instance, len(text.encode()), (window.pair(context, continuation, instance.doc_id),))
        for instance, (_, text), (context, continuation) in zip(instances, pairs, encoder.pairs(pairs), strict=True)
    ]


def _rolled(
    leaf: int, instances: list[Instance], settings: TaskSettings, encoder: Encoder, _window: _Window
) -> list[Question]:
    questions = []
    texts = [str(instance.args[0]) for instance in instances]
    for instance, text, ids in zip(instances, texts, encoder.texts(texts), strict=True):
        windows = map(
            make_disjoint_window,
            get_rolling_token_windows(
                token_list=list(ids), prefix_token=encoder.prefix_token, max_seq_len=settings.window, context_len=1
            ),
        )
        requests = tuple(
            LoglikelihoodRequest(encoder.intern(context), encoder.intern(continuation))
            for context, continuation in windows
        )
        questions.append(_question(leaf, instance, len(text.encode()), requests))
    return questions


def _generations(
    leaf: int, instances: list[Instance], settings: TaskSettings, encoder: Encoder, window: _Window
) -> list[Question]:
    prompts = encoder.prompts([str(instance.args[0]) for instance in instances])
    questions = []
    for instance, prompt in zip(instances, prompts, strict=True):
        options = normalize_gen_kwargs(instance.args[1], _DEFAULT_MAX_TOKENS)
        until = handle_stop_sequences(options.pop("until", None), eos=encoder.eos_text)
        cut = window.prompt(prompt, int(options["max_gen_toks"]))
        requests = tuple(
            GenerateRequest(
                prompt=cut,
                until=tuple(term for term in until if term),
                max_tokens=int(options["max_gen_toks"]),
                temperature=float(options.get("temperature", 0.0)),
                top_p=float(options.get("top_p", 1.0)),
                top_k=int(options.get("top_k", 0)),
                seed=settings.seed + repeat,
            )
            for repeat in range(instance.repeats)
        )
        questions.append(_question(leaf, instance, 0, requests))
    return questions


_COMPILERS: dict[str, Any] = {
    "loglikelihood": _loglikelihoods,
    "loglikelihood_rolling": _rolled,
    "generate_until": _generations,
}


def _question(leaf: int, instance: Instance, text_bytes: int, requests: Any) -> Question:
    return Question(leaf, instance.doc_id, instance.idx, instance.repeats, instance.request_type, text_bytes, requests)
