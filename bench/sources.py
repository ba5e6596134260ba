"""What many CheckpointSources cost while nothing happens: N sources of M checkpoints each, all of them evaluated.

A real API server with etcd and kube-controller-manager, versitygw, the operator as a process under its own service
account. Checkpoints and results are written past the store's server, as files. Each source is listed by its poll alone:
no events. Counted from the moment when all sources are up to date: LIST calls a source and poll, requests to the API
server, CPU and memory of the operator; and before it what the first listing of everything took.

It makes four small files a checkpoint: with TMPDIR on a file system in memory that takes a tenth of the time.

Run: .venv/bin/python bench/sources.py [--sources 200] [--checkpoints 1000] [--poll-seconds 60] [--polls 3]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fineline.plan import make_plan
from fineline.resources import CheckpointEval, validated
from fineline.results import UnitAddress
from support import control_plane as planes
from support import versitygw
from support.control_plane import ControlPlane, wait_for
from support.evaluations import listed_checkpoint
from support.kube_load import at_once, created, open_session
from support.lab import operator_settings
from support.operator import Operator, install_operator, start_operator
from support.tools import find_tool
from support.usage import cpu_seconds, memory_mib, peak_memory_mib

NAMESPACE = "evaluations"
BUCKET = "bench"
SOURCES = f"/apis/fineline.dev/v1alpha1/namespaces/{NAMESPACE}/checkpointsources"
AT_ONCE = 16


@dataclass
class Measured:
    """One run. CPU is in per cent of one core; `lists` are pages of listings, as S3 counts them."""

    sources: int
    checkpoints: int
    poll_seconds: int
    base_mib: float = 0.0
    first_seconds: float = 0.0
    first_cpu_seconds: float = 0.0
    first_lists: float = 0.0
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    lists: float = 0.0
    looks: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    mib: float = 0.0
    peak_mib: float = 0.0

    @property
    def polls(self) -> float:
        """Of all sources together."""
        return self.sources * self.seconds / self.poll_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=200)
    parser.add_argument("--checkpoints", type=int, default=1000)
    parser.add_argument("--poll-seconds", type=int, default=60)
    parser.add_argument("--polls", type=int, default=3, help="how many of them are measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fineline-sources-") as folder:
        measured = measure(
            Path(folder), Measured(options.sources, options.checkpoints, options.poll_seconds), options.polls
        )
    show(measured)


def measure(folder: Path, measured: Measured, polls: int) -> Measured:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_s3(folder))
        site = Site(server, folder)
        began = time.perf_counter()
        site.fill(measured.sources, measured.checkpoints)
        print(f"  {measured.sources:,} runs of {measured.checkpoints:,} checkpoints written in "
              f"{time.perf_counter() - began:.0f} s", file=sys.stderr)  # fmt: skip
        plane = stack.enter_context(_control_plane(folder / "plane"))
        settings = operator_settings(server, f"s3://{BUCKET}/", folder / "settings")
        kubeconfig = install_operator(plane, plane.make_namespace("operator"))
        operator = stack.enter_context(start_operator(folder / "operator", kubeconfig, settings=settings))
        measured.base_mib = memory_mib(operator.pid)
        _first_listing(plane, operator, site, measured)
        processes = {"operator": operator.pid, "versitygw": server.process.pid, "kube-apiserver": plane.api_server.pid}
        before = {name: cpu_seconds(pid) for name, pid in processes.items()}
        requests, lists = operator.requests(), operator.metric("fineline_source_lists_total")
        looks = _looks(operator)
        began = time.perf_counter()
        time.sleep(polls * measured.poll_seconds)
        measured.seconds = time.perf_counter() - began
        measured.cpu = {
            name: 100 * (cpu_seconds(pid) - before[name]) / measured.seconds for name, pid in processes.items()
        }
        measured.lists = operator.metric("fineline_source_lists_total") - lists
        measured.looks = _looks(operator) - looks
        measured.requests = operator.requests() - requests
        measured.mib, measured.peak_mib = memory_mib(operator.pid), peak_memory_mib(operator.pid)
    return measured


@dataclass
class Site:
    """A bucket with runs, and all of their results."""

    server: versitygw.S3Server
    folder: Path

    @property
    def root(self) -> Path:
        return self.server.folder / BUCKET

    def source(self, number: int, poll_seconds: int = 60) -> dict[str, Any]:
        spec = {
            "uri": f"s3://{BUCKET}/checkpoints/run-{number:04}/",
            "pollSeconds": poll_seconds,
            "complete": {"settleSeconds": 0},
            "template": {
                "run": {"name": f"run-{number:04}", "tokensPerStep": 1000},
                "suite": {"tasks": [{"task": "piqa", "domain": "reasoning"}]},
                "results": f"s3://{BUCKET}/results/",
            },
        }
        kind = {"apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointSource"}
        return {**kind, "metadata": {"name": f"run-{number:04}", "namespace": NAMESPACE}, "spec": spec}

    def fill(self, runs: int, checkpoints: int) -> None:
        """The same checkpoint at each step of each run, and its one result."""
        model = listed_checkpoint(self.folder / "model")
        files = {path.name: path.read_bytes() for path in model.iterdir()}
        self._write("checkpoints/run-0000", 1, files)
        address = self._address()
        for run in range(runs):
            name = f"run-{run:04}"
            for step in range(1, checkpoints + 1):
                self._write(f"checkpoints/{name}", step, files)
                place = self.root / "results" / replace(address, run=name, step=step).folder
                place.mkdir(parents=True)
                (place / "metrics.arrow").write_bytes(b"0")

    def _write(self, run: str, step: int, files: dict[str, bytes]) -> None:
        place = self.root / run / f"step{step}"
        place.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (place / name).write_bytes(data)

    def _address(self) -> UnitAddress:
        """Where the result of the checkpoint that is there lies: but for run and step it is so for all of them."""
        source = self.source(0)["spec"]
        values = {
            "apiVersion": "fineline.dev/v1alpha1",
            "kind": "CheckpointEval",
            "metadata": {"name": "any"},
            "spec": source["template"] | {"checkpoints": {"uri": source["uri"]}},
        }
        plan = make_plan(validated(CheckpointEval, values, "bench"), results_uri=source["template"]["results"])
        (unit,) = plan.todo
        return plan.order.address(unit)


def _first_listing(plane: ControlPlane, operator: Operator, site: Site, measured: Measured) -> None:
    """Creates the sources, and waits until all are up to date."""

    async def create() -> None:
        async with open_session(plane) as session:
            sources = (site.source(number, measured.poll_seconds) for number in range(measured.sources))
            await at_once((created(session, SOURCES, body) for body in sources), AT_ONCE)

    def up_to_date() -> bool:
        bodies = plane.admin.items(SOURCES)
        conditions = [item for body in bodies for item in body.get("status", {}).get("conditions", ())]
        done = sum(item["type"] == "Ready" and item["reason"] == "UpToDate" for item in conditions)
        print(f"  {done:,} of {measured.sources:,} are up to date", file=sys.stderr)
        return done == measured.sources

    cpu, began = cpu_seconds(operator.pid), time.perf_counter()
    asyncio.run(create())
    wait_for(up_to_date, "all sources to be up to date", seconds=3600, every=2)
    measured.first_seconds = time.perf_counter() - began
    measured.first_cpu_seconds = cpu_seconds(operator.pid) - cpu
    measured.first_lists = operator.metric("fineline_source_lists_total")


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[versitygw.S3Server]:
    binary, reason = find_tool("versitygw")
    if binary is None:
        sys.exit(f"no S3 server to measure with: {reason}")
    with versitygw.serve(binary, folder / "s3") as server:
        server.make_bucket(BUCKET)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(server.environment)
        yield server


@contextlib.contextmanager
def _control_plane(folder: Path) -> Iterator[ControlPlane]:
    binaries, reason = planes.find_binaries()
    if binaries is None:
        sys.exit(f"no control plane to measure with: {reason}")
    folder.mkdir(parents=True)
    policy = folder / "no-audit.json"
    policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "None"}]}))
    with planes.start(binaries, folder, api_server_options=(f"--audit-policy-file={policy}",)) as plane:
        plane.install_crds()
        plane.admin.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        yield plane


def _looks(operator: Operator) -> float:
    return operator.metric("fineline_reconcile_seconds_count", kind="CheckpointSource")


def show(measured: Measured) -> None:
    polls = measured.polls
    print(f"{measured.sources:,} sources x {measured.checkpoints:,} checkpoints, pollSeconds {measured.poll_seconds}")
    print(f"  the first listing: {measured.first_seconds:.1f} s until all were up to date, "
          f"{measured.first_cpu_seconds:.1f} s of the operator's CPU, "
          f"{measured.first_lists / measured.sources:.2f} LIST calls a source")  # fmt: skip
    print(f"  then for {measured.seconds:.0f} s:")
    print(f"    {'LIST calls a source and poll':34}{measured.lists / polls:8.2f}")
    print(f"    {'looks a source and poll':34}{measured.looks / polls:8.2f}")
    for what, number in sorted(measured.requests.items(), key=lambda item: -item[1]):
        print(f"    {what + ' a source and poll':34}{number / polls:8.3f}")
    for name, percent in measured.cpu.items():
        print(f"    {'CPU of ' + name + ', % of a core':34}{percent:8.2f}")
    print(f"  the operator's memory: {measured.base_mib:.0f} MiB at first, {measured.mib:.0f} MiB with all of them, "
          f"{measured.peak_mib:.0f} MiB at most")  # fmt: skip
    summary = {
        "sources": measured.sources,
        "checkpoints": measured.checkpoints,
        "cpu_percent": round(measured.cpu["operator"], 2),
        "lists_per_poll": round(measured.lists / polls, 2),
        "api_requests_per_poll": round(sum(measured.requests.values()) / polls, 2),
        "peak_mib": round(measured.peak_mib),
        "first_seconds": round(measured.first_seconds, 1),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
