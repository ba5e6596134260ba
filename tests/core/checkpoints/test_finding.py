import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline.checkpoints import FindOptions, Format, Found, Position, explain_empty, find
from fineline.errors import StoreUnavailable
from fineline.store import open_store
from fineline.store.interface import Store, StoredObject
from support.checkpoints import UPLOADED, ListedStore, listed, llama_files, put_all

WHOLE = ("config.json", "model.safetensors")
BILLION = 10**9


def whole(*folders: str) -> list[str]:
    return [f"{folder}/{name}" for folder in folders for name in WHOLE]


def positions(found: Found) -> list[tuple[str, int]]:
    return [(item.position.branch, item.position.step) for item in found.checkpoints]


def test_a_series_is_found_in_order_of_steps_not_of_names(store: Store) -> None:
    for step in (9, 10, 100):
        put_all(store, f"step{step}", llama_files(fill=step))
    found = find(store)
    assert positions(found) == [("main", 9), ("main", 10), ("main", 100)]
    assert all(item.complete and item.format is Format.SAFETENSORS for item in found.checkpoints)
    assert len({item.digest for item in found.checkpoints}) == 3
    assert not found.not_understood
    assert not found.duplicates


def test_the_uri_itself_may_be_one_checkpoint(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/run/checkpoint-1000/")
    put_all(store, "", llama_files(2) | {"optimizer.pt": b"x", "rng_state.pth": b"x"})
    (checkpoint,) = find(store).checkpoints
    assert (checkpoint.folder, checkpoint.position, checkpoint.complete) == ("", Position("main", 1000), True)
    assert len(checkpoint.inventory) == 6
    assert sorted(item.name for item in checkpoint.loaded) == sorted(llama_files(2))


def test_nothing_under_a_prefix_is_said_in_one_sentence(store: Store) -> None:
    found = find(store)
    assert found.checkpoints == ()
    assert "no checkpoint is there" in explain_empty(found)


def test_the_folder_above_is_the_branch_and_a_stage_counts_as_one() -> None:
    folders = ["main/step1", "annealed/step2", "step3", "run/main/checkpoints/step4", "stage1-step5-tokens1B"]
    found = find(ListedStore(whole(*folders, "x/stage2-ingredient1-step6-tokens1B")))
    assert positions(found) == [
        ("annealed", 2),
        ("main", 1),
        ("main", 3),
        ("main", 4),
        ("stage1", 5),
        ("x-stage2-ingredient1", 6),
    ]


def test_a_branch_whose_checkpoints_all_tell_tokens_is_ordered_by_them() -> None:
    found = find(ListedStore(whole("train_1.2T", "train_00900B", "train_500M")))
    assert [item.position.tokens for item in found.checkpoints] == [500 * 10**6, 900 * BILLION, 1200 * BILLION]
    assert [item.position.step for item in found.checkpoints] == [500, 900_000, 1_200_000]


def test_tokens_per_step_places_what_names_do_not() -> None:
    options = FindOptions(tokens_per_step=4_000_000)
    found = find(ListedStore(whole("step1000", "step2000-tokens9B", "train_00012B")), options)
    assert [(item.position.step, item.position.tokens) for item in found.checkpoints] == [
        (1000, 4 * BILLION),
        (2000, 9 * BILLION),
        (3000, 12 * BILLION),
    ]


def test_an_explicit_position_counts_before_the_name() -> None:
    stated = {"ckpt_358": Position("main", 358_000, 1259 * BILLION), "a/last": Position("a", 400_000)}
    found = find(ListedStore(whole("ckpt_358", "ckpt_359", "a/last")), FindOptions(positions=stated))
    assert [item.position for item in found.checkpoints] == [
        Position("a", 400_000),
        Position("main", 359),
        Position("main", 358_000, 1259 * BILLION),
    ]


@pytest.mark.parametrize(
    ("name", "content", "position"),
    [
        ("trainer_state.json", {"global_step": 70, "num_input_tokens_seen": 900}, Position("main", 70, 900)),
        ("trainer_state.json", {"global_step": 70, "num_input_tokens_seen": 0}, Position("main", 70)),
        (".metadata.json", {"step": 70, "tokens_seen": 5}, Position("main", 70, 5)),
        ("latest", "global_step70", Position("main", 70)),
    ],
)
def test_where_a_name_says_nothing_the_files_inside_are_asked(
    store: Store, name: str, content: object, position: Position
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    put_all(store, "best", llama_files() | {name: text.encode()})
    assert [item.position for item in find(store).checkpoints] == [position]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"global_step": -1}', b'{"global_step": true}', b"\xff", b"[" * 10**5]
)
def test_files_inside_that_make_no_sense_tell_no_position(store: Store, content: bytes) -> None:
    put_all(store, "best", llama_files() | {"trainer_state.json": content})
    (aside,) = find(store).not_understood
    assert aside.folder == "best"
    assert "checkpoints.positions" in aside.message


