"""What the operator gets through: N CheckpointEvals created at once, from `kubectl apply` to Succeeded=True.

A real API server with etcd and kube-controller-manager, the operator as a process under its own service account, pods
played by kwok: each is done some seconds after it was made, with nothing run. Each CheckpointEval has one checkpoint
and two tasks, so one Job of one pod; its two results are put into the store, past the store's server, as soon as its
Job is there. Every N has a control plane, a store and an operator of its own.

No rival is measured: other operators for evaluations need images, GPUs or a hub, which are not here. What Jobs/s are
held against is the API server itself: a bare loop that makes the same ConfigMaps and Jobs as fast as one client can
(`--bare`), with the same controllers and kwok behind them, and waits until all have ended. All share this machine's
cores, so the table says how much of them each process took: where all are taken, Jobs/s is what is left for the
operator, and not its own pace.

Run: .venv/bin/python bench/operator_scale.py [--counts 200,1000] [--store s3|directory] [--no-bare]
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import aiohttp

from fineline.plan import make_plan
from fineline.resources import CheckpointEval, validated
from fineline.results import UnitAddress
from fineline.store import open_store
from support import control_plane as planes
from support import kwok as pods
from support import versitygw
from support.control_plane import ControlPlane
from support.evaluations import listed_checkpoint
from support.kube_load import METADATA, at_once, created, open_session, watch
from support.lab import TASKS, operator_settings
from support.operator import Operator, install_operator, start_operator
from support.processes import Server
from support.publishing import commit
from support.slices import upload
from support.tools import find_tool
from support.usage import cpu_seconds, machine_cpu_seconds, memory_mib, peak_memory_mib

NAMESPACE = "evaluations"
BUCKET = "bench"
AT_ONCE = 16
"""Requests at a time of whoever creates the CheckpointEvals; the bare loop's are as many as the operator's."""

BARE_AT_ONCE = 32
POD_SECONDS = 5.0
API_SERVER = ("--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000")
CONTROLLERS = ("--kube-api-qps=5000", "--kube-api-burst=10000", "--concurrent-job-syncs=20")
ENVIRONMENT = {"GOGC": "400"}
"""Of the control plane, whose programs spend a fifth of their time on collecting garbage: memory is not short here."""

WRITES = ("create", "update", "patch", "delete")
EVALUATIONS = f"/apis/fineline.dev/v1alpha1/namespaces/{NAMESPACE}/checkpointevals"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


@dataclass(frozen=True)
class Bare:
    """The bare loop: Jobs made and ended a second, and the seconds of CPU of the control plane and of kwok."""

    made: float
    ended: float
    cpu: float


@dataclass
class Measured:
    """One N. Seconds are counted from the first CheckpointEval's creation."""

    count: int
    created: float = 0.0
    jobs: list[float] = field(default_factory=list)
    ended: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    others: float = 0.0
    looks: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    peak_mib: float = 0.0
    base_mib: float = 0.0
    idle_percent: float = 0.0
    again_seconds: float = 0.0
    again_mib: float = 0.0
    bare: Bare | None = None

    @property
    def jobs_per_second(self) -> float:
        return self.count / self.jobs[-1]

    @property
    def ended_per_second(self) -> float:
        return 1 / self.each

    @property
    def sustained(self) -> float:
        """Without the first and the last tenth."""
        tenth = self.count // 10
        return (self.count - 2 * tenth) / (self.jobs[-1 - tenth] - self.jobs[tenth])

    @property
    def each(self) -> float:
        """Seconds an evaluation, without those that the pods of all of them take."""
        return (self.ended - POD_SECONDS) / self.count

    @property
    def writes(self) -> float:
        return sum(n for what, n in self.requests.items() if what.split()[0] in WRITES) / self.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="200,1000", help="CheckpointEvals at once, each number a run of its own")
    parser.add_argument("--store", choices=("s3", "directory"), default="s3", help="directory: no S3 server's share")
    parser.add_argument("--bare", action=argparse.BooleanOptionalAction, default=True, help="the bare loop besides")
    parser.add_argument("--idle-seconds", type=float, default=35.0, help="of watching an operator with nothing to do")
    options = parser.parse_args()
    print(f"kube-apiserver without audit, {' '.join(API_SERVER)}\nkube-controller-manager {' '.join(CONTROLLERS)}")
    print(f"GOGC of both and etcd: {ENVIRONMENT['GOGC']}; store: {options.store}; {os.cpu_count()} cores for all of it")
    results = []
    for count in map(int, options.counts.split(",")):
        with tempfile.TemporaryDirectory(prefix="fineline-scale-") as folder:
            measured, templates = measure(count, Path(folder), options.store, options.idle_seconds)
            if options.bare:
                measured.bare = measure_bare(count, Path(folder) / "bare", templates)
        results.append(measured)
        show(measured)
    summarize(results)


