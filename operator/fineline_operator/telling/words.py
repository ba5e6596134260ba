"""How the sentences of all kinds are put together."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 unit`, `1,204 units`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def sentence(text: str) -> str:
    """The text with a full stop at its end."""
    text = text.strip()
    return text if not text or text[-1] in ".!?…" else f"{text}."


def joined(*sentences: str) -> str:
    """Sentences in a row; empty ones are left out."""
    return " ".join(part for part in sentences if part)