def test_names_that_are_not_understood_are_told_and_the_rest_is_found() -> None:
    found = find(ListedStore(whole("step1", "final", "runs/best")))
    assert positions(found) == [("main", 1)]
    assert [aside.folder for aside in found.not_understood] == ["final", "runs/best"]


def test_a_final_model_beside_the_steps_is_told_and_takes_nothing_from_them() -> None:
    found = find(ListedStore([*WHOLE, *whole("checkpoint-10", "checkpoint-20"), "logs/events"]))
    assert positions(found) == [("main", 10), ("main", 20)]
    assert [aside.folder for aside in found.not_understood] == [""]


def test_two_folders_at_one_position_are_named_and_neither_is_evaluated() -> None:
    found = find(ListedStore(whole("step1000", "step_1000", "step2000")))
    (duplicate,) = found.duplicates
    assert duplicate.folders == ("step1000", "step_1000")
    assert "step1000, step_1000" in duplicate.message
    assert [item.name for item in found.complete] == ["step2000"]
    assert [item.problem.reason for item in found.checkpoints if item.problem] == ["PositionAmbiguous"] * 2


def test_of_two_folders_at_one_position_the_readable_one_is_evaluated_and_both_are_told() -> None:
    names = [*whole("step1000-hf"), "step1000/model_and_optim/.metadata", "step1000/model_and_optim/__0_0.distcp"]
    found = find(ListedStore(names))
    assert [(item.name, item.complete) for item in found.checkpoints] == [("step1000-hf", True)]
    assert found.duplicates[0].folders == ("step1000", "step1000-hf")


def test_two_folders_that_cannot_be_read_keep_what_is_wrong_with_each() -> None:
    found = find(ListedStore(["step1/model.pt", "step_1/pytorch_model.bin"]))
    assert {item.problem.reason for item in found.checkpoints if item.problem} == {"FormatUnsupported", "PickleRefused"}
    assert len(found.duplicates) == 1


def test_the_position_by_name_counts_before_the_same_position_by_metadata(store: Store) -> None:
    """The Hugging Face Trainer leaves the last checkpoint's model in the run's own folder as well."""
    put_all(store, "", llama_files() | {"trainer_state.json": b'{"global_step": 20}'})
    put_all(store, "checkpoint-10", llama_files())
    put_all(store, "checkpoint-20", llama_files())
    found = find(store)
    assert [item.name for item in found.complete] == ["checkpoint-10", "checkpoint-20"]
    assert "checkpoint-20 is the one that is read" in found.duplicates[0].message


