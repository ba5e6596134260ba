"""Whole lives of evaluations and what they leave behind, so that disturbed ones can be compared with others."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.control_plane import wait_for
from support.lab import OWNER, Lab
from support.operator import Operator

End = dict[str, Any]
PLAN_DIGEST = "fineline.dev/plan"


def ended(body: dict[str, Any]) -> bool:
    """Whether a CheckpointEval has come to its end."""
    conditions = body.get("status", {}).get("conditions", ())
    return any(item["type"] == "Succeeded" and item["status"] in ("True", "False") for item in conditions)


def is_idle(operator: Operator) -> bool:
    """Whether it looks at nothing now, and nothing waits for its turn."""
    return operator.metric("fineline_queue_depth") + operator.metric("fineline_queue_running") == 0


@contextmanager
def kept_running(operator: Operator) -> Iterator[None]:
    """Starts it again where it ended, as its kubelet would: who could not renew the Lease does end."""
    enough = threading.Event()

    def keep() -> None:
        while not enough.wait(0.2):
            if not operator.running:
                operator.start()
        # The kernel would do it with the end of the thread that started it; nobody else is to know it as running.
        operator.kill()

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def own_faults(operator: Operator) -> list[str]:
    """What it logged with a traceback: what it does not expect, whatever befalls the API server or a store."""
    return [line["error"] for line in operator.lines() if "error" in line and line["logger"].startswith("fineline")]


def end_state(lab: Lab, name: str = "tiny", *, same_plan: bool = True) -> End:
    """All that an evaluation left: its status but for times, Jobs, plan, events, commits; names that differ from one
    life to the next are replaced. Without `same_plan` digests of plans are too: of other runs, or of other buckets."""
    body = lab.get(name)
    status = body.get("status", {})
    owned = {"labelSelector": f"{OWNER}={body['metadata']['uid']}"}
    jobs = lab.api.items(f"/apis/batch/v1/namespaces/{lab.namespace}/jobs", **owned)
    config_maps = lab.api.items(f"/api/v1/namespaces/{lab.namespace}/configmaps", **owned)
    digest = status.get("plan", {}).get("digest", "")
    found = {
        "conditions": {
            item["type"]: [item["status"], item["reason"], item["message"], item["observedGeneration"]]
            for item in status.get("conditions", ())
        },
        **{
            key: status.get(key)
            for key in ("observedGeneration", "plan", "progress", "failures", "results", "jobName", "retry")
        },
        "started": "startTime" in status,
        "completed": "completionTime" in status,
        "jobs": [
            [
                item["metadata"]["name"],
                item["metadata"]["name"] == status.get("jobName"),
                item["metadata"]["annotations"][PLAN_DIGEST] == digest,
                item["spec"]["completions"],
            ]
            for item in jobs
        ],
        "config maps": [[item["metadata"]["name"], sorted(item["binaryData"])] for item in config_maps],
        "events": lab.events(name),
        "metadata": [body["metadata"].get("finalizers"), body["metadata"].get("annotations")],
    }
    text = json.dumps(found)
    for given, placeholder in ((lab.namespace, "NAMESPACE"), (lab.uri, "URI/")):
        text = text.replace(given, placeholder)
    if not same_plan:
        text = text.replace(digest, "DIGEST") if digest else text
        text = re.sub(rf"\b{re.escape(name)}\b", "NAME", text)
    read: End = json.loads(re.sub(r"-[0-9a-f]{8}\b", "-########", text))
    return read | {key: sorted(read[key]) for key in ("jobs", "config maps", "events")}


@dataclass(frozen=True)
class Crowd:
    """Many evaluations of one namespace, each of a run of its own with one checkpoint; of the last of every `failing`
    one unit fails for good."""

    lab: Lab
    names: Sequence[str]
    failing: int = 5

    def prepare(self) -> None:
        """Uploads their checkpoints."""
        for name in self.names:
            self.lab.add_checkpoints(1, run=name)

    def apply(self) -> None:
        for name in self.names:
            self.lab.apply(name, run=name)

    def work(self, names: Collection[str] | None = None) -> None:
        """Does the work of all of their Jobs, or of some."""
        for name in self.names if names is None else names:
            self.lab.work(name, fail={(1, "piqa")} if self.fails(name) else ())

    def fails(self, name: str) -> bool:
        return self.names.index(name) % self.failing == self.failing - 1

    def wait_for_jobs(self, count: int | None = None, *, seconds: float = 60) -> None:
        """Until so many have their Job; all by default."""
        wanted = len(self.names) if count is None else count
        path = f"/apis/batch/v1/namespaces/{self.lab.namespace}/jobs"
        wait_for(lambda: len(self.lab.api.items(path)) >= wanted, f"{wanted} Jobs", seconds=seconds)

    def with_jobs(self) -> list[str]:
        """Those that have a Job now."""
        jobs = self.lab.api.items(f"/apis/batch/v1/namespaces/{self.lab.namespace}/jobs")
        owners = {owner["name"] for job in jobs for owner in job["metadata"]["ownerReferences"]}
        return [name for name in self.names if name in owners]

    def wait_for_ends(self, *, seconds: float = 120) -> None:
        try:
            wait_for(lambda: not self.going_on(), f"{len(self.names)} evaluations to end", seconds=seconds, every=0.2)
        except TimeoutError as error:
            left = {name: self.lab.status(name) for name in self.going_on()[:3]}
            raise TimeoutError(f"{error}; going on: {self.going_on()}, such as {left}") from None

    def going_on(self) -> list[str]:
        found = {item["metadata"]["name"]: ended(item) for item in self.lab.api.items(self.lab.path())}
        return [name for name in self.names if not found.get(name, False)]

    def wait_for_the_ends_of(self, undisturbed: Mapping[bool, list[End]], *, seconds: float = 20) -> None:
        """Until each has ended as an undisturbed one does, in all that is compared; fails with the first difference."""
        try:
            wait_for(lambda: self.end_states() == undisturbed, "all to end the same way", seconds=seconds, every=1)
        except TimeoutError:
            for fails, ends in self.end_states().items():
                for end in ends:
                    assert end == undisturbed[fails][0]

    def end_states(self) -> dict[bool, list[End]]:
        """By whether they failed, each different end once: one each where all is as it should be."""
        found: dict[bool, list[End]] = {True: [], False: []}
        for name in self.names:
            end = end_state(self.lab, name, same_plan=False)
            if end not in found[self.fails(name)]:
                found[self.fails(name)].append(end)
        return found
