"""MMLU's questions as 5-shot prompts, straight from the parquet files, in the form of lm-eval's `mmlu` task."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Question:
    """`context` ends with "Answer:"; `choices` are the answers' texts; `answer` is the place of the right one."""

    subject: str
    context: str
    choices: tuple[str, ...]
    answer: int


def data_folder() -> Path | None:
    """FINELINE_TEST_DATA, else `../shared/data` beside the checkout; None where neither is there."""
    stated = os.environ.get("FINELINE_TEST_DATA")
    folder = Path(stated) if stated else Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return folder if (folder / "benchmarks" / "cais" / "mmlu").is_dir() else None


def subjects(data: Path) -> list[str]:
    """By name."""
    return sorted(folder.name for folder in (data / "benchmarks" / "cais" / "mmlu").iterdir() if folder.is_dir())


def questions(data: Path, subject: str, *, shots: int = 5, letters: bool = True) -> list[Question]:
    """All test questions of a subject. `letters` False leaves the lettered choices out (the cloze form)."""
    folder = data / "benchmarks" / "cais" / "mmlu" / subject
    examples = pl.read_parquet(folder / "dev.parquet").head(shots).to_dicts()
    head = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
    for row in examples:
        answer = LETTERS[row["answer"]] if letters else row["choices"][row["answer"]]
        head += f"{_asked(row['question'], row['choices'], letters=letters)} {answer}\n\n"
    return [
        Question(
            subject,
            head + _asked(row["question"], row["choices"], letters=letters),
            tuple(row["choices"]),
            int(row["answer"]),
        )
        for row in pl.read_parquet(folder / "test.parquet").to_dicts()
    ]


def _asked(question: str, choices: list[str], *, letters: bool) -> str:
    lettered = "".join(f"{letter}. {choice}\n" for letter, choice in zip(LETTERS, choices, strict=True))
    return f"{question.strip()}\n{lettered if letters else ''}Answer:"
