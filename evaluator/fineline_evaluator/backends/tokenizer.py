"""The tokenizer as far as generation needs it: what ends a text, and ids into text. Requests come as ids already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fineline.errors import CheckpointError
from fineline_evaluator.backends.stopping import cut, stop_strings

_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


class TextEnd:
    """Turns generated ids into text and knows which ids and strings end one."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        import transformers

        if not has_tokenizer(folder):
            raise CheckpointError(
                f"{folder}: holds no tokenizer, which generation needs; set spec.tokenizer", reason="TokenizerMissing"
            )
        auto_tokenizer: Any = transformers.AutoTokenizer
        try:
            self._tokenizer = auto_tokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{folder}: its tokenizer can't be read: {error}", reason="TokenizerMismatch"
            ) from error
        self._end_text: str | None = self._tokenizer.eos_token
        self.end_ids = _end_ids(folder, config, self._tokenizer.eos_token_id)

    def stops(self, until: Sequence[str]) -> tuple[str, ...]:
        return stop_strings(until, self._end_text)

    def text(self, ids: Sequence[int], until: Sequence[str]) -> str:
        """As lm-eval's `hf`: decoded without special tokens, cut before the first stop string."""
        return cut(str(self._tokenizer.decode(list(ids), skip_special_tokens=True)), self.stops(until))

    def tail(self, ids: Sequence[int]) -> str:
        """As lm-eval's stopping criterion sees it: with special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def length(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES)


def token_files_digest(folder: Path) -> str:
    """Of the files that decide what ids mean: another one needs another engine."""
    digest = hashlib.sha256()
    for name in (*_FILES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
        if (folder / name).is_file():
            digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
    return digest.hexdigest()


def _end_ids(folder: Path, config: dict[str, Any], own: int | None) -> tuple[int, ...]:
    """The ids that end a generation: the tokenizer's, the config's and the generation config's."""
    try:
        generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        generation = {}
    ids: list[int] = []
    for stated in (own, config.get("eos_token_id"), generation.get("eos_token_id")):
        ids += stated if isinstance(stated, list) else [stated] if isinstance(stated, int) else []
    return tuple(dict.fromkeys(ids))
