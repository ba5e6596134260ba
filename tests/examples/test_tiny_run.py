"""The demo's input: a world whose held-out part is held out, a suite that lm-eval takes, checkpoints that load."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import world  # type: ignore[import-not-found]
from safetensors import safe_open
from transformers import AutoTokenizer, LlamaForCausalLM

from fineline.resources import read_resources
from fineline.store import open_store, uri_of
from fineline.suites import CustomSuite, parse
from fineline_evaluator.tasks import TaskLibrary, TaskSettings

TINY_RUN = Path(__file__).resolve().parents[2] / "examples" / "tiny-run"
RUNS = ("tiny-small", "tiny-large")


def command(output: Path) -> subprocess.CompletedProcess[str]:
    """`train.py` for two steps, as a person would call it."""
    arguments = [sys.executable, str(TINY_RUN / "train.py"), "--output", str(output), "--steps", "2"]
    return subprocess.run(
        arguments, capture_output=True, text=True, check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("demo")
    command(output)
    return output


@pytest.fixture(scope="session")
def suite() -> CustomSuite:
    files = {file.name: file.read_text() for file in (TINY_RUN / "tiny-world").iterdir()}
    return parse(files, "tiny-world")


def test_the_same_seed_tells_the_same_world() -> None:
    first, again = (
        [document.text for page in itertools.islice(world.pages(1), 300) for document in page] for _ in range(2)
    )
    assert first == again
    assert first != [document.text for page in itertools.islice(world.pages(2), 300) for document in page]


@pytest.fixture(scope="session")
def training_pages() -> list[list[str]]:
    return [[document.text for document in page] for page in itertools.islice(world.pages(1), 4000)]


@pytest.mark.parametrize("ability", world.EVALUATED)
def test_no_document_of_the_evaluation_is_one_of_the_training(ability: str, training_pages: list[list[str]]) -> None:
    trained = {text for page in training_pages for text in page}
    held_out = world.examples(ability, 200)
    assert len(held_out) >= 150
    assert [document.text for document in held_out if document.text in trained] == []


@pytest.mark.parametrize("ability", ["arithmetic", "facts"])
def test_no_held_out_answer_stands_inside_another_document(ability: str, training_pages: list[list[str]]) -> None:
    text = " ".join(word for page in training_pages for word in page)
    answered = [f" {document.prompt} {document.target} " for document in world.examples(ability, 200)]
    assert [question for question in answered if question in text] == []


@pytest.mark.parametrize("ability", world.EVALUATED)
def test_the_right_choice_stands_anywhere_and_only_once(ability: str) -> None:
    documents = world.examples(ability, 200)
    places = len(documents[0].choices)
    assert all(len(set(document.choices)) == places for document in documents)
    counts = [sum(document.answer == place for document in documents) for place in range(places)]
    assert min(counts) > len(documents) / places * 0.6


def test_every_word_is_in_the_vocabulary_and_every_page_fits_a_row() -> None:
    words = set(world.vocabulary())
    for page in itertools.islice(world.pages(3), 2000):
        said = " ".join(document.text for document in page).split()
        assert words.issuperset(said)
        assert len(said) <= world.PAGE_WORDS


def test_two_steps_of_training_write_checkpoints_that_load(trained: Path) -> None:
    for run in RUNS:
        folder = trained / "checkpoints" / run / "step2"
        assert (folder / "_SUCCESS").exists()
        model = LlamaForCausalLM.from_pretrained(folder)
        assert model.config.hidden_size // model.config.num_attention_heads >= 32  # vLLM's least
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = "total 3 + 4 : 3 + 4 = 7 ."
        ids = tokenizer(text).input_ids
        assert (ids[0], len(ids)) == (tokenizer.bos_token_id, len(text.split()) + 1)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert len(tokenizer) == model.config.vocab_size


def test_training_again_trains_nothing_and_what_is_missing_comes_back_the_same(trained: Path) -> None:
    folder = trained / "checkpoints" / "tiny-small" / "step2"
    before = (folder / "model.safetensors").read_bytes()
    assert command(trained).stdout.count("all checkpoints are there") == len(RUNS)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert command(trained).stdout.count("all checkpoints are there") == len(RUNS) - 1
    assert (folder / "model.safetensors").read_bytes() == before


def test_the_sizes_differ_in_size(trained: Path) -> None:
    parameters = []
    for run in RUNS:
        with safe_open(trained / "checkpoints" / run / "step2" / "model.safetensors", framework="pt") as file:
            parameters.append(sum(file.get_tensor(name).numel() for name in file.keys()))  # noqa: SIM118 - no mapping
    assert parameters[1] > 4 * parameters[0]


def test_lm_eval_takes_every_task_of_the_suite(trained: Path, suite: CustomSuite, tmp_path: Path) -> None:
    mirror = open_store(uri_of(f"{trained}/datasets/tiny-world/"))
    library = TaskLibrary(mirror, tmp_path, suite)
    tokenizer = trained / "checkpoints" / "tiny-small" / "step2"
    for entry in suite.tasks:
        settings = TaskSettings(entry.task, shots=entry.shots, limit=entry.limit, window=128)
        compiled = library.compile(settings, tokenizer)
        ability = entry.task.removeprefix("tiny_")
        table = pq.read_table(trained / "datasets/tiny-world/fineline/tiny-world" / ability / "test.parquet")
        assert compiled.documents.num_rows == table.num_rows
        assert compiled.prompts_cut == 0
        assert compiled.num_fewshot == entry.shots


def test_the_evaluation_names_the_runs_that_training_writes(suite: CustomSuite) -> None:
    evals = read_resources(TINY_RUN / "eval.yaml").evals
    assert tuple(resource.spec.run.name for resource in evals) == RUNS
    assert {resource.spec.suite.config_map for resource in evals} == {suite.name}
    domains = {entry.domain for entry in suite.tasks}
    assert domains == {"exam", "language", "knowledge", "understanding", "reasoning", "loss"}
