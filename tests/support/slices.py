"""A small evaluation that is whole: tiny checkpoints, tasks of each kind with a mirror, and ways to do its slices, in
this process or as a pod would."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fineline.plan import Plan, Slice, make_plan
from fineline.results import UnitAddress, committed, read_manifest, read_metrics, run_states
from fineline.store import open_store
from support.evaluations import evaluation

WINDOW = 256
DOCUMENTS = 12
CONFIG_MAP = "tiny-suite"
ENGINE = {"backend": "transformers", "dtype": "float32", "maxModelLen": WINDOW, "args": {"threads": 1}}
TASKS = ("letters", "sentences", "sums")

_CHOICE = """
task: {task}
dataset_path: tiny/{task}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: right
"""
_GENERATE = """
task: {task}
dataset_path: tiny/sums
output_type: generate_until
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: {tokens}}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


def suite_files(*tasks: str) -> dict[str, str]:
    """A suite of one's own: by default one task with choices of one token, one of several, and one that generates.

    `slow` generates for seconds: long enough to be stopped in the middle of it. A name that is none of these is left to
    lm-eval.
    """
    texts = {
        "letters": _CHOICE.format(task="letters"),
        "sentences": _CHOICE.format(task="sentences"),
        "sums": _GENERATE.format(task="sums", tokens=4),
        "slow": _GENERATE.format(task="slow", tokens=WINDOW - 100).replace('["\\n"]', '["never in the text"]'),
        "wordy": _GENERATE.format(task="wordy", tokens=2 * WINDOW),
        "absent": _CHOICE.format(task="absent"),
    }
    chosen = tasks or TASKS
    listed = [{"task": task, "domain": "reasoning"} for task in chosen]
    return {"suite.yaml": json.dumps({"tasks": listed})} | {f"{t}.yaml": texts[t] for t in chosen if t in texts}


def make_mirror(folder: Path) -> Path:
    """A mirror with the data of these tasks, but for `absent`, of which the split that is asked for is missing."""
    letters = {
        "question": [f"Question: which letter follows {n}?\nA. one\nB. two\nAnswer:" for n in range(DOCUMENTS)],
        "choices": [[" A", " B", " C"]] * DOCUMENTS,
        "right": [n % 3 for n in range(DOCUMENTS)],
    }
    sentences = {
        "question": [f"The river follows the mountain number {n}" for n in range(DOCUMENTS)],
        "choices": [[" in the morning", " near the old city", " without a reason"]] * DOCUMENTS,
        "right": [n % 3 for n in range(DOCUMENTS)],
    }
    sums = {
        "question": [f"Question: what is {n} + 2?\nAnswer:" for n in range(DOCUMENTS)],
        "answer": [str(n + 2) for n in range(DOCUMENTS)],
    }
    tables: dict[str, Mapping[str, Any]] = {"letters": letters, "sentences": sentences, "sums": sums}
    for name, columns in tables.items():
        _write(folder / f"tiny/{name}/default/test.parquet", columns)
    _write(folder / "tiny/absent/default/train.parquet", letters)
    return folder


def make_run(folder: Path, steps: Sequence[int] = (1, 2, 3)) -> Path:
    """Checkpoints of one run: the same architecture and tokenizer, other weights at each step."""
    from support.models import make_checkpoint

    for step in steps:
        make_checkpoint(folder / f"step{step}", seed=step)
    return folder


def upload(folder: Path, uri: str) -> str:
    """Copies a folder into a store; returns the URI."""
    store = open_store(uri)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path)
    return uri


