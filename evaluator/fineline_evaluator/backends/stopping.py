"""lm-eval's rules for where a generated text ends, as its `hf` model has them."""

from __future__ import annotations

from collections.abc import Iterable


def stop_strings(until: Iterable[str], end_of_text: str | None) -> tuple[str, ...]:
    """`until` without empty and repeated strings, and the tokenizer's end-of-text as one more."""
    wanted = [*until, end_of_text or ""]
    return tuple(dict.fromkeys(text for text in wanted if text))


def cut(text: str, stops: Iterable[str]) -> str:
    """The text before the first stop string.

    >>> cut("4 apples. Q: next", ["###", "Q:"])
    '4 apples. '
    """
    for stop in stops:
        text = text.split(stop, maxsplit=1)[0]
    return text
