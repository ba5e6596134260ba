"""What finding checkpoints costs over the bare listing: 10,000 checkpoints of 10 files in an S3 server on this machine.

`find` gives every checkpoint of a prefix with its position, format, completeness and digest; `plan` is all that
`fineline plan` does: it also lists the results and makes the keys of 80,000 units. Against them stands a loop over
boto3's own paginator that reads each key and keeps nothing, and the same loop on Fineline's store, whose times are
parsed faster than botocore parses them. Each runs in a process of its own, in turn; the figures are medians, seconds
without the imports, and peak memory with them.

    .venv/bin/python bench/listing.py [--checkpoints 10000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUCKET = "bench"
SHARDS = 6
FILES = (
    "config.json",
    *(f"model-{number:05}-of-{SHARDS:05}.safetensors" for number in range(1, SHARDS + 1)),
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoints", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", choices=list(MEASURES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
    else:
        compare(arguments.checkpoints, arguments.rounds)


def compare(checkpoints: int, rounds: int) -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from support.tools import find_tool
    from support.versitygw import serve

    binary, reason = find_tool("versitygw")
    if binary is None:
        sys.exit(f"no S3 server to measure with: {reason}")
    with tempfile.TemporaryDirectory() as folder, serve(binary, Path(folder)) as server:
        server.make_bucket(BUCKET)
        # Written past the server, which would take some ms each; it lists plain files as objects without an ETag.
        for step in range(checkpoints):
            checkpoint = server.folder / BUCKET / "run" / f"step{step * 1000}"
            checkpoint.mkdir(parents=True)
            for name in FILES:
                (checkpoint / name).write_bytes(b"0123456789abcdef")
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in MEASURES}
        child(next(iter(MEASURES)), server.environment)  # fills the caches of the file system
        for turn in range(rounds):
            names = list(MEASURES) if turn % 2 == 0 else list(MEASURES)[::-1]
            for name in names:
                result = child(name, server.environment)
                expected = checkpoints if name in ("find", "plan") else checkpoints * len(FILES)
                assert result["found"] == expected, f"{name}: {result['found']} of {expected}"
                runs[name].append(result)
                print(f"round {turn + 1}/{rounds}: {name} {result['seconds']:.1f} s", file=sys.stderr)
    report(runs, checkpoints)


def child(name: str, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", name]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def report(runs: dict[str, list[dict[str, float]]], checkpoints: int) -> None:
    print(f"{checkpoints:,} checkpoints x {len(FILES)} files, medians of {len(runs['find'])}")
    print(f"{'':48}{'seconds':>10}{'CPU s':>10}{'peak MiB':>10}")
    for name, results in runs.items():
        middle = {key: statistics.median(result[key] for result in results) for key in ("seconds", "cpu", "peak_mib")}
        print(f"{MEASURES[name][0]:48}{middle['seconds']:10.2f}{middle['cpu']:10.2f}{middle['peak_mib']:10.0f}")
    result = {
        "over_bare_listing": ratio(runs, "find", "bare"),
        "over_own_listing": ratio(runs, "find", "store"),
        "plan_over_bare_listing": ratio(runs, "plan", "bare"),
        "peak_mib": max(result["peak_mib"] for result in runs["plan"]),
    }
    print(json.dumps(result))


def ratio(runs: dict[str, list[dict[str, float]]], ours: str, theirs: str) -> float:
    """The median of the ratios of pairs that ran one after the other."""
    pairs = zip(runs[ours], runs[theirs], strict=True)
    return round(statistics.median(one["seconds"] / other["seconds"] for one, other in pairs), 3)


def measure(name: str) -> None:
    prepare = MEASURES[name][1]
    run = prepare()
    start, cpu = time.perf_counter(), time.process_time()
    found = run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mib": peak, "found": found}))


def bare_listing() -> Callable[[], int]:
    import boto3

    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="run/")

    def run() -> int:
        return sum(1 for page in pages for item in page["Contents"] if item["Key"] and item["Size"] >= 0)

    return run


def store_listing() -> Callable[[], int]:
    from fineline.store import open_store

    store = open_store(f"s3://{BUCKET}/run/")
    return lambda: sum(1 for _ in store.list())


def finding() -> Callable[[], int]:
    from fineline.checkpoints import find
    from fineline.store import open_store

    store = open_store(f"s3://{BUCKET}/run/")
    return lambda: len(find(store).complete)


def planning() -> Callable[[], int]:
    from fineline.plan import make_plan
    from fineline.resources import checkpoint_eval

    spec = {
        "run": {"name": "bench", "tokensPerStep": 1000},
        "checkpoints": {"uri": f"s3://{BUCKET}/run/"},
        "suite": {"name": "fine-line-mini"},
    }
    kind = {"apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointEval"}
    resource_ = checkpoint_eval({**kind, "metadata": {"name": "bench"}, "spec": spec}, "bench")
    return lambda: len(make_plan(resource_, results_uri=f"s3://{BUCKET}/results/").order.checkpoints)


MEASURES = {
    "bare": ("boto3's paginator alone", bare_listing),
    "store": ("Fineline's listing alone", store_listing),
    "find": ("find", finding),
    "plan": ("fineline plan: find, and the keys of 8 tasks", planning),
}

if __name__ == "__main__":
    main()