def measure(count: int, folder: Path, store: str, idle_seconds: float) -> tuple[Measured, tuple[Any, Any]]:
    """The figures, and a plan's ConfigMap and Job for the bare loop to make again."""
    measured = Measured(count)
    with contextlib.ExitStack() as stack:
        plane, kwok = stack.enter_context(_control_plane(folder / "plane"))
        site = stack.enter_context(_s3(folder) if store == "s3" else _directory(folder))
        settings = site.settings | {"evaluator": site.settings["evaluator"] | _on_kwok()}
        kubeconfig = install_operator(plane, plane.make_namespace("operator"))
        operator = stack.enter_context(start_operator(folder / "operator", kubeconfig, settings=settings))
        processes = {
            "operator": operator.pid,
            "kube-apiserver": plane.api_server.pid,
            "etcd": plane.etcd.pid,
            "kube-controller-manager": plane.controller_manager.pid,
            "kwok": kwok.pid,
            **({"versitygw": site.server.process.pid} if site.server is not None else {}),
            "this program": os.getpid(),
        }
        measured.base_mib = memory_mib(operator.pid)
        before, machine = {name: cpu_seconds(pid) for name, pid in processes.items()}, machine_cpu_seconds()
        asyncio.run(_run_load(plane, site, operator, measured))
        measured.cpu = {name: cpu_seconds(pid) - before[name] for name, pid in processes.items()}
        measured.others = machine_cpu_seconds() - machine - sum(measured.cpu.values())
        measured.peak_mib = peak_memory_mib(operator.pid)
        measured.idle_percent = _idle_percent(operator, idle_seconds)
        measured.looks = operator.metric("fineline_reconcile_seconds_count")
        measured.requests = operator.requests()
        measured.again_seconds, measured.again_mib = _started_again(operator, count)
        config_map = next(item for item in plane.admin.items(CONFIG_MAPS, limit="2") if "binaryData" in item)
        (job,) = plane.admin.items(JOBS, limit="1")
    return measured, (config_map, job)


def measure_bare(count: int, folder: Path, templates: tuple[Any, Any]) -> Bare:
    """As many ConfigMaps and Jobs, and nothing else."""
    config_map, job = (_as_new(item) for item in templates)
    succeeded: set[str] = set()

    async def make(session: aiohttp.ClientSession, number: int) -> None:
        for path, body in ((CONFIG_MAPS, config_map), (JOBS, job)):
            name = {"metadata": body["metadata"] | {"name": f"bare-{number:05}"}}
            await created(session, path, body | name)

    def job_seen(event: Mapping[str, Any]) -> None:
        if event["object"].get("status", {}).get("succeeded"):
            succeeded.add(event["object"]["metadata"]["name"])

    async def run() -> tuple[float, float]:
        async with open_session(plane) as session:
            watching = asyncio.create_task(watch(session, JOBS, job_seen))
            await asyncio.sleep(1)
            start = time.perf_counter()
            await at_once((make(session, number) for number in range(count)), BARE_AT_ONCE)
            made = time.perf_counter() - start
            while len(succeeded) < count:
                await asyncio.sleep(0.1)
                if watching.done():
                    watching.result()
            ended = time.perf_counter() - start
            watching.cancel()
        return made, ended

    with _control_plane(folder) as (plane, kwok):
        pids = [plane.api_server.pid, plane.etcd.pid, plane.controller_manager.pid, kwok.pid]
        before = sum(map(cpu_seconds, pids))
        made, ended = asyncio.run(run())
        return Bare(count / made, count / (ended - POD_SECONDS), sum(map(cpu_seconds, pids)) - before)


