"""Every error that Fineline raises on purpose, as one tree.

A message names the field or file, what is wrong with it, and what to do. `reason` is one CamelCase word that a program
can match on: it is what conditions, failure records and `-o json` carry. `permanent` says whether trying again could
help: a permanent failure of a unit is recorded in the store, a passing one is tried again.

    FinelineError
    ├── SpecError              the YAML, a flag or a suite says something that can't be (exit 2)
    ├── StoreError             a bucket or directory did not do what was asked
    │   ├── StoreNotFound      the bucket or directory is not there
    │   ├── StoreDenied        credentials missing, wrong, or not enough
    │   ├── StoreUnavailable   no answer, 5xx, throttled: passing
    │   ├── StoreFull          no space left: passing, for a person may make room
    │   ├── ObjectNotFound     the object is not there
    │   └── ObjectChanged      the object is not the one that was listed
    ├── CheckpointError        this checkpoint can't be evaluated; the others can
    ├── TaskError              this task can't be evaluated; the others can
    ├── EngineError            the engine failed: passing, unless it says otherwise
    ├── ClusterError           the cluster that a command asked did not do what was asked
    └── ResultError            a file among the results can't be read
"""

from __future__ import annotations


class FinelineError(Exception):
    """The root. Commands print its message without a traceback and end with `exit_code`."""

    exit_code = 1
    reason = "Error"
    permanent = True

    def __init__(self, message: str, *, reason: str | None = None, permanent: bool | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        if permanent is not None:
            self.permanent = permanent


class SpecError(FinelineError):
    """What a person wrote can't be meant. The message starts with the path of the field."""

    exit_code = 2
    reason = "SpecInvalid"


class StoreError(FinelineError):
    """A bucket or directory did not do what was asked. The message names the URI."""

    reason = "StoreFailed"
    permanent = False


class StoreNotFound(StoreError):
    reason = "StoreNotFound"


class StoreDenied(StoreError):
    reason = "StoreDenied"


class StoreUnavailable(StoreError):
    reason = "StoreUnavailable"


class StoreFull(StoreError):
    reason = "StoreFull"


class ObjectNotFound(StoreError):
    reason = "ObjectNotFound"


class ObjectChanged(StoreError):
    reason = "ObjectChanged"


class CheckpointError(FinelineError):
    """One checkpoint can't be evaluated. Reasons: Incomplete, WeightsUnreadable, ShardMissing, TensorMissing,
    ConfigMismatch, ConfigMissing, PickleRefused, FormatUnsupported, ArchitectureUnsupported, TokenizerMissing,
    TokenizerMismatch, CheckpointVanished, CheckpointChanged, PositionAmbiguous, WeightsAmbiguous, LoadFailed,
    NotFinite, NoCheckpoint."""

    reason = "CheckpointInvalid"


class TaskError(FinelineError):
    """One task can't be evaluated. Reasons: TaskUnknown, SplitMissing, DataMismatch, ContextTooLong,
    CodeExecutionRefused, TaskFailed."""

    reason = "TaskFailed"


class EngineError(FinelineError):
    """The engine failed while it scored. Reasons: EngineFailed, OutOfMemory."""

    reason = "EngineFailed"
    permanent = False


class ClusterError(FinelineError):
    """The cluster that a command asked did not do what was asked; `permanent` is False where asking again could help.
    Reasons: KubeconfigInvalid, NoKubeconfig, Unreachable, Unauthorized, Forbidden, NotInstalled, NotFound, Conflict,
    Expired, Refused; of a retry: Deleting, NotFinished."""

    reason = "ClusterFailed"


class ResultError(FinelineError):
    """A file among the results can't be read: truncated, foreign, or of a newer schema version than this reader's."""

    reason = "ResultUnreadable"
