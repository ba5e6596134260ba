"""Generated texts end where lm-eval's `hf` ends them, from both backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fineline.errors import CheckpointError
from fineline_evaluator.scoring import Backend, GenerateRequest
from support.models import EOS
from support.scoring import copy_of

pytestmark = pytest.mark.engine
Checkpoint = Callable[..., Path]

PROMPTS = ["The river follows", "Question: what is 3 + 4?\nAnswer:", "The doctor", "B", "under the bridge. Question"]
LENGTH = 40


def likes_to_end(tensors: dict[str, Any]) -> None:
    tensors["lm_head.weight"][1].mul_(2.5)


@pytest.fixture(scope="module")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(checkpoint(), tmp_path_factory.mktemp("generation") / "checkpoint", likes_to_end)


@pytest.fixture(scope="module")
def lm_eval_texts(folder: Path) -> Callable[[list[str]], list[str]]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model: Any = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=1, max_length=2048)

    def texts(until: list[str]) -> list[str]:
        arguments = {"until": until, "max_gen_toks": LENGTH, "do_sample": False}
        instances: list[Any] = [
            Instance("generate_until", {}, (prompt, dict(arguments)), place) for place, prompt in enumerate(PROMPTS)
        ]
        return list(model.generate_until(instances, disable_tqdm=True))

    return texts


def requests(folder: Path, until: list[str], length: int = LENGTH, **further: Any) -> list[GenerateRequest]:
    import transformers

    library: Any = transformers
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    return [GenerateRequest(tuple(tokenizer(prompt).input_ids), tuple(until), length, **further) for prompt in PROMPTS]


@pytest.fixture(params=["vllm_engine", "reference_engine"])
def engine(request: pytest.FixtureRequest, folder: Path) -> Backend:
    backend: Backend = request.getfixturevalue(request.param)
    backend.load(folder)
    backend.begin_unit()
    return backend


@pytest.mark.parametrize("until", [[], ["e"], ["\n\n", "th", "Ġ"], [" a", "an", EOS]])
def test_texts_are_those_of_lm_eval(
    engine: Backend, folder: Path, lm_eval_texts: Callable[[list[str]], list[str]], until: list[str]
) -> None:
    assert engine.generate(requests(folder, until)) == lm_eval_texts(list(until))


def test_a_text_ends_before_the_first_stop_string(engine: Backend, folder: Path) -> None:
    whole = engine.generate(requests(folder, []))
    stop = next(text for text in whole if len(text) > 10)[4:6]
    assert engine.generate(requests(folder, [stop])) == [text.split(stop)[0] for text in whole]


def test_no_more_tokens_than_asked_are_made(engine: Backend, folder: Path) -> None:
    engine.generate(requests(folder, [], length=3))
    assert engine.counts().scored <= 3 * len(PROMPTS)


def test_the_same_seed_draws_the_same_text(engine: Backend, folder: Path) -> None:
    drawn = requests(folder, [], temperature=1.0, top_p=0.9, top_k=50, seed=7)
    first = engine.generate(drawn)
    engine.begin_unit()
    assert engine.generate(drawn) == first
    assert engine.generate(requests(folder, [])) != first


def test_without_a_tokenizer_nothing_can_be_generated(reference_engine: Backend, checkpoint: Checkpoint) -> None:
    reference_engine.load(checkpoint(tokenizer=False))
    with pytest.raises(CheckpointError, match=r"spec\.tokenizer") as caught:
        reference_engine.generate([GenerateRequest((3, 4), (), 2)])
    assert caught.value.reason == "TokenizerMissing"
