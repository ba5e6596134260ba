"""vLLM, the transformers backend and a plain forward pass agree; and a unit is scored sealed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fineline.errors import EngineError, TaskError
from fineline_evaluator.backends import open_backend
from fineline_evaluator.scoring import Backend, EngineSettings, LoglikelihoodRequest
from support.scoring import copy_of, furthest, one_token_choices, plainly, several_token_choices, tokens

pytestmark = pytest.mark.engine
Checkpoint = Callable[..., Path]
TOLERANCE = 1e-4
WINDOW = 192


def in_the_window(seed: int = 3) -> list[LoglikelihoodRequest]:
    """A context of one token; continuations that end at the window; windows of full length."""
    dice = random.Random(seed)
    whole = tokens(dice, WINDOW + 1)
    return [
        LoglikelihoodRequest(whole[:1], whole[1:2]),
        LoglikelihoodRequest(whole[:1], whole[1:]),
        LoglikelihoodRequest(whole[:-1], whole[-1:]),
        LoglikelihoodRequest(whole[:-3], whole[-3:]),
        LoglikelihoodRequest(tokens(dice, 1), tokens(dice, WINDOW)),
        LoglikelihoodRequest(tokens(dice, 1), tokens(dice, WINDOW)),
    ]


SETS: dict[str, list[LoglikelihoodRequest]] = {
    "one token, shared shots": one_token_choices(20, shots=70),
    "several tokens": several_token_choices([1, 2, 31, 32, 33, 63, 64, 65]),
    "one token and several": several_token_choices([64, 80], seed=5) + one_token_choices(5, shots=64, seed=5),
    "windows": in_the_window(),
    "contexts within continuations": [
        LoglikelihoodRequest(tuple(range(10, 10 + cut)), tuple(range(10 + cut, 110))) for cut in (1, 20, 32, 64, 96)
    ],
}


@pytest.fixture(scope="module")
def engine(vllm_engine: Backend, checkpoint: Checkpoint) -> Backend:
    vllm_engine.load(checkpoint(max_position_embeddings=WINDOW))
    return vllm_engine


@pytest.fixture(scope="module")
def reference(reference_engine: Backend, checkpoint: Checkpoint) -> Backend:
    reference_engine.load(checkpoint(max_position_embeddings=WINDOW))
    return reference_engine


@pytest.mark.parametrize("name", SETS)
def test_the_engines_agree_with_a_plain_forward_pass(
    engine: Backend, reference: Backend, checkpoint: Checkpoint, name: str
) -> None:
    requests = SETS[name]
    engine.begin_unit()
    ours, theirs = engine.loglikelihoods(requests), reference.loglikelihoods(requests)
    plain = plainly(checkpoint(max_position_embeddings=WINDOW), requests)
    assert furthest(theirs, plain) <= TOLERANCE
    assert furthest(ours, plain) <= TOLERANCE
    assert [answer.greedy for answer in ours] == [answer.greedy for answer in theirs]
    assert [answer.greedy for answer in theirs] == [answer.greedy for answer in plain]


def test_greedy_continuations_are_seen(engine: Backend, reference: Backend) -> None:
    dice = random.Random(8)
    requests = []
    for _ in range(4):
        context: tuple[int, ...] = tokens(dice, 40)
        continuation: tuple[int, ...] = ()
        for _ in range(3):
            choices = [LoglikelihoodRequest((*context, *continuation), (token,)) for token in range(512)]
            best = max(range(512), key=[answer.logprob for answer in reference.loglikelihoods(choices)].__getitem__)
            continuation = (*continuation, best)
            requests.append(LoglikelihoodRequest(context, continuation))
    engine.begin_unit()
    assert all(answer.greedy for answer in engine.loglikelihoods(requests))


def test_a_shared_prefix_is_computed_once(engine: Backend) -> None:
    requests = one_token_choices(30, shots=96, seed=2)
    contexts = {request.context for request in requests if len(request.context) <= WINDOW}
    engine.begin_unit()
    engine.loglikelihoods([request for request in requests if request.context in contexts])
    assert engine.counts().computed == 96 + sum(len(context) - 96 for context in contexts)


def test_a_unit_scores_the_same_after_other_work(engine: Backend) -> None:
    requests = SETS["several tokens"] + SETS["windows"]
    engine.begin_unit()
    first = engine.loglikelihoods(requests)
    engine.loglikelihoods(one_token_choices(7, shots=33, seed=11))
    engine.begin_unit()
    engine.loglikelihoods(SETS["one token, shared shots"])
    engine.begin_unit()
    assert engine.loglikelihoods(requests) == first


def test_a_unit_scores_the_same_after_a_swap_and_on_a_fresh_engine(
    engine: Backend, checkpoint: Checkpoint, vllm_settings: EngineSettings
) -> None:
    requests = SETS["several tokens"] + SETS["one token, shared shots"]
    mine, other = (checkpoint(seed=seed, max_position_embeddings=WINDOW) for seed in (0, 1))
    engine.begin_unit()
    first = engine.loglikelihoods(requests)
    assert engine.load(other).how == "swapped"
    engine.begin_unit()
    assert engine.loglikelihoods(requests) != first
    assert engine.load(mine).how == "swapped"
    engine.begin_unit()
    assert engine.loglikelihoods(requests) == first
    fingerprint = engine.fingerprint()
    engine.close()
    fresh = open_backend(vllm_settings)
    assert fresh.load(mine).how == "started"
    fresh.begin_unit()
    assert fresh.loglikelihoods(requests) == first
    assert fresh.fingerprint() == fingerprint
    fresh.close()
    engine.load(mine)


def test_the_fingerprint_names_what_moves_the_last_digits(engine: Backend) -> None:
    fingerprint = engine.fingerprint()
    assert fingerprint["runner"].startswith("vllm.v1.worker.cpu_model_runner.")
    assert fingerprint["block_size"] == 32
    assert {"engine", "torch", "device", "attention", "threads", "kv_blocks", "max_num_seqs"} <= fingerprint.keys()


def ties(tensors: dict[str, Any]) -> None:
    """All tokens are equally probable but for 7 and 11, which equal each other."""
    head = tensors["lm_head.weight"]
    some = head[20].clone()
    head.zero_()
    head[7] = head[11] = some


def test_the_stated_threads_hold_behind_vllm_too(engine: Backend, checkpoint: Checkpoint) -> None:
    """vLLM makes torch.set_num_threads do nothing for the whole process; other threads give other last digits."""
    engine.begin_unit()
    behind = open_backend(EngineSettings(backend="transformers", dtype="float32", args={"threads": 2}))
    try:
        behind.load(checkpoint(max_position_embeddings=WINDOW))
        assert torch.get_num_threads() == 2
    finally:
        behind.close()
    engine.begin_unit()
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("change", [ties, lambda tensors: tensors["lm_head.weight"].zero_()])
def test_of_equally_probable_tokens_the_first_is_greedy(
    engine: Backend, checkpoint: Checkpoint, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    tied = copy_of(checkpoint(max_position_embeddings=WINDOW), tmp_path / "tied", change)
    dice = random.Random(4)
    choices = [(7,), (11,), (0,), (7, 7), (7, 11), (0, 0), (7, 7, 0), (7, 7, 7, 7), (0, 7), (0, 0, 0, 11)]
    requests = [
        LoglikelihoodRequest(context, choice) for context in (tokens(dice, 30), tokens(dice, 33)) for choice in choices
    ]
    requests += [LoglikelihoodRequest(tokens(dice, 12), choice) for choice in choices for _ in range(3)]
    engine.load(tied)
    engine.begin_unit()
    ours, plain = engine.loglikelihoods(requests), plainly(tied, requests)
    assert [answer.greedy for answer in ours] == [answer.greedy for answer in plain]
    assert any(answer.greedy for answer in plain)


def test_weights_that_are_not_numbers_answer_so_and_do_not_poison_the_next_checkpoint(
    engine: Backend, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    def spoil(tensors: dict[str, Any]) -> None:
        tensors["model.norm.weight"].fill_(torch.nan)
        tensors["model.layers.0.self_attn.v_proj.weight"].fill_(torch.nan)

    mine = checkpoint(max_position_embeddings=WINDOW)
    spoilt = copy_of(mine, tmp_path / "spoilt", spoil)
    requests = SETS["several tokens"] + SETS["windows"]
    engine.load(mine)
    engine.begin_unit()
    before = engine.loglikelihoods(requests)
    assert engine.load(spoilt).how == "swapped"
    engine.begin_unit()
    answers = engine.loglikelihoods(requests)
    assert all(answer.logprob != answer.logprob and not answer.greedy for answer in answers)
    assert engine.load(mine).how == "swapped"
    engine.begin_unit()
    assert engine.loglikelihoods(requests) == before


def test_one_broken_embedding_breaks_only_the_prompts_that_hold_it(
    engine: Backend, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    def spoil(tensors: dict[str, Any]) -> None:
        tensors["model.embed_tokens.weight"][42].fill_(torch.nan)

    spoilt = copy_of(checkpoint(max_position_embeddings=WINDOW), tmp_path / "spoilt", spoil)
    whole = [LoglikelihoodRequest(tuple(range(50, 90)), (token,)) for token in (5, 6)]
    broken = [LoglikelihoodRequest(tuple(range(10, 90)), (token,)) for token in (5, 6)]
    engine.load(spoilt)
    engine.begin_unit()
    answers = engine.loglikelihoods(whole + broken)
    assert furthest(answers[:2], plainly(spoilt, whole)) <= TOLERANCE
    engine.begin_unit()
    assert engine.loglikelihoods(whole) == answers[:2]
    assert all(answer.logprob != answer.logprob for answer in answers[2:])


def test_a_prompt_longer_than_the_window_is_refused_with_both_numbers(engine: Backend, reference: Backend) -> None:
    too_long = LoglikelihoodRequest(tuple(range(3, 3 + WINDOW + 1)), (5,))
    for backend in (engine, reference):
        with pytest.raises(TaskError, match=r"193 tokens and the window is 192") as caught:
            backend.loglikelihoods([too_long])
        assert caught.value.reason == "ContextTooLong"


def test_an_engine_that_fails_is_ended_and_a_load_starts_it_again(engine: Backend, checkpoint: Checkpoint) -> None:
    beyond_the_vocabulary = LoglikelihoodRequest((3, 100_000), (5,))
    with pytest.raises(EngineError) as caught:
        engine.loglikelihoods([beyond_the_vocabulary])
    assert caught.value.reason == "EngineFailed"
    with pytest.raises(EngineError, match="call load first"):
        engine.begin_unit()
    assert engine.load(checkpoint(max_position_embeddings=WINDOW)).how == "started"


def test_too_small_a_cache_is_out_of_memory_and_not_a_smaller_batch(
    checkpoint: Checkpoint, vllm_engine: Backend
) -> None:
    vllm_engine.close()
    small = open_backend(EngineSettings(dtype="float32", args={"kv_cache_memory_bytes": 1 << 14}))
    with pytest.raises(EngineError, match="out of memory") as caught:
        small.load(checkpoint())
    assert caught.value.reason == "OutOfMemory"
    assert not caught.value.permanent