async def _run_load(plane: ControlPlane, site: Site, operator: Operator, measured: Measured) -> None:
    """Creates the CheckpointEvals, commits the results of those that have a Job, and waits until all have ended."""
    names = [f"eval-{number:05}" for number in range(measured.count)]
    start = time.perf_counter()
    all_ended = asyncio.Event()
    succeeded: set[str] = set()

    def job_seen(event: Mapping[str, Any]) -> None:
        if event["type"] == "ADDED":
            measured.jobs.append(time.perf_counter() - start)
            site.commit(event["object"]["metadata"]["ownerReferences"][0]["name"])

    def evaluation_seen(event: Mapping[str, Any]) -> None:
        body = event["object"]
        told = {item["type"]: item for item in body.get("status", {}).get("conditions", ())}.get("Succeeded", {})
        if told.get("status") == "False":
            sys.exit(f"{body['metadata']['name']} failed: {told['message']}")
        if told.get("status") == "True":
            succeeded.add(body["metadata"]["name"])
            measured.ended = time.perf_counter() - start
            if len(succeeded) == measured.count:
                all_ended.set()

    async with open_session(plane) as session:
        watches = [
            asyncio.create_task(watch(session, JOBS, job_seen, accept=METADATA)),
            asyncio.create_task(watch(session, EVALUATIONS, evaluation_seen)),
        ]
        await asyncio.sleep(1)
        start = time.perf_counter()
        await at_once((created(session, EVALUATIONS, site.evaluation(name)) for name in names), AT_ONCE)
        measured.created = time.perf_counter() - start
        while not all_ended.is_set():
            print(f"  {len(measured.jobs):,} Jobs, {len(succeeded):,} of {measured.count:,} ended", file=sys.stderr)
            if not operator.running:
                sys.exit(f"the operator ended: {operator.lines()[-1]['message']}")
            ended = asyncio.create_task(all_ended.wait())
            done, _ = await asyncio.wait([ended, *watches], timeout=10, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        for task in watches:
            task.cancel()


@dataclass
class Site:
    """A store with one checkpoint and room for results."""

    uri: str
    root: Path
    settings: dict[str, Any]
    server: versitygw.S3Server | None = None
    units: tuple[UnitAddress, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)

    def evaluation(self, name: str) -> dict[str, Any]:
        spec = {
            "run": {"name": name, "tokensPerStep": 1000},
            "checkpoints": {"uri": f"{self.uri}checkpoints/"},
            "suite": {"tasks": [{"task": task, "domain": "reasoning"} for task in TASKS]},
            "results": f"{self.uri}results/",
        }
        kind = {"apiVersion": "fineline.dev/v1alpha1", "kind": "CheckpointEval"}
        return {**kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}

    def prepare(self, folder: Path) -> None:
        """Puts the checkpoint there, and learns what results of it are called: but for the run all have the same."""
        upload(listed_checkpoint(folder / "checkpoint"), f"{self.uri}checkpoints/step1000/")
        plan = make_plan(validated(CheckpointEval, self.evaluation("any"), "bench"), results_uri=f"{self.uri}results/")
        self.units = tuple(plan.order.address(unit) for unit in plan.todo)
        example = open_store(f"file://{folder}/example/")
        commit(example, self.units[0])
        self.files = {name: example.get(self.units[0].folder + name) for name in ("samples.arrow", "metrics.arrow")}

    def commit(self, run: str) -> None:
        """What the evaluator would have left behind."""
        for unit in self.units:
            place = self.root / "results" / replace(unit, run=run).folder
            place.mkdir(parents=True)
            for name, data in self.files.items():
                (place / name).write_bytes(data)


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[Site]:
    binary, reason = find_tool("versitygw")
    if binary is None:
        sys.exit(f"no S3 server to measure with: {reason}")
    with versitygw.serve(binary, folder / "s3") as server:
        server.make_bucket(BUCKET)
        uri = f"s3://{BUCKET}/"
        site = Site(uri, server.folder / BUCKET, operator_settings(server, uri, folder / "settings"), server)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(server.environment)
        site.prepare(folder)
        yield site


@contextlib.contextmanager
def _directory(folder: Path) -> Iterator[Site]:
    root = folder / "directory"
    uri = f"file://{root}/"
    evaluator = {"image": "registry.example/evaluator:bench", "gpuResource": ""}
    site = Site(uri, root, {"stores": [{"prefix": uri}], "evaluator": evaluator})
    site.prepare(folder)
    yield site


@contextlib.contextmanager
def _control_plane(folder: Path) -> Iterator[tuple[ControlPlane, Server]]:
    binaries, reason = planes.find_binaries()
    binary, reason_of_kwok = find_tool("kwok")
    if binaries is None or binary is None:
        sys.exit(f"no control plane to measure with: {reason or reason_of_kwok}")
    folder.mkdir(parents=True)
    policy = folder / "no-audit.json"
    policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "None"}]}))
    options = (*API_SERVER, f"--audit-policy-file={policy}")
    with (
        planes.start(
            binaries, folder, api_server_options=options, controller_options=CONTROLLERS, environment=ENVIRONMENT
        ) as plane,
        pods.kwok(binary, plane, folder / "kwok", stages=pods.pod_stages(seconds=POD_SECONDS)) as kwok,
    ):
        plane.install_crds()
        plane.admin.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
        planes.wait_for(lambda: plane.admin.find(account) is not None, "the namespace's service account")
        yield plane, kwok


def _on_kwok() -> dict[str, Any]:
    """There is no scheduler: pods are made on kwok's node."""
    return {"template": {"spec": {"nodeName": pods.NODE}}}


