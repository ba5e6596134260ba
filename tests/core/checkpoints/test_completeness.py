import json
from datetime import timedelta

import pytest

from fineline.checkpoints import Checkpoint, FindOptions, find
from support.checkpoints import UPLOADED, ListedStore, listed, llama_files


def only(names: list[str], options: FindOptions | None = None, *, index: bytes = b"") -> Checkpoint:
    content = {"step1/model.safetensors.index.json": index}
    store = ListedStore([f"step1/{name}" for name in names], content)
    (checkpoint,) = find(store, options, now=UPLOADED + timedelta(hours=1)).checkpoints
    return checkpoint


def problem(checkpoint: Checkpoint) -> tuple[str, str, bool]:
    assert checkpoint.problem is not None
    return checkpoint.problem.reason, checkpoint.problem.message, checkpoint.problem.passing


SHARDED = list(llama_files(4))


@pytest.mark.parametrize("missing", [name for name in SHARDED if "-of-" in name])
def test_a_missing_shard_is_named(missing: str) -> None:
    reason, message, passing = problem(only([name for name in SHARDED if name != missing]))
    assert (reason, passing) == ("ShardMissing", True)
    assert message.startswith(f"step1: {missing} is missing")


def test_many_missing_shards_are_counted_and_the_first_are_named() -> None:
    _, message, _ = problem(only(["config.json", "model.safetensors.index.json", "model-00002-of-99999.safetensors"]))
    assert "model-00001-of-99999.safetensors, model-00003" in message
    assert "99,995 more" in message


def test_shards_with_numbers_that_are_none_of_theirs_do_not_count_as_the_missing_ones() -> None:
    names = ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"]
    reason, message, _ = problem(only([*names, "model-00007-of-00002.safetensors"]))
    assert (reason, "model-00002-of-00002" in message) == ("ShardMissing", True)


@pytest.mark.parametrize(
    ("names", "reason", "words"),
    [
        (["config.json", "model.safetensors.index.json"], "ShardMissing", "none of the shards"),
        (["model.safetensors"], "ConfigMissing", "config.json is missing"),
        (["config.json", "model-00001-of-00001.safetensors"], "Incomplete", "index.json is missing"),
        ([*SHARDED, "model.safetensors"], "WeightsAmbiguous", "holds model.safetensors and also model-00001"),
    ],
)
def test_what_is_missing_or_too_much_is_said(names: list[str], reason: str, words: str) -> None:
    found, message, _ = problem(only(names))
    assert (found, words in message) == (reason, True)


def test_an_index_is_no_weights_of_its_own_beside_a_single_file() -> None:
    assert only(["config.json", "model.safetensors", "model.safetensors.index.json"]).complete


def test_a_config_from_elsewhere_is_enough_and_its_own_one_leaves_the_digest() -> None:
    elsewhere = FindOptions(config_elsewhere=True)
    without, own = only(["model.safetensors"], elsewhere), only(["model.safetensors", "config.json"], elsewhere)
    assert without.complete
    assert without.digest == own.digest
    assert own.digest != only(["model.safetensors", "config.json"]).digest


def test_a_file_too_small_to_hold_weights_is_truncated() -> None:
    store = ListedStore([listed("step1/model.safetensors", size=0), "step1/config.json"])
    (checkpoint,) = find(store).checkpoints
    assert "model.safetensors is truncated: 0 bytes" in problem(checkpoint)[1]


def test_a_marker_that_is_not_there_is_waited_for() -> None:
    names = ["config.json", "model.safetensors"]
    marked = FindOptions(marker="_SUCCESS")
    assert problem(only(names, marked)) == ("Incomplete", "step1: the marker _SUCCESS is missing.", True)
    assert only([*names, "_SUCCESS"], marked).complete
    assert not only([*names, "logs/_SUCCESS"], marked).complete


def test_a_marker_that_lies_does_not_hide_a_missing_shard() -> None:
    assert problem(only([*SHARDED[:-2], "_SUCCESS"], FindOptions(marker="_SUCCESS")))[0] == "ShardMissing"


def test_nothing_in_the_checkpoint_may_have_changed_for_the_settling_time() -> None:
    late = listed("step1/optimizer.pt", modified=UPLOADED + timedelta(seconds=50))
    store = ListedStore(["step1/config.json", "step1/model.safetensors", late])
    options = FindOptions(settle_seconds=60)
    (young,) = find(store, options, now=UPLOADED + timedelta(seconds=100)).checkpoints
    (old,) = find(store, options, now=UPLOADED + timedelta(seconds=110)).checkpoints
    assert problem(young)[1].startswith("step1/optimizer.pt: changed 50 s ago")
    assert old.complete


OLD_AND_NEW = [
    "config.json",
    "model.safetensors.index.json",
    "model-00001-of-00001.safetensors",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
]


@pytest.mark.parametrize(
    ("names", "weights", "missing"),
    [
        (OLD_AND_NEW, OLD_AND_NEW[3:], None),
        (OLD_AND_NEW[:-1], OLD_AND_NEW[3:], OLD_AND_NEW[-1]),
        (["config.json", "model.safetensors.index.json", "part-a.safetensors"], ["part-a.safetensors"], None),
    ],
)
def test_where_names_do_not_tell_the_shards_the_index_does(
    names: list[str], weights: list[str], missing: str | None
) -> None:
    index = json.dumps({"weight_map": {f"tensor{number}": name for number, name in enumerate(weights)}}).encode()
    checkpoint = only(names, index=index)
    loaded = {item.name.removeprefix("step1/") for item in checkpoint.loaded}
    assert loaded == {*weights, "config.json", "model.safetensors.index.json"} - {missing}
    assert checkpoint.complete is (missing is None)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b"{}",
        b'{"weight_map": {}}',
        b'{"weight_map": {"a": "../b.safetensors"}}',
        b'{"weight_map": {"a": 1}}',
        b'{"weight_map": {"a": "model.bin"}}',
        b'{"weight_map": {"a": "\\u0000.safetensors"}}',
        b"{" * 10**5,
    ],
)
def test_an_index_that_makes_no_sense_makes_the_checkpoint_unreadable_and_is_named(index: bytes) -> None:
    reason, message, _ = problem(only(OLD_AND_NEW, index=index))
    assert reason == "WeightsUnreadable"
    assert "step1/model.safetensors.index.json" in message


def test_a_tokenizer_is_asked_for_where_none_lies_elsewhere() -> None:
    """In the checkpoint's folder or beside its weights."""
    files, needed = ["hf/config.json", "hf/model.safetensors"], FindOptions(tokenizer_needed=True)
    reason, message, passing = problem(only(files, needed))
    assert (reason, passing) == ("TokenizerMissing", True)
    assert message.startswith("step1: carries no tokenizer. Upload it")
    assert only(files).complete
    for name in ("tokenizer.json", "hf/tokenizer.json"):
        assert only([*files, name], needed).complete
