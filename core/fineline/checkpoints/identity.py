"""The digests that say which bytes a result came from, made from a listing alone.

A digest is the SHA-256 of the canonical JSON of [[name, size, etag], …], sorted by name, with names relative to the
folder: the same files in another folder of the same store have the same digest if the store gives them the same etag.
What an engine loads from the checkpoint is in its digest; a tokenizer, or a config.json from elsewhere, has a digest of
its own. Nothing else (optimizer state, trainer state, README) changes what is measured, so nothing else is in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from fineline.checkpoints.checkpoint import Checkpoint
from fineline.store.interface import StoredObject

TOKENIZER_FILES = frozenset(
    {
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tekken.json",
        "chat_template.json",
        "chat_template.jinja",
    }
)
"""Names of the files that transformers reads a tokenizer from."""

_VOCABULARIES = frozenset(
    {
        "tokenizer.json",
        "tokenizer.model",
        "vocab.json",
        "vocab.txt",
        "spiece.model",
        "sentencepiece.bpe.model",
        "tekken.json",
    }
)


def files_digest(files: Iterable[StoredObject], folder: str = "") -> str:
    """SHA-256 (64 hex) over the names, sizes and etags of `files`, with names relative to `folder`."""
    start = len(folder) + 1 if folder else 0
    rows = sorted((file.name[start:], file.size, file.etag) for file in files)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def tokenizer_files(files: Iterable[StoredObject], folder: str = "") -> tuple[StoredObject, ...]:
    """The tokenizer's files directly in `folder`, in order of names; empty where there is no vocabulary.

    A `tokenizer_config.json` without a vocabulary (OpenLLaMA's step folders hold none at all) is no tokenizer.
    """
    prefix = f"{folder}/" if folder else ""
    start = len(prefix)
    found = [file for file in files if file.name.startswith(prefix) and file.name[start:] in TOKENIZER_FILES]
    if not any(file.name[start:] in _VOCABULARIES for file in found):
        return ()
    return tuple(sorted(found, key=lambda file: file.name))


def own_tokenizer(checkpoint: Checkpoint) -> tuple[StoredObject, ...]:
    """The tokenizer's files that a checkpoint carries: beside its weights, else in its own folder; else empty."""
    for folder in dict.fromkeys((checkpoint.weights_folder, checkpoint.folder)):
        if files := tokenizer_files(checkpoint.inventory, folder):
            return files
    return ()


def tokenizer_digest(files: Sequence[StoredObject]) -> str:
    """`files_digest` of a tokenizer's files, which lie in one folder; empty where there are none."""
    return files_digest(files, files[0].name.rpartition("/")[0]) if files else ""
