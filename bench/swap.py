"""A verified swap of weights against a fresh engine with the same checkpoint, in pairs; and that both score the same.

Both times hold everything that `load` does: check, load, measure every weight, canary prompts.
Run: .venv/bin/python bench/swap.py [--pairs 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fineline_evaluator.backends import open_backend
from fineline_evaluator.scoring import Backend, EngineSettings
from support.models import make_checkpoint
from support.scoring import one_token_choices, several_token_choices

REQUESTS = one_token_choices(40, shots=200) + several_token_choices([20, 100])
SIZE = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4}


def loaded(engine: Backend, checkpoint: Path) -> tuple[float, list[float]]:
    start = time.perf_counter()
    engine.load(checkpoint)
    seconds = time.perf_counter() - start
    engine.begin_unit()
    return seconds, [answer.logprob for answer in engine.loglikelihoods(REQUESTS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    settings = EngineSettings(dtype="float32", args={"kv_cache_memory_bytes": 1 << 28})
    fresh_seconds, swap_seconds, identical = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        first, second = (
            make_checkpoint(Path(folder) / str(seed), seed=seed, vocab_size=2048, overrides=SIZE) for seed in (0, 1)
        )
        engine = open_backend(settings)
        loaded(engine, first)  # imports and compiles bytecode: counted for neither
        engine.close()
        for pair in range(arguments.pairs):
            fresh = open_backend(settings)
            seconds, alone = loaded(fresh, first)
            fresh_seconds.append(seconds)
            fresh.close()
            kept = open_backend(settings)
            loaded(kept, second)
            seconds, swapped = loaded(kept, first)
            swap_seconds.append(seconds)
            kept.close()
            identical = identical and alone == swapped
            ratio = swap_seconds[-1] / fresh_seconds[-1]
            print(f"pair {pair + 1}: fresh {fresh_seconds[-1]:.2f} s, swap {swap_seconds[-1]:.3f} s, ratio {ratio:.3f}")
    ratios = [swap / fresh for swap, fresh in zip(swap_seconds, fresh_seconds, strict=True)]
    print(
        json.dumps(
            {
                "over_fresh_start": round(statistics.median(ratios), 4),
                "fresh_start_s": round(statistics.median(fresh_seconds), 3),
                "swap_s": round(statistics.median(swap_seconds), 3),
                "identical": identical,
            }
        )
    )


if __name__ == "__main__":
    main()
