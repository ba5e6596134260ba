"""A namespace in which CheckpointEvals are evaluated: checkpoints and results in a bucket, an operator that looks.

Pods are played: `work` does what the evaluators of a Job's pods would have left behind, from the same plan that they
would have had mounted, and ends the pods through the API.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.errors import CheckpointError
from fineline.plan import Slice, read_slices
from fineline.results import UnitAddress, record_failure
from fineline.store import Store, open_store
from fineline_evaluator.attempts import forget_earlier
from support import pods
from support.control_plane import ControlPlane, wait_for
from support.evaluations import listed_checkpoint
from support.lab_resources import Resources, ResourcesOf
from support.publishing import commit
from support.slices import upload
from support.versitygw import S3Server

TASKS = ("piqa", "winogrande")
OWNER = "fineline.dev/checkpointeval"
BUCKET = "fineline-tests"
_WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass
class Lab(Resources):
    """Where tests apply CheckpointEvals, which its own methods are about; `sources` and `analyses` have those of the
    other kinds. `uri` is a fresh `s3://bucket/prefix/`, checkpoints/ and results/ below."""

    plane: ControlPlane
    namespace: str
    uri: str
    folder: Path
    kind: str = "CheckpointEval"

    @property
    def sources(self) -> Resources:
        """The namespace's CheckpointSources."""
        return ResourcesOf("CheckpointSource", self.plane, self.namespace)

    @property
    def analyses(self) -> Resources:
        """The namespace's TrajectoryAnalyses."""
        return ResourcesOf("TrajectoryAnalysis", self.plane, self.namespace)

    @property
    def results(self) -> Store:
        return open_store(f"{self.uri}results/")

    def add_checkpoints(self, *steps: int, run: str = "tiny") -> None:
        """Folders that a listing takes for complete checkpoints."""
        for step in steps:
            made = self.folder / run / f"step{step}"
            listed_checkpoint(made)
            upload(made, f"{self.uri}checkpoints/{run}/step{step}/")

    def overwrite_checkpoint(self, step: int, run: str = "tiny") -> None:
        """The same names with other bytes."""
        weights = f"{self.uri}checkpoints/{run}/step{step}/model.safetensors"
        folder, _, name = weights.rpartition("/")
        store = open_store(f"{folder}/")
        store.put(name, store.get(name)[:-1] + b"\1")

    def add_config_map(self, name: str, data: Mapping[str, str]) -> None:
        body = {"metadata": {"name": name}, "data": dict(data)}
        self.api.create(f"/api/v1/namespaces/{self.namespace}/configmaps", body)

    def values(self, name: str = "tiny", run: str = "tiny", **spec: Any) -> dict[str, Any]:
        """A CheckpointEval; `a__b` replaces one field of a block of its spec, None leaves it out."""
        usual = self._template(run) | {"checkpoints": {"uri": f"{self.uri}checkpoints/{run}/"}}
        return self.body(name, usual, spec)

    def source_values(self, name: str = "tiny", run: str = "tiny", **spec: Any) -> dict[str, Any]:
        """A CheckpointSource of the run's checkpoints, which it looks at as often as one can."""
        usual = {
            "uri": f"{self.uri}checkpoints/{run}/",
            "template": self._template(run),
            "pollSeconds": 5,
            "complete": {"settleSeconds": 0},
        }
        return self.sources.body(name, usual, spec)

    def analysis_values(self, name: str = "tiny", **spec: Any) -> dict[str, Any]:
        """A TrajectoryAnalysis of every run."""
        usual = {
            "runs": {"all": True},
            "results": f"{self.uri}results/",
            "debounceSeconds": 1,
            "maxWaitSeconds": 5,
        }
        return self.analyses.body(name, usual, spec)

    def apply(self, name: str = "tiny", run: str = "tiny", **spec: Any) -> dict[str, Any]:
        """Creates it."""
        return self.api.create(self.path(), self.values(name, run, **spec))

    def apply_source(self, name: str = "tiny", run: str = "tiny", **spec: Any) -> dict[str, Any]:
        return self.api.create(self.sources.path(), self.source_values(name, run, **spec))

    def apply_analysis(self, name: str = "tiny", **spec: Any) -> dict[str, Any]:
        return self.api.create(self.analyses.path(), self.analysis_values(name, **spec))

    def evaluations_of(self, source: str = "tiny") -> list[dict[str, Any]]:
        """The CheckpointEvals that a CheckpointSource has made, from the oldest on."""
        uid = self.sources.get(source)["metadata"]["uid"]
        found = self.api.items(self.path(), labelSelector=f"fineline.dev/source-uid={uid}")
        return sorted(found, key=lambda body: (body["metadata"]["creationTimestamp"], body["metadata"]["name"]))

    def jobs_of_analysis(self, name: str = "tiny") -> list[dict[str, Any]]:
        """The Jobs of a TrajectoryAnalysis, from the oldest on."""
        uid = self.analyses.get(name)["metadata"]["uid"]
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        found = self.api.items(path, labelSelector=f"fineline.dev/trajectoryanalysis={uid}")
        return sorted(found, key=lambda body: body["metadata"]["creationTimestamp"])

    def _template(self, run: str) -> dict[str, Any]:
        """What every CheckpointEval of these tests has besides its checkpoints."""
        return {
            "run": {"name": run, "tokensPerStep": 1000},
            "suite": {"tasks": [{"task": task, "domain": "reasoning"} for task in TASKS]},
            "results": f"{self.uri}results/",
        }

    def retry(self, value: str, name: str = "tiny") -> None:
        self.annotate("fineline.dev/retry", value, name)

    def wipe_status(self, name: str = "tiny") -> None:
        """`kubectl edit --subresource=status`, by somebody who takes all of it away."""
        body = {key: value for key, value in self.get(name).items() if key != "status"}
        self.api.replace(self.path(name, "status"), body)

    def jobs(self, name: str | None = None) -> list[dict[str, Any]]:
        """The Jobs in the namespace, or those of one CheckpointEval, from the oldest on."""
        query = {} if name is None else {"labelSelector": f"{OWNER}={self.get(name)['metadata']['uid']}"}
        found = self.api.items(f"/apis/batch/v1/namespaces/{self.namespace}/jobs", **query)
        return sorted(found, key=lambda job: job["metadata"]["creationTimestamp"])

    def wait_for_job(self, name: str = "tiny", *, seconds: float = 60) -> dict[str, Any]:
        """The one Job of a CheckpointEval that has not ended, as soon as it is there."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [job for job in self.jobs(name) if not _ended(job)]
            return bool(found)

        wait_for(there, f"a Job of {name}", seconds=seconds)
        assert len(found) == 1, f"{name} has {len(found)} Jobs at once"
        return found[0]

    def job_path(self, job: str) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{job}"

    def slices(self, name: str = "tiny") -> tuple[Slice, ...]:
        """The plan of a CheckpointEval's newest Job, as its pods have it mounted."""
        job = self.jobs(name)[-1]
        plan = next(item for item in job["spec"]["template"]["spec"]["volumes"] if item["name"] == "plan")
        entries: dict[str, bytes] = {}
        for source in plan["projected"]["sources"]:
            path = f"/api/v1/namespaces/{self.namespace}/configmaps/{source['configMap']['name']}"
            data = self.api.get(path).get("binaryData", {})
            entries |= {key: base64.b64decode(value) for key, value in data.items()}
        return read_slices(entries)

    def addresses(self, name: str = "tiny") -> list[UnitAddress]:
        return [part.order.address(unit) for part in self.slices(name) for unit in part.units]

    def work(self, name: str = "tiny", *, fail: Collection[tuple[int, str]] = (), pods_too: bool = True) -> None:
        """Does a Job's work: every unit is committed, but for (step, task) in `fail`, which fail for good (with all of
        TASKS: the checkpoint fails); then its pods end as evaluators do."""
        job = self.wait_for_job(name)
        failed_slices: set[int] = set()
        for part in self.slices(name):
            if part.order.retry:
                forget_earlier(self.results, [part.order.address(unit) for unit in part.units], part.order.retry)
            for unit in part.units:
                address = part.order.address(unit)
                if (address.step, address.task) in fail:
                    failed_slices.add(part.index)
                    error = CheckpointError(f"step {address.step}: no lm_head in it", reason="TensorMissing")
                    whole = {(address.step, task) for task in TASKS} <= set(fail)
                    record_failure(self.results, address, error, "checkpoint" if whole else "task", 1, part.order.retry)
                else:
                    commit(self.results, address)
        if pods_too:
            self.end_pods(job, lambda index: 3 if index in failed_slices else 0)

    def end_pods(self, job: Mapping[str, Any], exit_code: Callable[[int], int] = lambda _: 0) -> None:
        """Plays the Job's pods, as many at once as it starts, until all of its indexes have had one."""
        ended: set[int] = set()
        job_name = job["metadata"]["name"]
        while len(ended) < job["spec"]["completions"]:
            for pod in pods.wait_for_pods(self.api, self.namespace, job_name, 1):
                index = pods.index_of(pod)
                code = exit_code(index)
                pods.play(self.api, pod, code, reason="Error" if code else None)
                ended.add(index)

    def commit(self, *units: tuple[int, str], name: str = "tiny") -> None:
        """Commits these (step, task) of its plan, as an evaluator in the middle of its work."""
        for address in self.addresses(name):
            if (address.step, address.task) in units:
                commit(self.results, address)

    def committed(self) -> dict[str, str]:
        """The results' commits, by name, with their ETags: equal after something means that nothing was done again."""
        return {item.name: item.etag for item in self.results.list("units/") if item.name.endswith("metrics.arrow")}

    def pods(self, name: str = "tiny") -> list[dict[str, Any]]:
        """The pods of its newest Job."""
        return pods.pods_of(self.api, self.namespace, self.jobs(name)[-1]["metadata"]["name"])

    def plan_config_maps(self, name: str = "tiny") -> list[dict[str, Any]]:
        return self.api.items(
            f"/api/v1/namespaces/{self.namespace}/configmaps",
            labelSelector=f"{OWNER}={self.get(name)['metadata']['uid']}",
        )

    def writes(self) -> list[str]:
        """What the operator has written in this namespace, `verb resource/subresource` each, from the audit log."""
        return self._asked(_WRITES)

    def reads(self) -> list[str]:
        """What it has read, likewise."""
        return self._asked(("get", "list"))

    def _asked(self, verbs: Collection[str]) -> list[str]:
        asked = []
        for request in self.plane.requests(about=self.namespace):
            about = request.get("objectRef", {})
            by_operator = request["user"]["username"].endswith(":fineline-operator")
            if by_operator and about.get("namespace") == self.namespace and request["verb"] in verbs:
                subresource = f"/{about['subresource']}" if "subresource" in about else ""
                asked.append(f"{request['verb']} {about['resource']}{subresource}")
        return asked


def operator_settings(server: S3Server, uri: str, folder: Path, **further: Any) -> dict[str, Any]:
    """Settings with the server as the one store, and the operator's own credentials for it as a mounted Secret."""
    credentials = folder / "credentials"
    credentials.mkdir(parents=True, exist_ok=True)
    (credentials / "AWS_ACCESS_KEY_ID").write_text(server.access_key)
    (credentials / "AWS_SECRET_ACCESS_KEY").write_text(server.secret_key)
    store = {"prefix": uri, "endpoint": server.endpoint, "region": "us-east-1", "credentials": str(credentials)}
    return {
        "stores": [store],
        "evaluator": {"image": "registry.example/evaluator:test", "gpuResource": ""},
        "analysis": {"image": "registry.example/analysis:test"},
        **further,
    }


def _ended(job: Mapping[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(item["type"] in ("Complete", "Failed") and item["status"] == "True" for item in conditions)
