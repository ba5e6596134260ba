"""Requests are compiled once, the same each time, and only over data that is there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fineline.datasets import MirrorFile, write_manifest
from fineline.errors import TaskError
from fineline.results.schemas import DOCUMENTS, SAMPLES
from fineline.store import open_store
from fineline.suites import parse, sample_ids, task_identity
from fineline_evaluator.scoring import Loglikelihood
from fineline_evaluator.tasks import CompiledTask, TaskLibrary, TaskSettings
from support.models import make_tokenizer
from support.tasks import BENCHMARKS, needs_benchmarks

WINDOW = 1024

ANIMALS = """
task: animals
dataset_path: own/animals
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: right
"""


def settings(task: str, shots: int | None = 0, limit: int | None = None, window: int = WINDOW) -> TaskSettings:
    return TaskSettings(task, shots=shots, limit=limit, window=window)


def a_mirror(folder: Path, questions: list[str], choices: list[str] | None = None) -> Path:
    """A mirror with one data set of questions about animals."""
    place = folder / "own" / "animals" / "default"
    place.mkdir(parents=True, exist_ok=True)
    several = [choices or ["a cat", "a dog"]] * len(questions)
    right = [index % 2 for index in range(len(questions))]
    pq.write_table(pa.table({"question": questions, "choices": several, "right": right}), place / "validation.parquet")
    return folder


def a_library(mirror: Path, cache: Path, *, files: dict[str, str] | None = None) -> TaskLibrary:
    suite = {"suite.yaml": "tasks: [{task: animals, domain: exam}]", "animals.yaml": ANIMALS} | (files or {})
    return TaskLibrary(open_store(mirror.as_uri() + "/"), cache, parse(suite, "own"))


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def compiled(tmp_path: Path, tokenizer: Path) -> CompiledTask:
    mirror = a_mirror(tmp_path / "mirror", ["It says miaow:", "It barks:", "It purrs:"])
    return a_library(mirror, tmp_path / "cache").compile(settings("animals"), tokenizer)


def test_two_checkpoints_never_see_each_others_responses(compiled: CompiledTask) -> None:
    right = compiled.score([Loglikelihood(value, False) for value in (-1, -2, -2, -1, -1, -2)], [])
    wrong = compiled.score([Loglikelihood(value, False) for value in (-2, -1, -1, -2, -2, -1)], [])
    again = compiled.score([Loglikelihood(value, False) for value in (-1, -2, -2, -1, -1, -2)], [])
    assert [scores.samples["acc"].to_pylist() for scores in (right, wrong, again)] == [[1] * 3, [0] * 3, [1] * 3]
    assert right.metrics == again.metrics
    assert right.samples.equals(again.samples)


def test_samples_and_documents_have_their_schemas(compiled: CompiledTask) -> None:
    scores = compiled.score([Loglikelihood(-1.0, False)] * len(compiled.loglikelihoods), [])
    names = scores.samples.schema.names
    assert scores.samples.select(names[: len(SAMPLES)]).schema.equals(SAMPLES)
    assert {scores.samples.schema.field(name).type for name in names[len(SAMPLES) :]} == {pa.float64()}
    assert compiled.documents.schema.equals(DOCUMENTS)
    assert compiled.documents["doc_digest"].to_pylist() == scores.samples["doc_digest"].to_pylist()


def test_too_few_answers_are_refused(compiled: CompiledTask) -> None:
    with pytest.raises(TaskError, match="1 log-likelihoods and 0 generations for 6 and 0 requests"):
        compiled.score([Loglikelihood(-1.0, False)], [])


def test_the_identity_of_ones_own_task_is_the_one_in_the_key(compiled: CompiledTask) -> None:
    suite = parse({"suite.yaml": "tasks: [{task: animals, domain: exam}]", "animals.yaml": ANIMALS}, "own")
    assert compiled.config_digest == task_identity(suite, "animals")


@needs_benchmarks
def test_what_comes_from_the_cache_equals_what_was_compiled(checkpoint: Path, tmp_path: Path) -> None:
    for asked in (settings("rte", limit=20), settings("gsm8k", shots=2, limit=5), settings("mmlu_anatomy", 5, 5)):
        fresh = TaskLibrary(open_store(BENCHMARKS.as_uri() + "/"), tmp_path / "cache")
        missed, hit = fresh.compile(asked, checkpoint), fresh.compile(asked, checkpoint)
        assert missed.loglikelihoods == hit.loglikelihoods
        assert missed.generations == hit.generations
        assert missed.documents.equals(hit.documents)
        assert (missed.prompts_cut, missed.data_digest) == (hit.prompts_cut, hit.data_digest)


@pytest.mark.parametrize("damage", ["emptied", "cut", "flipped"])
def test_a_corrupt_cache_is_rebuilt(damage: str, tmp_path: Path, tokenizer: Path) -> None:
    library = a_library(a_mirror(tmp_path / "mirror", ["It says miaow:"]), tmp_path / "cache")
    first = library.compile(settings("animals"), tokenizer)
    [file] = (tmp_path / "cache" / "requests").iterdir()
    content = bytearray(file.read_bytes())
    content[-30] ^= 1
    file.write_bytes({"emptied": b"", "cut": bytes(content[:-40]), "flipped": bytes(content)}[damage])
    assert library.compile(settings("animals"), tokenizer).loglikelihoods == first.loglikelihoods


def test_changed_data_are_compiled_anew(tmp_path: Path, tokenizer: Path) -> None:
    before = a_library(a_mirror(tmp_path / "mirror", ["It barks:"]), tmp_path / "cache")
    old = before.compile(settings("animals"), tokenizer)
    after = a_library(a_mirror(tmp_path / "mirror", ["It purrs:"]), tmp_path / "cache")
    new = after.compile(settings("animals"), tokenizer)
    assert old.data_digest != new.data_digest
    assert old.loglikelihoods != new.loglikelihoods


def test_few_shot_examples_are_the_same_at_every_build(tmp_path: Path, tokenizer: Path) -> None:
    questions = [f"Animal {number} says:" for number in range(30)]
    library = a_library(a_mirror(tmp_path / "mirror", questions), tmp_path / "one")
    other = a_library(tmp_path / "mirror", tmp_path / "two")
    first = library.compile(settings("animals", shots=3), tokenizer)
    assert first.loglikelihoods == other.compile(settings("animals", shots=3), tokenizer).loglikelihoods
    assert first.num_fewshot == 3


@needs_benchmarks
def test_a_limit_is_the_same_random_subset_for_every_checkpoint(
    library: TaskLibrary, checkpoint: Path, other_checkpoint: Path
) -> None:
    small = library.compile(settings("piqa", limit=10), checkpoint)
    large = library.compile(settings("piqa", limit=20), other_checkpoint)
    ids = small.documents["doc_id"].to_pylist()
    assert tuple(ids) == sample_ids("piqa", 1838, 10, 1234)
    assert ids != list(range(10))
    assert set(ids) < set(large.documents["doc_id"].to_pylist())


@needs_benchmarks
@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("arc_easy", "lacks split 'test' of allenai/ai2_arc, config ARC-Easy (it has: validation)"),
        ("sciq", "lacks split 'test' of allenai/sciq, config default (it has: validation)"),
        ("hellaswag", "lacks split 'validation' of Rowan/hellaswag, config default (it has: no such data set)"),
    ],
)
def test_a_split_that_the_mirror_lacks_is_named(task: str, named: str, library: TaskLibrary, checkpoint: Path) -> None:
    with pytest.raises(TaskError) as caught:
        library.compile(settings(task), checkpoint)
    assert caught.value.reason == "SplitMissing"
    assert named in str(caught.value)


def test_data_that_are_not_the_manifests_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    mirror = a_mirror(tmp_path / "mirror", ["It barks:"])
    file = mirror / "own" / "animals" / "default" / "validation.parquet"
    stated = MirrorFile("own/animals/default/validation.parquet", file.stat().st_size, None, "0" * 64)
    write_manifest(open_store(mirror.as_uri() + "/"), [stated])
    with pytest.raises(TaskError) as caught:
        a_library(mirror, tmp_path / "cache").compile(settings("animals"), tokenizer)
    assert caught.value.reason == "DataMismatch"


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    mirror = a_mirror(tmp_path / "mirror", ["It barks:"])
    (mirror / "own" / "animals" / "default" / "validation.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(TaskError) as caught:
        a_library(mirror, tmp_path / "cache").compile(settings("animals"), tokenizer)
    assert caught.value.reason == "DataMismatch"


def test_json_lines_are_read_as_parquet_is(tmp_path: Path, tokenizer: Path, compiled: CompiledTask) -> None:
    place = tmp_path / "lines" / "own" / "animals" / "default"
    place.mkdir(parents=True)
    (place / "validation.jsonl").write_text(
        "".join(
            f'{{"question": "{question}", "choices": ["a cat", "a dog"], "right": {index % 2}}}\n'
            for index, question in enumerate(["It says miaow:", "It barks:", "It purrs:"])
        )
    )
    lines = a_library(tmp_path / "lines", tmp_path / "cache").compile(settings("animals"), tokenizer)
    assert lines.loglikelihoods == compiled.loglikelihoods


def test_an_unknown_task_is_refused_with_close_names(compiled: CompiledTask, tmp_path: Path, tokenizer: Path) -> None:
    with pytest.raises(TaskError, match="winogrande") as caught:
        a_library(tmp_path / "mirror", tmp_path / "cache").compile(settings("winogrand"), tokenizer)
    assert caught.value.reason == "TaskUnknown"


def test_prompts_that_do_not_fit_are_cut_from_the_left_and_counted(tmp_path: Path, tokenizer: Path) -> None:
    mirror = a_mirror(tmp_path / "mirror", ["It barks:", "Once upon a time there was a thing. " * 20])
    library = a_library(mirror, tmp_path / "cache")
    whole = library.compile(settings("animals", window=2000), tokenizer)
    cut = library.compile(settings("animals", window=24), tokenizer)
    assert (whole.prompts_cut, cut.prompts_cut) == (0, 2)
    for long, short in zip(whole.loglikelihoods, cut.loglikelihoods, strict=True):
        assert short.continuation == long.continuation
        assert len(short.context) + len(short.continuation) - 1 <= 24
        assert long.context[-len(short.context) :] == short.context


def test_a_continuation_longer_than_the_window_is_refused(tmp_path: Path, tokenizer: Path) -> None:
    mirror = a_mirror(tmp_path / "mirror", ["It barks:"], ["a dog " * 50, "a cat " * 50])
    with pytest.raises(TaskError) as caught:
        a_library(mirror, tmp_path / "cache").compile(settings("animals", window=16), tokenizer)
    assert caught.value.reason == "ContextTooLong"
    assert caught.value.permanent


@needs_benchmarks
def test_a_generation_longer_than_the_window_is_refused(library: TaskLibrary, checkpoint: Path) -> None:
    with pytest.raises(TaskError) as caught:
        library.compile(settings("gsm8k", limit=1, window=256), checkpoint)
    assert caught.value.reason == "ContextTooLong"


def test_a_template_gets_no_python(tmp_path: Path, tokenizer: Path) -> None:
    spying = ANIMALS.replace('"{{question}}"', '"{{ question.__class__.__mro__[1].__subclasses__() }}"')
    library = a_library(
        a_mirror(tmp_path / "mirror", ["It barks:"]), tmp_path / "cache", files={"animals.yaml": spying}
    )
    with pytest.raises(TaskError, match="unsafe"):
        library.compile(settings("animals"), tokenizer)


def test_a_group_of_ones_own_weighs_its_tasks_as_it_says(tmp_path: Path, tokenizer: Path) -> None:
    mirror = a_mirror(tmp_path / "mirror", ["It says miaow:", "It barks:", "It purrs:"])
    place = mirror / "own" / "two" / "default"
    place.mkdir(parents=True)
    pq.write_table(
        pa.table({"question": ["It flies:"], "choices": [["a cat", "a bird"]], "right": [1]}),
        place / "validation.parquet",
    )
    files = {
        "suite.yaml": "tasks: [{task: zoo, domain: exam}, {task: equal_zoo, domain: exam}]",
        "two.yaml": "include: animals.yaml\ntask: two\ndataset_path: own/two",
        "zoo.yaml": "group: zoo\ntask: [animals, two]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]",
        "equal.yaml": (
            "group: equal_zoo\ntask: [animals, two]\naggregate_metric_list: [{metric: acc, weight_by_size: false}]"
        ),
    }
    library = a_library(mirror, tmp_path / "cache", files=files)
    answers = [Loglikelihood(value, False) for value in (-1, -2, -1, -2, -2, -1, -2, -1)]  # 1 of 3, and 1 of 1
    for task, weighting, accuracy in (("zoo", "size", 1 / 2), ("equal_zoo", "equal", (1 / 3 + 1) / 2)):
        compiled = library.compile(settings(task), tokenizer)
        scores = compiled.score(answers, [])
        rows = {(row.subtask, row.metric): row for row in scores.metrics}
        assert compiled.weighting == weighting
        assert rows["animals", "acc"].value == pytest.approx(1 / 3)
        assert rows[None, "acc"].value == pytest.approx(accuracy)
        assert rows[None, "acc"].n == 4
        assert rows[None, "choice_margin"].value == pytest.approx(0 if weighting == "size" else (-1 / 3 + 1) / 2)
        assert scores.samples["subtask"].to_pylist() == ["animals"] * 3 + ["two"]
