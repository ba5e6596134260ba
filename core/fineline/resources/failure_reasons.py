"""Why a single checkpoint or task fails for good, as `status.failures` and the store's failure records say it.

`fineline.errors` and the evaluator raise these; where all checkpoints have the same fault, it is the evaluation's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FailureReason:
    """One CamelCase word, whether it fails a whole checkpoint or one task, what it means and how to mend it."""

    word: str
    scope: Literal["checkpoint", "task"]
    meaning: str
    mend: str


FAILURE_REASONS = (
    FailureReason(
        "Incomplete",
        "checkpoint",
        "Files are missing that its index or format needs.",
        "Let the upload finish; retry.",
    ),
    FailureReason("WeightsUnreadable", "checkpoint", "A weights file or its index is damaged.", "Upload it again."),
    FailureReason("WeightsAmbiguous", "checkpoint", "Two sets of weights lie in the folder.", "Remove one."),
    FailureReason("ShardMissing", "checkpoint", "A shard that the index names is not there.", "Upload it; retry."),
    FailureReason(
        "TensorMissing",
        "checkpoint",
        "The model needs a tensor that no file holds.",
        "Compare config.json with the weights.",
    ),
    FailureReason("ConfigMissing", "checkpoint", "There is no config.json.", "Name one in `checkpoints.config`."),
    FailureReason(
        "ConfigMismatch", "checkpoint", "config.json and the weights disagree.", "Give the right config.json."
    ),
    FailureReason(
        "PickleRefused", "checkpoint", "Its weights are pickled.", "Convert them, or set `allowPickle: true`."
    ),
    FailureReason(
        "FormatUnsupported",
        "checkpoint",
        "It is in a training format (such as DCP or Megatron).",
        "Convert it to safetensors; the message names the converter.",
    ),
    FailureReason(
        "ArchitectureUnsupported",
        "checkpoint",
        "The engine does not know the architecture.",
        "Try `engine.backend: transformers`.",
    ),
    FailureReason(
        "TokenizerMissing", "checkpoint", "It carries no tokenizer.", "Name its folder in `checkpoints.tokenizer`."
    ),
    FailureReason("TokenizerMismatch", "checkpoint", "The tokenizer is another model's.", "Name the right one."),
    FailureReason(
        "PositionUnknown",
        "checkpoint",
        "Its folder's name says no step.",
        "Name it in `checkpoints.positions` (never a failed unit: it is put aside).",
    ),
    FailureReason(
        "PositionAmbiguous", "checkpoint", "Two folders claim the same branch and step.", "Remove or name one."
    ),
    FailureReason("MetadataUnreadable", "checkpoint", "Its training metadata can't be read.", "Upload it again."),
    FailureReason(
        "NameInvalid", "checkpoint", "An object's name can't be a file's (`..`, control characters).", "Rename it."
    ),
    FailureReason(
        "CheckpointVanished", "checkpoint", "It was deleted before or while it was read.", "Upload it; retry."
    ),
    FailureReason(
        "CheckpointChanged",
        "checkpoint",
        "It was overwritten since it was pinned or listed.",
        "Pin it again, or retry.",
    ),
    FailureReason(
        "LoadFailed", "checkpoint", "The engine can't load it; the message is the engine's.", "See the message."
    ),
    FailureReason(
        "NotFinite",
        "checkpoint",
        "All its log-probabilities are NaN or infinite.",
        "The weights are broken: a diverged run?",
    ),
    FailureReason(
        "CheckpointInvalid", "checkpoint", "It can't be evaluated; the message says why.", "See the message."
    ),
    FailureReason("TaskUnknown", "task", "lm-evaluation-harness has no such task.", "See `fineline suites`."),
    FailureReason(
        "SplitMissing", "task", "The mirror lacks a split that the task needs.", "`fineline datasets mirror`."
    ),
    FailureReason(
        "DataMismatch",
        "task",
        "The data that were loaded are not those that were planned.",
        "Make `mirror.json` anew; retry.",
    ),
    FailureReason(
        "ContextTooLong", "task", "A prompt does not fit the window.", "Raise `engine.maxModelLen` or lower `shots`."
    ),
    FailureReason(
        "CodeExecutionRefused",
        "task",
        "The task runs programs that the model wrote.",
        "`suite.allowCodeExecution: true`.",
    ),
    FailureReason("TaskFailed", "task", "The task failed; the message is its own.", "See the message."),
    FailureReason(
        "Crashed",
        "task",
        "Its pod was killed in the middle of this unit, as often as `pods.attempts` allows.",
        "Most often memory: raise the limits; retry.",
    ),
    FailureReason(
        "OutOfMemory",
        "task",
        "The engine ran out of memory.",
        "More memory, or a smaller `max_num_seqs` in `engine.args`.",
    ),
    FailureReason("EngineFailed", "task", "The engine failed; the message is its own.", "See the pod's log; retry."),
)
