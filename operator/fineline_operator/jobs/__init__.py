"""The Jobs of plans and of analyses, and their pods: names and bodies, and what bodies say. Pure: nobody is asked."""

from fineline_operator.jobs.job import job_body, made_from, parallelism, ttl_seconds
from fineline_operator.jobs.kueue import WORKLOAD_JOB_LABEL, workload_seen
from fineline_operator.jobs.names import chunk_name, index_name, job_name, plan_names
from fineline_operator.jobs.ownership import OWNER_LABEL, PLAN_ANNOTATION, object_metadata
from fineline_operator.jobs.pods import PodProjection, pod_projection
from fineline_operator.jobs.seen import job_seen
from fineline_operator.jobs.troubles import pods_seen

__all__ = [
    "OWNER_LABEL",
    "PLAN_ANNOTATION",
    "WORKLOAD_JOB_LABEL",
    "PodProjection",
    "chunk_name",
    "index_name",
    "job_body",
    "job_name",
    "job_seen",
    "made_from",
    "object_metadata",
    "parallelism",
    "plan_names",
    "pod_projection",
    "pods_seen",
    "ttl_seconds",
    "workload_seen",
]
