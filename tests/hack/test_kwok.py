"""kwok plays the pods of tests that have many."""

from __future__ import annotations

from pathlib import Path

from support.control_plane import ControlPlane, wait_for
from support.kwok import NODE, kwok
from support.tools import tool_to_test_with


def test_a_job_is_completed_under_kwok(cluster: ControlPlane, namespace: str, tmp_path: Path) -> None:
    binary = tool_to_test_with("kwok")
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    pod = {"restartPolicy": "Never", "nodeName": NODE, "containers": [{"name": "evaluator", "image": "none"}]}
    spec = {"completionMode": "Indexed", "completions": 3, "parallelism": 3, "template": {"spec": pod}}

    with kwok(binary, cluster, tmp_path / "kwok"):
        cluster.admin.create(jobs, {"metadata": {"name": "played"}, "spec": spec})

        def completed() -> bool:
            job = cluster.admin.get(f"{jobs}/played")
            return any(told["type"] == "Complete" for told in job.get("status", {}).get("conditions", []))

        wait_for(completed, "the Job to complete")

    assert cluster.admin.get(f"{jobs}/played")["status"]["completedIndexes"] == "0-2"
