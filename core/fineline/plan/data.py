"""The digest of a task's data, as keys hold it: of the mirror's data sets, or of the hub's pinned revisions."""

from __future__ import annotations

from fineline.datasets import Mirror, data_digest, hub_digest
from fineline.suites import CustomSuite, Suite, task_datasets


def task_data_digest(suite: Suite | CustomSuite, task: str, mirror: Mirror | None) -> str:
    """Over the data sets that the task reads; over the whole mirror where these are not known without lm-eval."""
    datasets = task_datasets(suite, task)
    if mirror is None:
        return hub_digest(
            (dataset.name for dataset in datasets or ()), {each.name: each.revision for each in datasets or ()}
        )
    if datasets is None:
        return data_digest(mirror.digests, mirror.digests)
    return data_digest((mirror.resolve(each.path, each.config) or each.name for each in datasets), mirror.digests)
