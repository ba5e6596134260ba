import hashlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fineline.checkpoints import files_digest, find, tokenizer_files
from fineline.store.interface import Store
from support.checkpoints import ListedStore, listed, llama_files, put_all

FILES = [listed("step1/model.safetensors", etag="a"), listed("step1/config.json", etag="b")]
ITEMS = st.builds(lambda name, size, etag: listed(name, size=size, etag=etag), st.text(), st.integers(0), st.text())


def test_an_overwritten_checkpoint_has_another_digest(store: Store) -> None:
    put_all(store, "step1", llama_files(fill=1))
    (before,) = find(store).checkpoints
    put_all(store, "step1", {"model.safetensors": llama_files(fill=2)["model.safetensors"]})
    (after,) = find(store).checkpoints
    assert before.digest != after.digest


def test_what_is_not_loaded_does_not_change_the_digest(store: Store) -> None:
    put_all(store, "step1", llama_files(2))
    (before,) = find(store).checkpoints
    beside = ["optimizer.pt", "rng_state.pth", "trainer_state.json", "README.md", "tokenizer.json"]
    beside.append("x/model.safetensors")
    put_all(store, "step1", dict.fromkeys(beside, b"{}"))
    (after,) = find(store).checkpoints
    assert before.digest == after.digest
    assert len(after.inventory) == len(before.inventory) + len(beside)


def test_the_digest_is_the_same_on_every_machine_and_version() -> None:
    expected = hashlib.sha256(b'[["config.json",1000,"b"],["model.safetensors",1000,"a"]]').hexdigest()
    assert files_digest(FILES, "step1") == expected
    assert files_digest(reversed(FILES), "step1") == expected


def test_names_count_relative_to_the_folder() -> None:
    moved = [replace(item, name=item.name.replace("step1", "other/step1")) for item in FILES]
    assert files_digest(moved, "other/step1") == files_digest(FILES, "step1")


@given(st.lists(ITEMS, max_size=4), st.lists(ITEMS, max_size=4))
def test_different_files_never_share_a_digest(ones: list[object], others: list[object]) -> None:
    def rows(items: list[object]) -> list[tuple[str, int, str]]:
        return sorted((item.name, item.size, item.etag) for item in items)  # type: ignore[attr-defined]

    same = files_digest(ones) == files_digest(others)  # type: ignore[arg-type]
    assert same == (rows(ones) == rows(others))


def test_tokenizer_files_are_told_apart_and_have_a_digest_of_their_own() -> None:
    names = ["config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "sub/tokenizer.json"]
    items = [listed(f"step1/{name}") for name in names]
    found = tokenizer_files(items, "step1")
    assert [item.name for item in found] == [
        "step1/special_tokens_map.json",
        "step1/tokenizer.json",
        "step1/tokenizer_config.json",
    ]
    assert files_digest(found, "step1") != files_digest(items, "step1")


def test_a_tokenizer_config_without_a_vocabulary_is_no_tokenizer() -> None:
    assert tokenizer_files([listed("step1/tokenizer_config.json")], "step1") == ()


def test_generation_config_is_loaded_for_it_moves_where_generation_stops() -> None:
    names = ["step1/config.json", "step1/model.safetensors"]
    (without,) = find(ListedStore(names)).checkpoints
    (with_it,) = find(ListedStore([*names, "step1/generation_config.json"])).checkpoints
    assert without.digest != with_it.digest
