"""How many prompt tokens the engine computes for MMLU 5-shot, against each distinct prefix once.

Counted by the engine: prompt tokens less cached ones, over everything that it ran in the unit. Two floors: ideal (every
token of the tree of prompts once) and rounded to blocks (a prefix can only be found again in whole blocks).
Every seventh subject by name is taken (`--every`); the tokenizer is trained so small that prompts are about as long as
common tokenizers make them (700 tokens in the mean over all subjects).
Run: .venv/bin/python bench/prefix_tokens.py [--every 7]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from transformers import AutoTokenizer

from fineline_evaluator.backends import open_backend
from fineline_evaluator.backends.sharing import common_prefix
from fineline_evaluator.scoring import EngineSettings, LoglikelihoodRequest
from support.mmlu import LETTERS, data_folder, questions, subjects
from support.models import make_checkpoint

BLOCK = 32


def floors(prompts: list[tuple[int, ...]], block: int) -> tuple[int, int]:
    """Tokens of the tree of distinct prompts; and the same where only whole blocks of a prefix are found again."""
    ideal = rounded = 0
    before: tuple[int, ...] = ()
    for prompt in sorted(set(prompts)):
        shared = common_prefix(before, prompt)
        ideal += len(prompt) - shared
        rounded += len(prompt) - min(shared, len(prompt) - 1) // block * block
        before = prompt
    return ideal, rounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=7)
    arguments = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("prefix_tokens: no benchmarks; set FINELINE_TEST_DATA")
    asked = {subject: questions(data, subject) for subject in subjects(data)[:: arguments.every]}
    texts = tuple(question.context for all_of_it in asked.values() for question in all_of_it)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(
            Path(folder) / "model", vocab_size=2048, max_position_embeddings=8192, texts=texts, dtype="float32"
        )
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        engine = open_backend(EngineSettings(dtype="float32", args={"kv_cache_memory_bytes": 1 << 28}))
        engine.load(checkpoint)
        print(
            f"{'subject':26}{'questions':>10}"
            f"{'a choice':>12}{'a question':>12}{'ideal':>10}{'blocks':>10}{'engine':>10}"
        )
        totals = [0] * 6
        for subject, all_of_it in asked.items():
            contexts = [tuple(tokenizer(question.context).input_ids) for question in all_of_it]
            letters = [tokenizer(f" {letter}", add_special_tokens=False).input_ids[-1] for letter in LETTERS]
            engine.begin_unit()
            engine.loglikelihoods(
                [LoglikelihoodRequest(context, (letter,)) for context in contexts for letter in letters]
            )
            ideal, rounded = floors(contexts, BLOCK)
            once = sum(map(len, contexts))
            row = [len(contexts), 4 * once, once, ideal, rounded, engine.counts().computed]
            totals = [total + value for total, value in zip(totals, row, strict=True)]
            print(
                f"{subject:26}{row[0]:>10}"
                + "".join(f"{value:>{12 if place < 2 else 10}}" for place, value in enumerate(row[1:]))
            )
        engine.close()
    computed = totals[5]
    print(f"{'all':26}{totals[0]:>10}{totals[1]:>12}{totals[2]:>12}{totals[3]:>10}{totals[4]:>10}{computed:>10}")
    print(
        json.dumps(
            {
                "computed_over_block_floor": round(computed / totals[4], 4),
                "computed_over_floor": round(computed / totals[3], 4),
                "one_request_a_choice_over_computed": round(totals[1] / computed, 2),
                "one_pass_a_question_over_computed": round(totals[2] / computed, 2),
                "computed": computed,
            }
        )
    )


if __name__ == "__main__":
    main()