def _as_new(body: Mapping[str, Any]) -> dict[str, Any]:
    """An object as it was before the API server and the Job controller added to it, and without its owner."""
    metadata = {name: body["metadata"][name] for name in ("labels", "annotations")}
    made = {name: value for name, value in body.items() if name not in ("metadata", "status")}
    if "spec" in body:
        spec = {name: value for name, value in body["spec"].items() if name != "selector"}
        labels = spec["template"]["metadata"]["labels"]
        added = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
        kept = {name: value for name, value in labels.items() if name not in added}
        made["spec"] = spec | {"template": spec["template"] | {"metadata": {"labels": kept}}}
    return {**made, "metadata": metadata}


def _idle_percent(operator: Operator, seconds: float) -> float:
    """Of one core, some seconds after the end: what is done every so often, Lease and watches included."""
    time.sleep(5)
    before = cpu_seconds(operator.pid)
    time.sleep(seconds)
    return 100 * (cpu_seconds(operator.pid) - before) / seconds


def _started_again(operator: Operator, count: int) -> tuple[float, float]:
    """Seconds until it knows all that is there and kopf has told of it, and its peak memory till then."""
    operator.stop()
    start = time.perf_counter()
    operator.start()
    for resource in ("checkpointevals", "jobs"):
        told = partial(operator.metric, "fineline_watch_events_total", resource=resource)
        planes.wait_for(lambda told=told: told() >= count, f"the {resource} to be told of", seconds=600, every=0.5)
    return time.perf_counter() - start, peak_memory_mib(operator.pid)


def show(measured: Measured) -> None:
    count = measured.count
    wall = measured.ended
    print(f"\n{count:,} CheckpointEvals")
    print(f"  all created after {measured.created:.1f} s, all Jobs after {measured.jobs[-1]:.1f} s, all ended after "
          f"{wall:.1f} s")  # fmt: skip
    print(f"  Jobs/s {measured.jobs_per_second:.1f} (sustained {measured.sustained:.1f}); ended "
          f"{measured.ended_per_second:.1f} a second, without the time that pods take")  # fmt: skip
    if measured.bare is not None:
        bare = measured.bare
        print(f"  the bare loop: {bare.made:.1f} Jobs/s made, {bare.ended:.1f} ended a second; "
              f"{1000 * bare.cpu / count:.1f} ms of the control plane and kwok each")  # fmt: skip
    print(f"  the operator's memory: {measured.base_mib:.0f} MiB at first, {measured.peak_mib:.0f} MiB at most")
    print(f"  its CPU with nothing to do: {measured.idle_percent:.2f}% of a core")
    print(f"  started again among all of them: {measured.again_seconds:.1f} s, {measured.again_mib:.0f} MiB at most")
    print(f"  a CheckpointEval: {1000 * measured.each:.1f} ms, {measured.looks / count:.2f} looks, "
          f"{sum(measured.requests.values()) / count:.2f} requests, of them {measured.writes:.2f} writes:")  # fmt: skip
    for what, number in sorted(measured.requests.items(), key=lambda item: -item[1]):
        print(f"    {what:32}{number / count:8.3f}")
    print(f"  {'CPU':32}{'seconds':>10}{'cores':>8}{'ms each':>10}")
    for name, seconds in {**measured.cpu, "everything else here": measured.others}.items():
        print(f"    {name:30}{seconds:>10.1f}{seconds / wall:>8.2f}{1000 * seconds / count:>10.1f}")
    busy = (sum(measured.cpu.values()) + measured.others) / wall
    print(f"    {'together':30}{'':>10}{busy:>8.2f}  of {os.cpu_count()} cores", flush=True)


def summarize(results: list[Measured]) -> None:
    """Of the 5,000, or else of the largest number; memory, idling and writes of whichever had most."""
    chosen = next((item for item in results if item.count == 5000), max(results, key=lambda item: item.count))
    by_count = sorted(results, key=lambda item: item.count)
    fewest, most = by_count[0], by_count[-1]
    thousand = next((item for item in results if item.count == 1000), fewest)
    summary = {
        "count": chosen.count,
        "jobs_per_second": round(chosen.jobs_per_second, 1),
        "peak_mib": round(max(max(item.peak_mib, item.again_mib) for item in results)),
        "idle_cpu_percent": round(max(item.idle_percent for item in results), 2),
        "writes_per_eval": round(max(item.writes for item in results), 2),
        "per_eval_growth": round(most.each / thousand.each, 2) if most is not thousand else None,
        "growth_of": [thousand.count, most.count],
    }
    if chosen.bare is not None:
        summary["bare_ended_per_second"] = round(chosen.bare.ended, 1)
        summary["over_bare"] = round(chosen.ended_per_second / chosen.bare.ended, 2)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