def test_a_run_whose_folder_is_a_number_is_no_checkpoint(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/7/")
    put_all(store, "", {"config.json": b"{}"})
    put_all(store, "step1", llama_files())
    assert positions(find(store)) == [("main", 1)]


def test_a_listing_that_breaks_off_gives_nothing() -> None:
    class Broken(ListedStore):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            yield listed("step1/config.json")
            raise StoreUnavailable("s3://bucket/run/: no answer.")

    with pytest.raises(StoreUnavailable):
        find(Broken([]))


def test_weights_below_the_step_folder_belong_to_it() -> None:
    names = [*whole("step5/hf"), "step5/train/rank0.pt", "step5/model_and_optim/.metadata", "step5/config.json"]
    (checkpoint,) = find(ListedStore(names)).checkpoints
    assert (checkpoint.folder, checkpoint.weights_folder, checkpoint.complete) == ("step5", "step5/hf", True)
    assert len(checkpoint.inventory) == 5


def test_the_optimizer_state_of_deepspeed_inside_a_checkpoint_is_part_of_it() -> None:
    inside = "checkpoint-7/global_step7/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"
    found = find(ListedStore([*whole("checkpoint-7"), inside, "checkpoint-7/global_step7/mp_rank_00_model_states.pt"]))
    assert [(item.folder, item.format, len(item.inventory)) for item in found.checkpoints] == [
        ("checkpoint-7", Format.SAFETENSORS, 4)
    ]
    assert not found.duplicates


def test_weights_in_two_folders_of_one_step_are_not_guessed_between() -> None:
    (checkpoint,) = find(ListedStore(whole("step5/model", "step5/ema"))).checkpoints
    assert checkpoint.problem is not None
    assert checkpoint.problem.reason == "WeightsAmbiguous"


def test_folders_of_logs_and_results_are_no_checkpoints() -> None:
    names = ["logs/step_100/events.out", "units/run=a/branch=main/step=000000000100/task=b/key=c/metrics.arrow"]
    assert find(ListedStore([*names, "2024/notes.txt"])) == Found(uri="s3://bucket/run/", checkpoints=())


@pytest.mark.parametrize(
    ("files", "form", "reason", "words"),
    [
        (["config.json", "pytorch_model.bin"], Format.PYTORCH_BIN, "PickleRefused", "safe_serialization"),
        (["pytorch_model-00001-of-00002.bin"], Format.PYTORCH_BIN, "PickleRefused", "safe_serialization"),
        ([".metadata", "__0_0.distcp"], Format.TORCH_DCP, "FormatUnsupported", "dcp_to_torch"),
        (["model_and_optim/.metadata"], Format.TORCH_DCP, "FormatUnsupported", "OLMo-core"),
        (
            ["mp_rank_00/model_optim_rng.pt", "mp_rank_01/model_optim_rng.pt"],
            Format.MEGATRON,
            "FormatUnsupported",
            "Bridge",
        ),
        (["common.pt", ".metadata", "__0_0.distcp"], Format.MEGATRON, "FormatUnsupported", "Megatron Bridge"),
        (["mp_rank_00_model_states.pt"], Format.DEEPSPEED, "FormatUnsupported", "zero_to_fp32"),
        (["model.pt", "optim.pt"], Format.PICKLE, "FormatUnsupported", "model.pt"),
        (["adapter_model.safetensors"], Format.OTHER, "FormatUnsupported", "adapter_model"),
        (["model.gguf", "config.json"], Format.OTHER, "FormatUnsupported", "model.gguf"),
        (["config.json", "optimizer.pt"], Format.NONE, "Incomplete", "no weights are there yet"),
    ],
)
def test_other_formats_are_recognised_and_answered_with_what_to_do(
    files: list[str], form: Format, reason: str, words: str
) -> None:
    (checkpoint,) = find(ListedStore([f"iter_0028608/{name}" for name in files])).checkpoints
    assert checkpoint.problem is not None
    assert (checkpoint.format, checkpoint.problem.reason) == (form, reason)
    assert words in checkpoint.problem.message
    assert checkpoint.problem.message.startswith("iter_0028608")


def test_pickles_are_not_read_when_allowed_either_and_say_so() -> None:
    (checkpoint,) = find(ListedStore(["ckpt_1/pytorch_model.bin"]), FindOptions(allow_pickle=True)).checkpoints
    assert checkpoint.problem is not None
    assert checkpoint.problem.reason == "FormatUnsupported"


def test_one_listing_is_enough_for_checkpoints_with_usual_names() -> None:
    shards = [f"step{step}/{name}" for step in range(50) for name in llama_files(3)]
    store = ListedStore(shards)
    assert len(find(store).complete) == 50
    assert store.reads == []


@pytest.mark.parametrize(
    "name",
    [
        "../step1/model.safetensors",
        "step1/../model.safetensors",
        "step1//model.safetensors",
        "/step1/model.safetensors",
        "a\x00b/step1/model.safetensors",
        "a\nb/step1/model.safetensors",
        "a\u202eb/step1/model.safetensors",
        "\ud800/step1/model.safetensors",
        "./step1/model.safetensors",
    ],
)
def test_a_hostile_path_is_put_aside_and_told_in_plain_characters(name: str) -> None:
    found = find(ListedStore([name, *whole("step2")]))
    assert positions(found) == [("main", 2)]
    (aside,) = found.not_understood
    assert aside.message.isascii()
    assert aside.message.isprintable()


def test_names_in_any_script_are_taken_as_they_are() -> None:
    assert positions(find(ListedStore(whole("größe-模型/step1")))) == [("größe-模型", 1)]


def test_names_of_a_thousand_characters_are_put_aside() -> None:
    found = find(ListedStore([*whole("x" * 1000 + "/step1"), *whole("step2")]))
    assert positions(found) == [("main", 2)]
    assert len(found.not_understood) == 1


PARTS = st.sampled_from(
    [
        "",
        ".",
        "..",
        "step1",
        "step2",
        "7",
        "main",
        "tmp",
        "hf",
        "mp_rank_00",
        "global_step1",
        "model_and_optim",
        "ü",
        "\n",
    ]
) | st.text(max_size=3)
SHARDS = [f"model-0000{number}-of-{count}.safetensors" for number in (1, 2) for count in ("00002", "99999")]
INSIDE = ["trainer_state.json", "latest", "_SUCCESS", ".metadata", "__0_0.distcp"]
OTHERS = ["x.safetensors", "pytorch_model.bin", "mp_rank_00_model_states.pt", "model_optim_rng.pt", "a.pt"]
FILES = st.sampled_from([*WHOLE, "model.safetensors.index.json", *SHARDS, *INSIDE, *OTHERS])
KEYS = st.tuples(st.lists(PARTS, max_size=4), FILES | st.text(max_size=6)).map(lambda key: "/".join([*key[0], key[1]]))


@given(st.lists(KEYS, max_size=25, unique=True))
def test_any_listing_gives_each_object_to_one_checkpoint_at_most_and_never_fails(keys: list[str]) -> None:
    store = ListedStore(keys)
    options = FindOptions(marker="_SUCCESS", settle_seconds=5, tokens_per_step=3)
    found = find(store, options)
    seen = [item.name for checkpoint in found.checkpoints for item in checkpoint.inventory]
    assert len(seen) == len(set(seen))
    for checkpoint in found.checkpoints:
        assert set(checkpoint.loaded) <= set(checkpoint.inventory)
        assert ".." not in checkpoint.folder.split("/")
        assert 0 <= checkpoint.position.step < 10**12
    assert explain_empty(found) if not found.complete else True


@given(st.sets(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12 - 1)), max_size=20))
def test_checkpoints_come_in_order_of_branch_and_step(places: set[tuple[str, int]]) -> None:
    found = find(ListedStore(whole(*(f"{branch}/step{step}" for branch, step in places))))
    assert positions(found) == sorted(places)


@given(st.permutations([*whole("main/step1", "b/step20", "step3", "b/step100"), "step3/optimizer.pt"]))
def test_the_order_of_a_listing_changes_nothing(keys: list[str]) -> None:
    class Unordered(ListedStore):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            return iter(self.objects)

    shuffled, ordered = find(Unordered(keys)), find(ListedStore(keys))
    assert [(item.position, item.digest) for item in shuffled.checkpoints] == [
        (item.position, item.digest) for item in ordered.checkpoints
    ]
    assert positions(ordered) == [("b", 20), ("b", 100), ("main", 1), ("main", 3)]


def test_a_future_time_of_the_store_counts_as_not_settled() -> None:
    ahead = listed("step1/model.safetensors", modified=UPLOADED + timedelta(hours=1))
    store = ListedStore([ahead, "step1/config.json"])
    (checkpoint,) = find(store, FindOptions(settle_seconds=60), now=UPLOADED).checkpoints
    assert not checkpoint.complete
