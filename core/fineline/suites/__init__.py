"""Suites: which tasks, with how many shots, stand for which domain.

    suite = load("fine-line")              # a built-in one; names() lists them
    suite = parse(files, "my-suite")       # one's own, from a ConfigMap's data or a folder's files
    task_identity(suite, "mmlu")           # what a key holds of a task's configuration

Everything here can be computed without lm-eval: built-in suites carry a generated lock.
"""

from fineline.suites.builtin import DataSet, TaskLock, find_lock, load, lock, names
from fineline.suites.custom import SUITE_FILE, CustomSuite, parse
from fineline.suites.definition import LM_EVAL_VERSION, Suite, SuiteTask
from fineline.suites.identity import config_digest, sample_ids, task_datasets, task_identity

__all__ = [
    "LM_EVAL_VERSION",
    "SUITE_FILE",
    "CustomSuite",
    "DataSet",
    "Suite",
    "SuiteTask",
    "TaskLock",
    "config_digest",
    "find_lock",
    "load",
    "lock",
    "names",
    "parse",
    "sample_ids",
    "task_datasets",
    "task_identity",
]
