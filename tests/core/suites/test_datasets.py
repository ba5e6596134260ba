"""A mirror's manifest: read, made of a listing, and refused where it can't be right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fineline.datasets import (
    MANIFEST_NAME,
    MirrorFile,
    data_digest,
    hub_digest,
    read_manifest,
    read_mirror,
    write_manifest,
)
from fineline.errors import SpecError
from fineline.store import Store, open_store

FILES = [
    MirrorFile("cais/mmlu/anatomy/test.parquet", 10, None, "a" * 64),
    MirrorFile("cais/mmlu/anatomy/dev.parquet", 5, None, "b" * 64),
    MirrorFile("loss/default/validation.jsonl", 7, None, "c" * 64),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri() + "/")


def test_a_mirror_without_a_manifest_is_known_by_its_listing(store: Store) -> None:
    for name in ("cais/mmlu/anatomy/test.parquet", "loss/default/validation.jsonl", "README.md", "a/b/c/notes.txt"):
        store.put(name, b"content")
    before = read_manifest(store)
    assert sorted(before) == ["cais/mmlu/anatomy", "loss/default"]
    store.put("loss/default/validation.jsonl", b"other content")
    after = read_manifest(store)
    assert after["cais/mmlu/anatomy"] == before["cais/mmlu/anatomy"]
    assert after["loss/default"] != before["loss/default"]


def test_a_manifest_is_read_as_it_was_written(store: Store) -> None:
    written = write_manifest(store, FILES)
    assert read_manifest(store) == dict(written.digests)
    assert read_mirror(store).files["cais/mmlu/anatomy", "dev"].sha256 == "b" * 64
    assert read_mirror(store).splits("cais/mmlu/anatomy") == ["dev", "test"]


def test_digests_are_of_the_content_and_not_of_the_place(store: Store, tmp_path: Path) -> None:
    elsewhere = open_store((tmp_path / "elsewhere").as_uri() + "/")
    assert write_manifest(store, FILES).digests == write_manifest(elsewhere, reversed(FILES)).digests


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not a mirror's manifest"),
        (b"[]", "not a mirror's manifest"),
        (b'{"version": 1}', "not a mirror's manifest"),
        (b'{"version": 2, "datasets": {}}', "version 2 is newer than 1"),
    ],
)
def test_a_manifest_that_can_not_be_read_is_refused(content: bytes, message: str, store: Store) -> None:
    store.put(MANIFEST_NAME, content)
    with pytest.raises(SpecError, match=message):
        read_manifest(store)


def test_a_digest_that_was_edited_is_refused(store: Store) -> None:
    write_manifest(store, FILES)
    content = json.loads(store.get(MANIFEST_NAME))
    content["datasets"]["loss/default"]["digest"] = "0" * 64
    store.put(MANIFEST_NAME, json.dumps(content).encode())
    with pytest.raises(SpecError, match="the digest of loss/default is not that of the files"):
        read_manifest(store)


def test_the_digest_of_a_tasks_data_changes_with_what_it_reads_alone() -> None:
    manifest = {"a/default": "1", "b/default": "2"}
    assert data_digest(["a/default"], manifest) == data_digest(["a/default"], manifest | {"b/default": "3"})
    assert data_digest(["a/default"], manifest) != data_digest(["a/default"], manifest | {"a/default": "3"})
    assert data_digest(["c/default"], manifest) != data_digest(["c/default"], manifest | {"c/default": "4"})
    assert hub_digest(["a/default"], {}) != hub_digest(["a/default"], {"a/default": "commit"})