@dataclass(frozen=True)
class Site:
    """Where an evaluation finds its checkpoints and data, and where its results go."""

    checkpoints: str
    mirror: str
    results: str

    def plan(self, *tasks: str, files: Mapping[str, str] | None = None, retry: str = "", **spec: Any) -> Plan:
        values: dict[str, Any] = {
            "checkpoints__uri": self.checkpoints,
            "suite": {"configMap": CONFIG_MAP, "datasets": self.mirror},
            "engine": ENGINE,
            **spec,
        }
        return make_plan(
            evaluation(**values), results_uri=self.results, suite_files=files or suite_files(*tasks), retry=retry
        )

    def slice(self, *tasks: str, **spec: Any) -> Slice:
        (work,) = self.plan(*tasks, **spec).slices(1)
        return work

    def contents(self) -> dict[tuple[int, str], tuple[str, tuple[Any, ...]]]:
        """Of each committed unit the digest of its samples and all of its metrics' values."""
        store = open_store(self.results)
        frame = read_metrics(store).frame
        found: dict[tuple[int, str], tuple[str, tuple[Any, ...]]] = {}
        for address in committed(store):
            rows = frame.filter(step=address.step, task=address.task).select("metric", "filter", "value", "stderr", "n")
            assert (address.step, address.task) not in found, "a unit has two results"
            found[address.step, address.task] = (read_manifest(store, address).samples_digest, tuple(rows.rows()))
        return found

    def names(self, ending: str) -> list[str]:
        """`step/task` of the units that have a file with such a name."""
        found = []
        for item in open_store(self.results).list("units/"):
            parts = dict(part.split("=", 1) for part in item.name.split("/") if "=" in part)
            if item.name.rpartition("/")[2].startswith(ending):
                found.append(f"{int(parts['step'])}/{parts['task']}")
        return found

    def failures(self) -> dict[tuple[int, str], dict[str, Any]]:
        """The failure records of the run."""
        store = open_store(self.results)
        failed = [address for address, state in run_states(store, "tiny").items() if state.failed]
        return {(address.step, address.task): json.loads(store.get(address.failed)) for address in failed}

    def address(self, step: int, task: str, *tasks: str, **spec: Any) -> UnitAddress:
        return next(each for each in self.plan(*tasks, **spec).addresses if (each.step, each.task) == (step, task))


@dataclass(frozen=True)
class Done:
    """How a slice ended, and what it told."""

    code: int
    message: str
    events: list[dict[str, Any]]

    @property
    def loads(self) -> int:
        return sum(event["event"] == "checkpoint" for event in self.events)


def do_slice(work: Slice, scratch: Path, stop: Any = None, on_line: Callable[[str], None] | None = None) -> Done:
    """Does a slice in this process."""
    from fineline_evaluator.loop import SliceWork
    from fineline_evaluator.progress import Progress
    from fineline_evaluator.stopping import Stop

    class Lines(io.StringIO):
        def write(self, text: str) -> int:
            if on_line is not None:
                on_line(text)
            return super().write(text)

    stream = Lines()
    ending = SliceWork(work, scratch, Progress(len(work.units), stream), stop or Stop(30)).run()
    return Done(ending.code, ending.line, [json.loads(line) for line in stream.getvalue().splitlines()])


@dataclass
class Pod:
    """A slice in a process of its own, with everything that a pod's command has: signals, output, an exit code.

    `work` is the slice, or the folder that its plan is mounted at.

    It is forked from a process that has imported the libraries already, which saves ten seconds each.
    """

    work: Slice | Path
    folder: Path
    grace_seconds: float = 30.0
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    _process: ForkServerProcess | None = None

    def start(self) -> Pod:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["fineline-evaluator", "--scratch", str(self.folder / "scratch")]
        if isinstance(self.work, Slice):
            (self.folder / "slice.json").write_bytes(self.work.to_json())
            command += ["--slice", str(self.folder / "slice.json")]
        else:
            command += ["--plan", str(self.work)]
        command += ["--grace-seconds", str(self.grace_seconds), "--termination-message", str(self.folder / "message")]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        process = context.Process(target=_run_pod, args=([*command, *self.arguments], self.environment, self.folder))
        process.start()
        self._process = process
        return self

    def wait(self, seconds: float = 120) -> int:
        """The exit code; negative where a signal ended it."""
        assert self._process is not None
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"the pod did not end in {seconds} s: {self.log}"
        return self._process.exitcode

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.pid is not None
        if self._process.is_alive():
            os.kill(self._process.pid, number)

    def until(self, happened: Callable[[], object], seconds: float = 90) -> None:
        """Waits for something, as long as the pod lives."""
        assert self._process is not None
        end = time.monotonic() + seconds
        while not happened():
            assert self._process.is_alive(), f"the pod ended early: {self.log}"
            assert time.monotonic() < end, f"the pod did not get there: {self.log}"
            time.sleep(0.01)

    @property
    def log(self) -> str:
        path = self.folder / "stderr"
        return path.read_text(errors="replace") if path.is_file() else ""

    @property
    def last_line(self) -> str:
        return self.log.splitlines()[-1]

    @property
    def message(self) -> str:
        return (self.folder / "message").read_text()


_PRELOAD = [
    "fineline_evaluator.loop",
    "fineline_evaluator.main",
    "fineline_evaluator.backends.transformers",
    "fineline.store.s3",
    "transformers.models.llama.modeling_llama",
    "datasets",
]


def _run_pod(command: list[str], environment: dict[str, str], folder: Path) -> None:
    from fineline_evaluator.main import main

    os.environ.update(environment)
    for number, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = command
    main()


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
