"""Stands in for a scheduler and a kubelet: runs a pod's `evaluator` or `analysis` as a process of this machine.

A stand-in, because a real kubelet needs root and a container runtime (`make e2e` has those). What is real: the API
server, the Job controller and its pods, the program, its signals and exit codes, what the pod's status tells. What is
not: no isolation and no image; volumes are folders and mounted paths are replaced in arguments and environment
(support/containers.py); other containers of the pod are not run, and count as having done what the evaluator did.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from support import pods
from support.containers import NotThereError, Prepared, prepare
from support.control_plane import ControlPlane, wait_for
from support.kube_api import ApiError

_LONGEST_MESSAGE = 4096
_LONGEST_LOG_MESSAGE = 2048
_AGAIN_SECONDS = 0.5


@dataclass
class RunningPod:
    """A pod that the stand-in looks after. `reason` is told instead of Error when it ends: set it before killing."""

    body: dict[str, Any]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    prepared: Prepared | None = None
    reason: str | None = None
    deleted: threading.Event = field(default_factory=threading.Event)
    grace_seconds: float = 30

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    def port(self, declared: int) -> int:
        """The port on this machine for one that the container declares."""
        assert self.prepared is not None, f"pod {self.name} has not started"
        return self.prepared.ports[declared]

    def kill(self, sent: signal.Signals = signal.SIGKILL, *, reason: str | None = None) -> None:
        """Sends a signal to the evaluator, from outside: `reason` OOMKilled is what a kernel out of memory does."""
        assert self.process is not None, f"pod {self.name} has not started"
        self.reason = reason
        self.process.send_signal(sent)


@dataclass
class Kubelet:
    """Looks after the pods of a namespace, so many at a time; the others stay Pending."""

    plane: ControlPlane
    namespace: str
    folder: Path
    entrypoint: Sequence[str]
    environment: Mapping[str, str]
    capacity: int
    termination_option: str | None
    pods: dict[str, RunningPod] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _room: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._room = threading.Semaphore(self.capacity)

    def find(self, job: str, index: int = 0, *, seconds: float = 60) -> RunningPod:
        """The pod of this Job and index whose evaluator runs, as soon as it does."""

        def running() -> list[RunningPod]:
            return [
                pod
                for pod in list(self.pods.values())
                if pod.body["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name") == job
                and pods.index_of(pod.body) == index
                and pod.process is not None
                and pod.process.poll() is None
            ]

        wait_for(running, f"a running pod of Job {job}, index {index}", seconds=seconds)
        return running()[-1]

    def logs(self) -> str:
        """What all pods so far have printed, for a failing test's message."""
        return "\n".join(
            f"--- {pod.name}\n{pod.log.read_text(errors='replace')}" for pod in self.pods.values() if pod.log.exists()
        )

    def begin(self) -> None:
        self._start(self._watch, "kubelet")

    def stop(self) -> None:
        """Ends all evaluators at once and tells nobody, as a power cut does."""
        self._stopping.set()
        for pod in list(self.pods.values()):
            _kill_group(pod.process)
        for thread in self._threads:
            thread.join(30)

    def _start(self, work: Any, name: str, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watch(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        while not self._stopping.is_set():
            # Gone after a restart of the API server, or with its watch cache: from the start again.
            with contextlib.suppress(ApiError, urllib3.exceptions.HTTPError):
                listed = self.plane.admin.get(path)
                for pod in listed["items"]:
                    self._see(pod)
                version = listed["metadata"]["resourceVersion"]
                # Short watches: a stop is seen soon.
                for event in self.plane.admin.watch(path, seconds=2, resourceVersion=version):
                    if event["type"] == "ERROR" or self._stopping.is_set():
                        break
                    self._see(event["object"])
                continue
            self._stopping.wait(_AGAIN_SECONDS)

    def _see(self, body: dict[str, Any]) -> None:
        uid = body["metadata"]["uid"]
        known = self.pods.get(uid)
        if known is None and pods.is_new(body) and body.get("status", {}).get("phase") == "Pending":
            log = self.folder / "logs" / f"{body['metadata']['name']}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            self.pods[uid] = RunningPod(body, log)
            self._start(self._look_after, body["metadata"]["name"], self.pods[uid])
        elif known is not None and "deletionTimestamp" in body["metadata"]:
            known.grace_seconds = body["metadata"].get("deletionGracePeriodSeconds", 30)
            known.deleted.set()

    def _look_after(self, pod: RunningPod) -> None:
        while not self._room.acquire(timeout=0.1):
            if self._stopping.is_set() or pod.deleted.is_set():
                return
        try:
            self._run(pod)
        finally:
            self._room.release()
            shutil.rmtree(self._folder_of(pod), ignore_errors=True)

    def _run(self, pod: RunningPod) -> None:
        if not self._tell(pods.schedule, pod):
            return
        prepared = self._prepare(pod)
        code, message, started = 143, "", None
        if prepared is not None and not self._stopping.is_set():
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            pod.prepared, pod.process = prepared, self._start_process(pod, prepared)
            self._tell(pods.run, pod)
            code = self._wait(pod, pod.process)
            message = _last_words(prepared, pod, code)
        if self._stopping.is_set():
            return
        self._tell(pods.end, pod, code, reason=pod.reason, message=message, started=started)
        # A pod that is deleted later is none of ours any more: the API server deletes finished ones at once.
        if pod.deleted.is_set():
            self._tell(pods.forget, pod)

    def _prepare(self, pod: RunningPod) -> Prepared | None:
        told = None
        while not (self._stopping.is_set() or pod.deleted.is_set()):
            try:
                return prepare(self.plane, pod.body, self._folder_of(pod), self.entrypoint, self.environment)
            except NotThereError as missing:
                if told != missing.message:
                    self._tell(pods.waiting, pod, missing.reason, missing.message)
                    told = missing.message
            except NotImplementedError as error:
                self._tell(pods.waiting, pod, "CreateContainerError", str(error))
                raise
            except urllib3.exceptions.HTTPError:
                pass  # no API server just now
            time.sleep(_AGAIN_SECONDS)
        return None

    def _start_process(self, pod: RunningPod, prepared: Prepared) -> subprocess.Popen[bytes]:
        command = list(prepared.command)
        if self.termination_option:
            command += [self.termination_option, str(prepared.termination_log)]
        tied = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with pod.log.open("ab") as log:
            return subprocess.Popen(
                [*tied, *command],
                env=prepared.environment,
                cwd=prepared.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, pod: RunningPod, process: subprocess.Popen[bytes]) -> int:
        """The exit code, as a container runtime gives it. All that the evaluator started ends with it."""
        killed_at = None
        while (code := process.poll()) is None:
            if pod.deleted.is_set() and killed_at is None:
                process.terminate()
                killed_at = time.monotonic() + pod.grace_seconds
            if self._stopping.is_set() or (killed_at is not None and time.monotonic() > killed_at):
                process.kill()
            time.sleep(0.05)
        _kill_group(process)
        return 128 - code if code < 0 else code

    def _tell(self, work: Any, pod: RunningPod, *arguments: Any, **options: Any) -> bool:
        """Carries out one call of support/pods.py, again and again while there is no API server. False: it is gone."""
        while not self._stopping.is_set():
            try:
                work(self.plane.admin, pod.body, *arguments, **options)
                return True
            except ApiError as error:
                if error.status in {404, 409, 422}:
                    return False
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(_AGAIN_SECONDS)
        return False

    def _folder_of(self, pod: RunningPod) -> Path:
        return self.folder / str(pod.body["metadata"]["uid"])


@contextlib.contextmanager
def kubelet(
    plane: ControlPlane,
    namespace: str,
    folder: Path,
    *,
    entrypoint: Sequence[str] = ("fineline-evaluator",),
    environment: Mapping[str, str] | None = None,
    capacity: int = 2,
    termination_option: str | None = "--termination-message",
) -> Iterator[Kubelet]:
    """Runs the pods of this namespace until the end of the block, `capacity` at a time.

    `environment` is the image's: it comes before the pod's own. PATH has the programs of this Python's environment.
    `termination_option` names the program's option for the file of its last words, which can't be at /dev here; None
    for programs without one.
    """
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    image = {"PATH": programs, **(environment or {})}
    found = Kubelet(plane, namespace, folder, entrypoint, image, capacity, termination_option)
    found.begin()
    try:
        yield found
    finally:
        found.stop()


def _last_words(prepared: Prepared, pod: RunningPod, code: int) -> str:
    container = pods.program_of(pod.body)
    told = prepared.termination_log.read_text(errors="replace")[:_LONGEST_MESSAGE]
    if not told and code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        return pod.log.read_text(errors="replace")[-_LONGEST_LOG_MESSAGE:]
    return told


def _kill_group(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
