"""What stands beside a checkpoint's results: is it sane?"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fineline.errors import CheckpointError
from fineline_evaluator.sanity import TEXT, Tokenized, check_checkpoint, check_unit
from fineline_evaluator.scoring import Backend, Loglikelihood
from fineline_evaluator.tasks import Encoder
from support.models import make_checkpoint

WINDOW = 512


def tokenized(folder: Path) -> Tokenized:
    encoder = Encoder(folder, None)
    tokens = (encoder.prefix_token, *encoder.continuations([TEXT])[0])
    return Tokenized(tokens, encoder.eos_token, encoder.unknown_token, 512)


def changed(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = change(tensors[name])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_fresh_model_is_sane_and_guesses_about_uniformly(reference_engine: Backend, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "fresh")
    reference_engine.load(folder)
    sanity = check_checkpoint(reference_engine, tokenized(folder), WINDOW)
    assert sanity.flags == ()
    assert sanity.bits_per_byte == pytest.approx(sanity.uniform_bits_per_byte, rel=0.25)
    assert sanity.eos_logprob is not None
    assert sanity.eos_logprob < 0


def test_a_model_whose_head_is_far_too_large_is_flagged_not_hidden(reference_engine: Backend, tmp_path: Path) -> None:
    folder = changed(make_checkpoint(tmp_path / "head"), "lm_head.weight", lambda weight: weight * 40)
    reference_engine.load(folder)
    assert check_checkpoint(reference_engine, tokenized(folder), WINDOW).flags == ("worse than uniform",)


def test_a_model_without_one_finite_log_probability_fails(reference_engine: Backend, tmp_path: Path) -> None:
    folder = changed(make_checkpoint(tmp_path / "nan"), "model.norm.weight", lambda weight: weight * math.nan)
    reference_engine.load(folder)
    with pytest.raises(CheckpointError, match="NaN or infinite") as caught:
        check_checkpoint(reference_engine, tokenized(folder), WINDOW)
    assert caught.value.reason == "NotFinite"


def test_bits_per_byte_are_not_told_where_the_tokenizer_does_not_know_the_words(
    reference_engine: Backend, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "words")
    reference_engine.load(folder)
    known = tokenized(folder)
    unknown = Tokenized((known.tokens[0], *[7] * 100), known.eos, 7, 512)
    sanity = check_checkpoint(reference_engine, unknown, WINDOW)
    assert (sanity.bits_per_byte, sanity.uniform_bits_per_byte, sanity.flags) == (None, None, ())


def test_a_text_longer_than_the_window_is_cut(reference_engine: Backend, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "short", max_position_embeddings=32)
    reference_engine.load(folder)
    sanity = check_checkpoint(reference_engine, tokenized(folder), 32)
    assert sanity.bits_per_byte is not None
    assert math.isfinite(sanity.bits_per_byte)


def test_one_constant_answer_is_flagged_from_twenty_documents_on() -> None:
    assert check_unit([], ["0"] * 50).flags == ("one constant answer",)
    assert check_unit([], ["0"] * 19).flags == ()
    assert check_unit([], ["0", "1"] * 25).flags == ()
    assert check_unit([], [None] * 50).constant_answer_share is None


def test_log_probabilities_that_are_not_finite_are_counted() -> None:
    answers = [Loglikelihood(-1.0, greedy=False)] * 3 + [Loglikelihood(math.nan, greedy=False)]
    assert check_unit(answers, []).nonfinite_share == 0.25
    assert check_unit(answers, []).flags == ("not finite",)
    assert check_unit([], []).nonfinite_share is None
