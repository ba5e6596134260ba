"""Pretrains two small Llamas on the world and keeps the checkpoints that an evaluation wants to see.

    python examples/tiny-run/train.py --output build/demo

What is there already is kept: a second call trains nothing, and a call after one that was stopped trains again from the
start (everything follows from the seed) and writes the checkpoints that are missing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import mirror
from sizes import SIZES, STEPS, checkpoints_until

HERE = Path(__file__).parent


def recipe() -> str:
    """What the checkpoints follow from: this code, and the libraries that compute."""
    code = [(HERE / f"{name}.py").read_text() for name in ("pretraining", "sizes", "vocabulary", "world")]
    versions = [importlib.metadata.version(name) for name in ("tokenizers", "torch", "transformers")]
    return hashlib.sha256("\0".join(code + versions).encode()).hexdigest()


def missing(name: str, output: Path, wanted: tuple[int, ...]) -> list[int]:
    """The checkpoints of a run that are not there. Those of another recipe are removed first: they are of another
    run."""
    checkpoints, note = output / "checkpoints" / name, output / "training" / f"{name}.recipe"
    if checkpoints.exists() and (not note.exists() or note.read_text() != recipe()):
        print(f"{name}: the recipe has changed since; trained anew", flush=True)
        shutil.rmtree(checkpoints)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(recipe())
    return [step for step in wanted if not (checkpoints / f"step{step}").exists()]


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Pretrains the tiny models of the demo.")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder for all that is written")
    parser.add_argument("--steps", type=int, default=STEPS, help="stop after this many steps (for a quick look)")
    chosen = parser.parse_args(arguments)
    output: Path = chosen.output
    documents = mirror.write_datasets(output / "datasets" / "tiny-world")
    print(f"tiny-world: {documents} documents are held out for evaluation", flush=True)
    for partial in (output / "training").glob("partial-*"):
        shutil.rmtree(partial)
    todo = [name for name in SIZES if missing(name, output, checkpoints_until(chosen.steps))]
    for name in SIZES:
        if name not in todo:
            print(f"{name}: all checkpoints are there", flush=True)
    # A process a size, each on one thread: matrices this small gain little from a second one, which would only wait
    # where something else runs too, and one thread adds numbers in one order.
    command = [sys.executable, str(HERE / "pretraining.py")]
    running = [subprocess.Popen([*command, name, str(output), str(chosen.steps)]) for name in todo]
    try:
        return max((process.wait() for process in running), key=abs, default=0)
    finally:
        for process in running:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
