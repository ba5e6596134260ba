"""The task library: the one folder that knows lm-eval.

    library = TaskLibrary(mirror, cache)
    task = library.compile(TaskSettings("piqa", shots=0, limit=None, window=2048), tokenizer_folder)
    scores = task.score(backend.loglikelihoods(task.loglikelihoods), backend.generate(task.generations))

Prompts, filters, metrics, aggregation and standard errors are lm-eval's. Its model classes and its caches are not used:
the caches leave out the model in one case and the data in the other.
"""

from fineline_evaluator.tasks.compiled import CompiledTask
from fineline_evaluator.tasks.library import TaskLibrary
from fineline_evaluator.tasks.mirroring import MirrorReport, mirror
from fineline_evaluator.tasks.settings import MetricRow, TaskScores, TaskSettings
from fineline_evaluator.tasks.tokens import Encoder, tokenizer_digest

__all__ = [
    "CompiledTask",
    "Encoder",
    "MetricRow",
    "MirrorReport",
    "TaskLibrary",
    "TaskScores",
    "TaskSettings",
    "mirror",
    "tokenizer_digest",
]
