"""From text to token ids, exactly as lm-eval's `hf` does it.

Its rules, which move scores when they are missed: spaces at a context's end belong to the continuation; context and
continuation are encoded together and cut at the context's own length; an empty context is the BOS token, or EOS; text
that already starts with it gets no second one; what does not fit into the window is cut from the left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fineline.errors import CheckpointError

_BATCH = 256
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges*", "special_tokens_map.json", "added_tokens.json", "*.model")

Pair = tuple[tuple[int, ...], tuple[int, ...]]


class Encoder:
    """A checkpoint's tokenizer under a BOS policy. `add_bos` None is the tokenizer's own."""

    def __init__(self, folder: Path, add_bos: bool | None) -> None:  # noqa: FBT001 - a value of the settings
        import transformers

        options: dict[str, Any] = {} if add_bos is None else {"add_bos_token": add_bos}
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder), use_fast=True, **options)
        except Exception as error:
            raise CheckpointError(
                f"{folder.name}: its tokenizer can't be read: {error}", reason="TokenizerMissing"
            ) from error
        self._add_bos = add_bos
        own = self._tokenizer.bos_token_id
        prefix = own if own is not None else self._tokenizer.eos_token_id
        if prefix is None:
            raise CheckpointError(
                f"{folder.name}: its tokenizer has neither a BOS nor an EOS token to score a first token after",
                reason="TokenizerMismatch",
            )
        self.prefix_token = int(prefix)
        self._prefix_text = str(self._tokenizer.decode(self.prefix_token))
        eos = self._tokenizer.eos_token_id
        self.eos_token: int | None = None if eos is None else int(eos)
        unknown = self._tokenizer.unk_token_id
        self.unknown_token: int | None = None if unknown is None else int(unknown)
        self.highest_token = int(max(self._tokenizer.get_vocab().values()))
        self.eos_text: str | None = None if eos is None else str(self._tokenizer.decode(eos))
        # Token ids recur by the million: one object each instead of one object a place.
        self._interned = list(range(self.highest_token + 1))

    def texts(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Each text as `tok_encode` gives it."""
        return [self.intern(ids) for ids in self._encode(texts, self._with_bos)]

    def continuations(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Each text without any special token."""
        return [self.intern(ids) for ids in self._encode(texts, lambda _: False)]

    def prompts(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Each text as the start of a generation: here lm-eval looks for the BOS token's text alone."""
        bos = self._tokenizer.bos_token
        found = self._encode(texts, lambda text: False if bos is not None and text.startswith(bos) else self._add_bos)
        return [self.intern(ids) for ids in found]

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Pair]:
        """Context and continuation of each pair, not yet cut to a window; either may be empty. Pairs of one context
        share its tuple."""
        moved = [_move_spaces(context, continuation) for context, continuation in pairs]
        unique = list(dict.fromkeys(context for context, _ in moved if context))
        contexts = dict(zip(unique, map(self.intern, self._encode(unique, self._with_bos)), strict=True))
        wholes = self._encode([context + continuation for context, continuation in moved if context], self._with_bos)
        alone = iter(self.continuations([continuation for context, continuation in moved if not context]))
        encoded: list[Pair] = []
        for context, _ in moved:
            if context:
                start = contexts[context]
                encoded.append((start, self.intern(next(wholes)[len(start) :])))
                continue
            ids = next(alone)
            if ids and ids[0] == self.prefix_token:
                encoded.append((ids[:1], ids[1:]))
            else:
                encoded.append(((self.prefix_token,), ids))
        return encoded

    def intern(self, ids: Iterable[int]) -> tuple[int, ...]:
        """The ids as a tuple that shares its numbers with all others."""
        return tuple(map(self._interned.__getitem__, ids))

    def _with_bos(self, text: str) -> bool | None:
        return False if text.startswith(self._prefix_text) else self._add_bos

    def _encode(self, texts: Sequence[str], special: Callable[[str], bool | None]) -> Iterator[list[int]]:
        """The ids of each text, made a batch at a time. `special` says of a text whether special tokens go to it, None
        for the tokenizer's own way."""
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            found: dict[int, list[int]] = {}
            by_option: dict[bool | None, list[int]] = {}
            for index, text in enumerate(batch):
                by_option.setdefault(special(text), []).append(index)
            for option, indices in by_option.items():
                ids = self._encode_batch([batch[index] for index in indices], option)
                found |= dict(zip(indices, ids, strict=True))
            for index in range(len(batch)):
                yield found.pop(index)

    def _encode_batch(self, texts: list[str], special: bool | None) -> list[list[int]]:  # noqa: FBT001 - a value
        arguments = {} if special is None else {"add_special_tokens": special}
        answer = self._tokenizer(
            texts, return_attention_mask=False, return_token_type_ids=False, verbose=False, **arguments
        )
        ids: list[list[int]] = answer["input_ids"]
        return ids


def tokenizer_digest(folder: Path) -> str:
    """SHA-256 over the tokenizer's files in a checkpoint's folder: their names and bytes."""
    files = sorted({file for pattern in _TOKENIZER_FILES for file in folder.glob(pattern) if file.is_file()})
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _move_spaces(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation
